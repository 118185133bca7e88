"""The proof of a recorded state: what it stands on, whether that is whole, and whether it comes out again.

    proof = prove(Record(folder), "SPY", version, recorded)
    proof.proved, proof.doubts

The samples of the state's window are taken from the record, and the state is computed again from them by the plain
reference (cottage/reference/), which shares no line with feynman. Beside that it is asked whether the record is what
was once written: the versions by their `prev`, the files by the manifest, the manifest by its chain, and the chain by
a head that somebody has kept.
"""

import re
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, groupby, pairwise
from typing import NamedTuple

from cottage.errors import HistoryRefusal
from cottage.record.evidence import Evidence, Row
from cottage.record.history import History
from cottage.record.history_span import moment
from cottage.record.manifest import Manifest, RecordFile, as_head
from cottage.record.past_states import PastStates
from cottage.record.recomputation import Recomputation, recompute
from cottage.record.record import Range, Record
from cottage.record.record_events import RecordEvents
from cottage.record.state_rows import version_of
from cottage.record.takeovers import begun_with, held_by_the_last, taken_once
from cottage.record.verification import verify_files
from cottage.version import Version

AFTER_MICROS = 600_000_000
"""Rows that were recorded up to so much later than the state are looked at too: some may belong before it."""
_SPANS_HOURS = (1, 4, 24, 24 * 30)
"""How far back samples are sought, in turn; in the end from the beginning of the record."""
_HOUR_MICROS = 3_600_000_000
MOST_TOLD = 3
"""So many of what is wrong with a record are told where a state is not found."""
_VERSION = re.compile(r"(\d{1,16})-(\d{1,16})", re.ASCII)
_UNREADABLE = (OSError, ValueError, TypeError)
"""What reading a file raises that is no Parquet file any more, or has other columns; pyarrow's errors are among
them."""


class Doubt(NamedTuple):
    """A reason for which a state is not proved."""

    code: str
    detail: str


class Link(NamedTuple):
    """Where the chain of `prev` breaks."""

    version: Version
    prev: Version | None
    """What it replaced in Redis."""
    before: Version
    """The version that the record has before it."""


@dataclass(slots=True)
class Proof:
    """What was found. Times are in microseconds since 1970, as in the record."""

    symbol: str
    version: Version
    given: Row | None = None
    """The row of the state; None where it is not in the record."""
    computed: Recomputation | None = None
    gaps: Sequence[Row] = ()
    """Rows of the table `gaps` in the time of the window."""
    links: Sequence[Link] = ()
    versions: int = 0
    """Through how many versions the chain of `prev` was followed."""
    manifest: Manifest = field(default_factory=Manifest)
    head: str | None = None
    """The head of the chain as it was kept elsewhere."""
    files: Sequence[RecordFile] = ()
    """Those that the proof rests on."""
    ahead: int = 0
    """How many of the rows are written ahead, in no file of the manifest yet."""
    doubts: list[Doubt] = field(default_factory=list)

    @property
    def proved(self) -> bool:
        return not self.doubts

    @property
    def inputs(self) -> list[Row]:
        """The rows of the window's samples, the oldest first."""
        return [] if self.computed is None else [taken.row for taken in self.computed.taken]

    def doubt(self, code: str, detail: str) -> None:
        self.doubts.append(Doubt(code, detail))


def prove(
    record: Record, symbol: str, version: Version, recorded: int, head: str | None = None, widening: float = 1.0
) -> Proof:
    """Prove the state of a version. `recorded`: when it was, in microseconds since 1970. `head`: that of the chain as
    it was kept elsewhere. `widening`: FEYNMAN_INTERVAL_WIDENING of then. Raises FileNotFoundError where there is no
    record, RecordDamaged, or NewerFormat."""
    manifest = record.manifest()
    proof = Proof(symbol, version, manifest=manifest, head=head)
    try:
        versions, begun, since = _versions(record, symbol, version, recorded)
    except _UNREADABLE as error:
        versions, begun, since = [], {}, recorded - _SPANS_HOURS[0] * _HOUR_MICROS
        proof.doubt("unreadable", f"a file of the record cannot be read: {error}")
    files = record.files("samples", manifest, {"recorded": (since, recorded + AFTER_MICROS)})
    proof.files = files
    for finding in verify_files(record.folder, manifest, files, head):
        proof.doubt(finding.kind.replace(" ", "_"), str(finding))
    spans = [file.recorded for file in files]
    rows = chain.from_iterable(versions)
    proof.ahead = sum(not any(begin <= row["recorded"] <= end for begin, end in spans) for row in rows)
    try:
        _compute(proof, versions, widening, begun)
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        if not proof.doubts:
            raise
        # What is not as it was written need not make sense, such as samples without a price.
        proof.doubt("unreadable", f"nothing can be computed from these rows: {error}")
    if proof.inputs:
        times = [row["at"] for row in proof.inputs]
        proof.gaps = _gaps(record, symbol, (min(times), max(times) + 1))
    return proof


