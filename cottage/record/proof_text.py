"""A proof as lines of text for a person, the verdict first. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from cottage.state import ALPHA_MOST

Report = Mapping[str, Any]
"""What proof_report.py makes."""
NEWEST_INPUTS = 5
"""So many of the window's samples are listed."""
_MOST_REMARKS = 12
_WIDTH = 14
NAMES = {"alpha": "α", "alpha_low": "α low", "alpha_high": "α high", "nash_dist": "nash dist"}


def lines(report: Report) -> Iterator[str]:
    """The proof; a blank line stands between its parts."""
    yield verdict(report)
    for doubt in report["doubts"]:
        yield f"  ✗ {doubt['detail']}"
    if report["state"] is not None:
        yield ""
        yield from _state(report)
    if report["window"] is not None:
        yield ""
        yield from _window(report)
    yield ""
    yield from _record(report)


def verdict(report: Report) -> str:
    """One sentence."""
    version = "-".join(map(str, report["version"]))
    which = f"the state of {report['symbol']} in version {version}"
    if report["proved"]:
        return f"Proved: {which} comes out again from the record, and the record is whole."
    return f"Not proved: {which}, for {len(report['doubts'])} reason{'s' * (len(report['doubts']) > 1)}:"


def interval(state: Mapping[str, Any]) -> str:
    """The 90 % interval of α in words."""
    if state["alpha"] is None:
        return "none"
    high = "no upper end" if state["alpha_high"] == ALPHA_MOST else f"{state['alpha_high']:.4g}"
    return f"{state['alpha']:.4g}, 90 % interval {state['alpha_low']:.4g} to {high}"


def value_text(value: Any) -> str:
    """A field as text, with all its digits."""
    if isinstance(value, list):
        return " ".join(map(str, value)) or "–"
    return "–" if value is None else f"{value:.12g}" if isinstance(value, float) else str(value)


def fields_of(report: Report) -> Iterator[tuple[str, str, str, str]]:
    """Each field as it was recorded and as it comes out, and a mark."""
    different = {each["field"] for each in report["differences"]}
    recomputed = report["recomputed"] or {}
    for name, value in (recomputed or report["state"]).items():
        mark = "✗" if name in different else "=" if recomputed else ""
        again = value_text(value) if recomputed else ""
        yield NAMES.get(name, name), value_text(report["state"][name]), again, mark


def _state(report: Report) -> Iterator[str]:
    state = report["state"]
    times = "".join(f", {name} {state[name]}" for name in ("event_time", "sampled", "written") if state[name])
    yield f"State      {state['regime']}, α {interval(state)}"
    yield f"           price {value_text(state['price'])} of {state['source'] or 'no source'}{times}"
    yield ""
    yield f"           {'':{_WIDTH}}{'as recorded':<25} computed again now"
    for name, recorded, again, mark in fields_of(report):
        yield f"         {mark or ' '} {name:{_WIDTH}}{recorded:<25} {again}".rstrip()


def _window(report: Report) -> Iterator[str]:
    window, inputs = report["window"], report["inputs"]
    sources = ", ".join(window["sources"])
    yield f"Window     {window['samples']:,} samples, {window['from']} to {window['to']}, of {sources}"
    if not window["settled"]:
        yield "           the record begins soon before it, so earlier jumps and corrections are not known"
    for row in inputs[-NEWEST_INPUTS:]:
        counters = ", ".join(
            f"{name} {value_text(row[name])}" for name in ("volume", "trades") if row[name] is not None
        )
        yield "           " + "  ".join(
            filter(None, (row["at"], value_text(row["price"]), counters, " ".join(row["notes"])))
        )
    yield f"           … the newest {min(len(inputs), NEWEST_INPUTS)} of {len(inputs):,}; --json has all"
    remarks = report["remarks"]
    yield f"Remarks    {len(remarks)} of its samples have something to be said of" if remarks else "Remarks    none"
    for remark in remarks[-_MOST_REMARKS:]:
        yield f"           {remark['at']}  {', '.join(remark['words'])}"
    for gap in report["gaps"]:
        yield f"           {gap['since'] or '…'} to {gap['until']}  {gap['kind']}, {gap['cause'] or 'no cause known'}"


def _record(report: Report) -> Iterator[str]:
    prev, chain = report["prev"], report["chain"]
    yield f"Versions   {prev['versions']:,}, each of which says which one it replaced in Redis"
    for each in prev["breaks"]:
        version, before = ("-".join(map(str, each[name])) for name in ("version", "before"))
        replaced = "-".join(map(str, each["prev"])) if each["prev"] else "nothing: Redis had no state"
        yield f"           {version} replaced {replaced}; the record has {before} before it"
    for file in report["files"]:
        yield f"File       {'=' if file['whole'] else '✗'} {file['path']}  sha256 {file['sha256'][:16]}…"
    if report["ahead"]:
        yield f"           {report['ahead']:,} rows are in no closed file yet, so no checksum is kept of them"
    yield f"Chain      {chain_text(chain)}"
    if "head" in chain:
        yield f"           head {chain['head']}"


def chain_text(chain: Mapping[str, Any]) -> str:
    """What can be said of the chain of manifests. Of a proof that is limited to its symbol that is less."""
    if "entries" not in chain:
        return "unbroken" if chain["whole"] else "it does not bear this record out"
    entries = f"{chain['entries']:,} {'entry' if chain['entries'] == 1 else 'entries'}"
    if not chain["whole"]:
        return f"{entries}, which do not bear this record out"
    if chain["kept"] is None:
        return f"{entries}, unbroken; without a head that was kept elsewhere (--head) it may be another one"
    return f"{entries}, unbroken, and the head that was kept, {chain['kept'][:16]}…, is one of them"
