"""Faults by kind, with the time to converge."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Outcome:
    index: int
    kinds: tuple[str, ...]
    seconds: float | None
    """From the cure until every client held what Redis holds; None where it never did."""
    after_hops: float | None = None
    """The same from when the last hop was connected again."""


def percentile(values: list[float], share: float) -> float:
    """The smallest of them that so many of them do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def table(outcomes: Iterable[Outcome]) -> str:
    """A row a kind; a pair of faults counts for both."""
    by_kind: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        for kind in outcome.kinds:
            by_kind.setdefault(kind, []).append(outcome)
    lines = [f"{'fault':32} {'times':>5}  {'p50 s':>6}  {'max s':>6}  {'after the last hop, max s':>25}"]
    for kind, found in sorted(by_kind.items()):
        converged = [outcome.seconds for outcome in found if outcome.seconds is not None]
        after = [outcome.after_hops for outcome in found if outcome.after_hops is not None]
        never = f"  NEVER {len(found) - len(converged)}" if len(converged) < len(found) else ""
        figures = (
            "  ".join(f"{value:6.2f}" for value in (percentile(converged, 0.5), max(converged))) if converged else ""
        )
        latest = f"{max(after):25.2f}" if after else ""
        lines.append(f"{kind:32} {len(found):5}  {figures:14}  {latest}{never}")
    return "\n".join(lines)
