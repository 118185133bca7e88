"""Which of a symbol's recorded samples the window of a process holds that took over from another one.

A process of feynman begins with the windows of its last checkpoint, or with none. What the one before it has taken
since is in the record and not in its windows, as far as it did not take it again. The record keeps with what each
process began (cottage/record/checkpoints.py).
"""

from collections.abc import Container, Mapping, Sequence
from itertools import groupby
from pathlib import Path

from cottage import keys
from cottage.record.checkpoints import BEGUN, checkpoints, versions
from cottage.record.evidence import Row
from cottage.record.state_rows import version_of
from cottage.version import Version

Rows = Sequence[Row]
"""Those of one version."""


def begun_with(record: Path, symbol: str, epochs: Container[int]) -> dict[int, Version | None]:
    """By those of the epochs under which a process issued its first states: the version up to which its window of the
    symbol held samples when it began; None if that was empty. Without those of which it is not known."""
    found: dict[int, Version | None] = {}
    for name in checkpoints(record):
        ours = name.kind == BEGUN and name.number in epochs
        if not ours or not keys.in_shard(symbol, *keys.shard(name.shard)):
            continue
        try:
            held = versions(name.path(record))
        except (OSError, ValueError):
            continue  # it is gone by now, or damaged
        if held.get(symbol) is not None or symbol not in held:
            found[name.number] = held.get(symbol)
    return found


def held_by_the_last(every: Sequence[Rows], begun: Mapping[int, Version | None]) -> list[Rows]:
    """The versions that the window of the last process stands on. `every`: those of the symbol, ascending. `begun`:
    of `begun_with`."""
    held: list[Rows] = []
    for epoch, of_epoch in groupby(every, lambda rows: int(rows[-1]["epoch"])):
        if held and epoch in begun:
            held = _held(held, begun[epoch])
        held += of_epoch
    return held


def taken_once(every: Sequence[Rows]) -> list[Rows]:
    """The versions without the samples that the last process took again from its feed's list, which the one before it
    had taken: a window that was filled from the record has each once."""
    return [[row for row in rows if row["last"] or not row["reissued"]] for rows in every]


def _held(before: Sequence[Rows], newest: Version | None) -> list[Rows]:
    """Those versions up to the newest. Its regime is that of the state that was stored last: a process goes on with
    it, so that clients see no change."""
    held = [rows for rows in before if newest is not None and version_of(rows[-1]) <= newest]
    if held:
        stored = {name: before[-1][-1][name] for name in ("regime", "regime_since")}
        *taken, own = held[-1]
        held[-1] = [*taken, {**own, **stored}]
    return held