def proof_of(
    record: Record,
    symbol: str,
    at: str | None = None,
    version: str | None = None,
    head: str | None = None,
    widening: float = 1.0,
) -> Proof:
    """Prove the state that Redis had `at` a time (RFC 3339, or seconds since 1970), or a `version` (epoch-seq), or
    the newest one. See `prove`. Raises HistoryRefusal, RecordDamaged, or NewerFormat."""
    wanted = wanted_version(version, at)
    check_head(head)
    try:
        manifest = record.manifest()
    except FileNotFoundError as error:
        raise HistoryRefusal("no_record", f"there is no record in {record.folder}: the recorder writes it") from error
    try:
        found, recorded = _recorded(record, symbol, None if at is None else moment(at, "at"), wanted)
    except (HistoryRefusal, *_UNREADABLE) as error:
        wrong = verify_files(record.folder, manifest, record.files("samples", manifest), head)
        if not wrong:
            raise
        # It may be in what is not as it was written.
        detail = f"{error}; and the record is not what was written: {'; '.join(map(str, wrong[:MOST_TOLD]))}"
        raise HistoryRefusal("not_recorded", detail) from error
    return prove(record, symbol, found, recorded, head, widening)


def check_head(head: str | None) -> None:
    """Raises HistoryRefusal for what is no hash."""
    if head is not None:
        try:
            as_head(head)
        except ValueError as error:
            raise HistoryRefusal("bad_parameter", str(error)) from error


def wanted_version(version: str | None, at: str | None = None, name: str = "version") -> Version | None:
    """The version of a text `epoch-seq`. Raises HistoryRefusal for what is none, or where a time is given too, and
    for a time that is none. `name`: of the parameter."""
    if at is not None:
        moment(at, "at")
    if version is None:
        return None
    if at is not None:
        raise HistoryRefusal("bad_parameter", "at and version are two ways to say which state: give one of them")
    if (match := _VERSION.fullmatch(version)) is None:
        raise HistoryRefusal("bad_parameter", f"{name} must be epoch-seq, such as 1766318400000-4711")
    return Version(int(match[1]), int(match[2]))


def _recorded(record: Record, symbol: str, at: int | None, version: Version | None) -> tuple[Version, int]:
    """The version that held at a time, or this one, or the newest of all, and when it was recorded; in microseconds
    since 1970. Raises HistoryRefusal."""
    events = RecordEvents(record, History(record))
    past = PastStates(record, events)
    if version is not None:
        found = past.version(symbol, version)
    elif at is not None:
        found = past.at(symbol, at)
    else:
        found = past.at(symbol, events.reach(), removed_too=True)
    assert found.state.version is not None
    return found.state.version, found.recorded


def _versions(
    record: Record, symbol: str, version: Version, recorded: int
) -> tuple[list[list[Row]], dict[int, Version | None], int | None]:
    """The rows of each version of the symbol that may belong to the state, with what `begun_with` says of their
    epochs, and since when they were recorded: twice as many samples as its window holds, where the record has so
    many."""
    versions: list[list[Row]] = []
    begun: dict[int, Version | None] = {}
    since = None
    for since in (*(recorded - hours * _HOUR_MICROS for hours in _SPANS_HOURS), None):
        found = record.scan("samples", symbols=[symbol], recorded=(since, recorded + AFTER_MICROS))
        rows = sorted(found.to_pylist(), key=lambda row: (row["epoch"], row["seq"], row["number"]))
        versions = [list(each) for _, each in groupby(rows, version_of)]
        begun = begun_with(record.folder, symbol, {row["epoch"] for row in rows})
        known = [each for each in versions if version_of(each[-1]) <= version]
        own = known[-1][-1] if known else None
        if own is None or version_of(own) != version or not own["samples"]:
            continue
        full = {epoch: newest for epoch, newest in begun.items() if newest is not None}
        held = chain.from_iterable(held_by_the_last(known, full))
        if sum(not row["reissued"] for row in held) > 2 * own["samples"] + 64:
            break
    return versions, begun, since


