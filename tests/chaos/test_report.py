"""The table at the end of a run."""

from tests.chaos.report import Outcome, percentile, table


def test_each_kind_has_a_row_and_a_pair_counts_for_both() -> None:
    rows = table(
        [
            Outcome(0, ("redis_killed",), 1.0, 0.2),
            Outcome(1, ("redis_killed", "flushed"), 3.0, 0.4),
            Outcome(2, ("flushed",), None),
        ]
    ).splitlines()
    assert [row.split() for row in rows[1:]] == [
        ["flushed", "2", "3.00", "3.00", "0.40", "NEVER", "1"],
        ["redis_killed", "2", "3.00", "3.00", "0.40"],
    ]


def test_what_never_converged_has_no_figures() -> None:
    assert table([Outcome(0, ("flushed",), None)]).splitlines()[1].split() == ["flushed", "1", "NEVER", "1"]


def test_percentiles() -> None:
    assert [percentile([3.0, 1.0, 2.0, 4.0], share) for share in (0.0, 0.5, 1.0)] == [1.0, 3.0, 4.0]
