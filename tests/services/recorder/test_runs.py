"""A source that begins anew begins a new run."""

from services.recorder.runs import Runs


def test_a_run_lasts_until_another_begins() -> None:
    runs = Runs()
    assert [runs.of("replay", 10), runs.of("replay", 20), runs.of("live", 30), runs.of(None, 40)] == [10, 10, 30, 40]
    assert runs.begin("replay", 50) == 50
    assert [runs.of("replay", 60), runs.of("live", 60)] == [50, 30]


def test_a_run_of_the_record_goes_on() -> None:
    runs = Runs()
    for run in (10, 30, 20):
        runs.restore("replay", run)
    assert runs.of("replay", 99) == 30


def test_no_two_runs_are_one() -> None:
    runs = Runs()
    assert [runs.of("replay", 100), runs.begin("replay", 50), runs.begin("replay", 50)] == [100, 101, 102]
