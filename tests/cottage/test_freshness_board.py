"""How far the states may be trusted: what is said, and what somebody new is told."""

from hypothesis import given
from hypothesis import strategies as st

from cottage.freshness import Freshness, FreshnessStatement
from cottage.freshness_board import MOST_NAMED, FreshnessBoard, grouped

LIVE = Freshness("live", None, 0.4)
DOWN = Freshness("stale", "redis_down", 3.5)
QUIET = Freshness("stale", "market_quiet", 12.0)
OLD = Freshness("expired", "market_quiet", 70.0)
SYMBOLS = ("A", "B", "C")


def nobody(_symbol: str) -> float | None:
    return None


def test_everything_is_live_until_something_else_is_said() -> None:
    assert FreshnessBoard().of("A").status == "live"
    assert FreshnessBoard().differences(LIVE, {}, nobody) == []


def test_those_apart_are_named_and_named_again_once_they_are_not() -> None:
    board = FreshnessBoard()
    (said,) = board.differences(LIVE, {"A": QUIET, "B": QUIET}, nobody)
    assert said == FreshnessStatement(QUIET, ("A", "B"))
    board.apply(said, 100.0)
    assert board.differences(LIVE, {"A": QUIET, "B": Freshness("stale", "market_quiet", 13.0)}, nobody) == []
    assert board.differences(LIVE, {"A": OLD}, lambda _: 0.2) == [
        FreshnessStatement(OLD, ("A",)),
        FreshnessStatement(Freshness("live", None, 0.2), ("B",)),
    ]


def test_what_is_said_of_all_begins_anew() -> None:
    board = FreshnessBoard()
    board.apply(FreshnessStatement(QUIET, ("A",)), 100.0)
    said = board.differences(DOWN, {"B": OLD}, nobody)
    assert said == [FreshnessStatement(DOWN), FreshnessStatement(OLD, ("B",))]
    for statement in said:
        board.apply(statement, 101.0)
    assert [board.of(symbol) for symbol in SYMBOLS] == [DOWN, OLD, DOWN]


def test_ages_grow_for_who_comes_later() -> None:
    board = FreshnessBoard()
    board.apply(FreshnessStatement(DOWN), 100.0)
    board.apply(FreshnessStatement(OLD, ("A", "B")), 100.0)
    later = Freshness("expired", "market_quiet", 75.0)
    assert board.all_statements(None, 105.0) == [
        FreshnessStatement(Freshness("stale", "redis_down", 8.5)),
        FreshnessStatement(later, ("A", "B")),
    ]
    assert board.all_statements(["B", "C"], 105.0)[1:] == [FreshnessStatement(later, ("B",))]
    assert board.statements_for(["C"], 105.0) == [FreshnessStatement(Freshness("stale", "redis_down", None), ("C",))]


def test_each_symbol_keeps_its_own_age() -> None:
    board = FreshnessBoard()
    board.apply(FreshnessStatement.of_symbols("stale", "market_quiet", {"A": 12.0, "B": 50.0}), 100.0)
    assert [board.of(symbol).age for symbol in ("A", "B")] == [12.0, 50.0]
    assert board.statements_for(["A"], 101.0) == [
        FreshnessStatement(Freshness("stale", "market_quiet", 13.0), ("A",))
    ]
    assert board.all_statements(["A"], 101.0)[1:] == board.statements_for(["A"], 101.0)


def test_a_symbol_without_a_state_is_forgotten() -> None:
    board = FreshnessBoard()
    board.apply(FreshnessStatement(QUIET, ("A",)), 100.0)
    board.forget("A")
    assert board.all_statements(None, 100.0) == [FreshnessStatement(Freshness("live", None, None))]


def test_a_statement_fits_into_a_frame() -> None:
    said = list(grouped((f"S{number}", QUIET) for number in range(MOST_NAMED + 1)))
    assert [len(each.symbols or ()) for each in said] == [MOST_NAMED, 1]


freshness = st.sampled_from([LIVE, DOWN, QUIET, OLD])


@given(st.lists(st.tuples(freshness, st.dictionaries(st.sampled_from(SYMBOLS), freshness))))
def test_who_hears_every_change_knows_what_holds(course: list[tuple[Freshness, dict[str, Freshness]]]) -> None:
    speaker, listener = FreshnessBoard(), FreshnessBoard()
    for whole, apart in course:
        for statement in speaker.differences(whole, apart, nobody):
            speaker.apply(statement, 0.0)
            listener.apply(statement, 0.0)
        newcomer = FreshnessBoard()
        for statement in speaker.all_statements(None, 0.0):
            newcomer.apply(statement, 0.0)
        for symbol in SYMBOLS:
            expected = apart.get(symbol, whole)
            assert listener.of(symbol).alike(expected)
            assert newcomer.of(symbol).alike(expected)
