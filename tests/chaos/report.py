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
    by_kind: dict[str, list[float | None]] = {}
    for outcome in outcomes:
        for kind in outcome.kinds:
            by_kind.setdefault(kind, []).append(outcome.seconds)
    lines = [f"{'fault':32} {'times':>5}  {'p50 s':>6}  {'max s':>6}"]
    for kind, found in sorted(by_kind.items()):
        converged = [seconds for seconds in found if seconds is not None]
        never = len(found) - len(converged)
        figures = f"{percentile(converged, 0.5):6.2f}  {max(converged):6.2f}" if converged else f"{'–':>6}  {'–':>6}"
        lines.append(f"{kind:32} {len(found):5}  {figures}{f'  NEVER {never}' if never else ''}")
    return "\n".join(lines)
