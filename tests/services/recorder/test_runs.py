"""A source that begins anew begins a new run, and its symbols follow."""

from services.recorder.runs import MOST_RUNS, TOGETHER, Runs

SECOND = 1_000_000


def test_a_run_lasts_until_another_begins() -> None:
    runs = Runs()
    assert [runs.newest("replay", 1, 10), runs.newest("replay", 1, 20), runs.newest("live", 1, 30)] == [10, 10, 30]
    assert runs.newest(None, 1, 40) == 40
    assert runs.following("replay", 10, 2, 50, back=False) == 10
    assert runs.following("replay", 10, 2, 50, back=True) == 50
    assert runs.newest("replay", 3, 60) == 50
    assert runs.newest("live", 3, 60) == 30


def test_symbols_whose_time_goes_back_near_its_beginning_begin_the_same() -> None:
    runs = Runs()
    first = runs.newest("replay", 0, 1)
    begun = 100 * SECOND
    second = runs.following("replay", first, begun, begun, back=True)
    for written in (begun - SECOND, begun, begun + SECOND):
        assert runs.following("replay", first, written, written, back=True) == second
    third = runs.following("replay", second, begun + 4 * SECOND, begun + 4 * SECOND, back=True)
    assert third > second
    assert runs.following("replay", first, begun, begun, back=True) == second, "the one that it comes to first"


def test_a_symbol_follows_later_though_its_time_does_not_go_back() -> None:
    runs = Runs()
    first = runs.newest("replay", 0, 1)
    second = runs.following("replay", first, 100 * SECOND, 100 * SECOND, back=True)
    assert runs.following("replay", first, 100 * SECOND + TOGETHER, 0, back=False) == first
    assert runs.following("replay", first, 100 * SECOND + TOGETHER + 1, 0, back=False) == second
    assert runs.following("replay", first, 300 * SECOND, 0, back=True) == second


def test_a_run_of_the_record_goes_on() -> None:
    runs = Runs()
    for run in (10, 30, 20, 30):
        runs.restore("replay", run)
    assert runs.newest("replay", 1, 99) == 30


def test_no_two_runs_are_one_though_the_clock_was_set_back() -> None:
    runs = Runs()
    number = runs.newest("replay", 100 * SECOND, 100)
    for _ in range(3):
        number = runs.following("replay", number, 0, 50, back=True)
    assert number == 103


def test_so_many_are_known() -> None:
    runs = Runs()
    number = runs.newest("replay", 0, 0)
    for turn in range(1, 3 * MOST_RUNS):
        number = runs.following("replay", number, turn * 10 * SECOND, turn * 10 * SECOND, back=True)
    assert number == (3 * MOST_RUNS - 1) * 10 * SECOND
    assert len(runs._known["replay"]) == MOST_RUNS