def _compute(
    proof: Proof, versions: Sequence[Sequence[Row]], widening: float, begun: Mapping[int, Version | None]
) -> None:
    """Compute the state again. `versions`: the rows of each, those after it included. `begun`: of `begun_with`."""
    known = [rows for rows in versions if version_of(rows[-1]) <= proof.version]
    if not known or version_of(known[-1][-1]) != proof.version or not known[-1][-1]["last"]:
        proof.doubt("not_recorded", f"version {shown(proof.version)} is not in the record")
        return
    proof.given = known[-1][-1]
    if proof.given["regime"] is None:
        proof.doubt("inputs_only", "the record has the samples and not the state: RECORDER_STATES was `inputs`")
        return
    computed = recompute(Evidence.of(held_by_the_last(known, begun)), widening)
    if not computed.comes_out:
        # A window that began empty and was filled from the record holds what the processes before it have taken.
        filled = recompute(Evidence.of(taken_once(known)), widening)
        computed = filled if filled.comes_out else computed
    proof.computed = computed
    begin = version_of(computed.taken[0].row) if computed.taken else proof.version
    places = [place for place, rows in enumerate(versions) if begin <= version_of(rows[-1]) <= proof.version]
    _follow(proof, versions[max(places[0] - 1, 0) : places[-1] + 2])
    _doubt_state(proof, computed, begun)


def _follow(proof: Proof, versions: Sequence[Sequence[Row]]) -> None:
    """Follow the chain of `prev` from one version to the next: from the one before the window to the one after."""
    links = []
    for rows in versions:
        if [row["number"] for row in rows] != list(range(len(rows))) or not rows[-1]["last"]:
            numbers = ", ".join(str(row["number"]) for row in rows)
            version = shown(version_of(rows[-1]))
            proof.doubt("rows", f"version {version} has the rows {numbers}, and not each from 0 to its own once")
    for before, after in pairwise(versions):
        own = after[-1]
        prev = None if own["prev_epoch"] is None else Version(own["prev_epoch"], own["prev_seq"])
        if own["written"] is not None and prev != version_of(before[-1]):
            links.append(Link(version_of(own), prev, version_of(before[-1])))
    proof.links, proof.versions = links, len(versions)
    there = {version_of(rows[-1]) for rows in versions}
    for link in links:
        if link.prev is None:  # Redis had lost the state: nothing says that a version is missing
            continue
        if link.prev in there:
            proof.doubt(
                "added",
                f"version {shown(link.before)} does not belong there: {shown(link.version)} replaced "
                f"{shown(link.prev)} in Redis",
            )
        else:
            proof.doubt(
                "missing",
                f"version {shown(link.prev)} is missing: {shown(link.version)} replaced it in Redis, "
                f"and the record has {shown(link.before)} before",
            )


def _doubt_state(proof: Proof, computed: Recomputation, begun: Container[int]) -> None:
    """`begun`: the epochs of the processes of which it is known with which samples they began."""
    window = computed.window
    if window.missing:
        proof.doubt(
            "window",
            f"the window began before the record: {window.missing} of the samples that it stands on "
            f"{'is' if window.missing == 1 else 'are'} not recorded",
        )
    epochs = sorted({row["epoch"] for row in proof.inputs})
    unknown = [epoch for epoch in epochs[1:] if epoch not in begun]
    if unknown and not computed.comes_out and not window.missing:
        fields = ", ".join(difference.field for difference in computed.differences) or "step"
        proof.doubt(
            "writers",
            f"another process of feynman took over with epoch {unknown[-1]} ({len(epochs)} writers in the window), "
            f"and the record does not tell with which samples: so these fields cannot be computed again: {fields}",
        )
        return
    for difference in computed.differences:
        proof.doubt(
            "differs",
            f"{difference.field} was recorded as {difference.recorded!r} and comes out as {difference.recomputed!r}",
        )
    for row in computed.odd_steps:
        proof.doubt(
            "step",
            f"the step {row['step']:g} of version {shown(version_of(row))} does not follow from the "
            "samples before it",
        )


def _gaps(record: Record, symbol: str, at: Range) -> list[Row]:
    """The rows of the table `gaps` that reach into this time."""
    since, until = at
    assert since is not None
    assert until is not None
    found = record.scan("gaps", symbols=[symbol]).to_pylist()
    gaps = [gap for gap in found if gap["until"] >= since and (gap["since"] or gap["until"]) < until]
    return sorted(gaps, key=lambda gap: (gap["until"], gap["recorded"]))


def shown(version: Version) -> str:
    return f"{version.epoch}-{version.seq}"
