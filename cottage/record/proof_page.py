"""A proof as a page that prints on A4: one HTML document without scripts, or anything from elsewhere. Pure."""

from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from html import escape
from typing import Any

from cottage.record.proof_text import Report, chain_text, fields_of, interval, value_text, verdict

HTML = "text/html"
STYLE = """
@page { size: A4; margin: 18mm }
body { font: 10pt/1.45 system-ui, sans-serif; color: #111; background: #fff; max-width: 174mm; margin: 0 auto }
h1 { font-size: 15pt; margin: 0 0 4pt } h2 { font-size: 11pt; margin: 14pt 0 4pt }
p { margin: 2pt 0 } .verdict { padding: 8pt 10pt; border: 1.5pt solid #1a7f37; font-weight: 600 }
.no { border-color: #b42318 } ul { margin: 4pt 0; padding-left: 14pt } .no li { font-weight: 400 }
table { border-collapse: collapse; width: 100% } tr { break-inside: avoid }
th, td { text-align: left; padding: 1.5pt 8pt 1.5pt 0; border-bottom: .5pt solid #ccc }
td { font-variant-numeric: tabular-nums }
.differs td { background: #fde8e6 } code { font-size: 8pt; overflow-wrap: anywhere } svg { width: 100%; height: auto }
footer { margin-top: 14pt; color: #555; font-size: 8pt }
"""
POLICY = (
    "default-src 'none'; style-src 'sha256-" + b64encode(sha256(STYLE.encode()).digest()).decode() + "'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
"""The Content-Security-Policy under which the page is whole."""
NEWEST_INPUTS = 20
_WIDTH, _HEIGHT = 700, 150


def page(report: Report) -> str:
    """The page."""
    symbol, version = report["symbol"], "-".join(map(str, report["version"]))
    title = f"Proof of {symbol}, version {version}"
    parts = [f"<h1>{escape(title)}</h1>", _verdict(report)]
    if report["state"] is not None:
        parts += _state(report)
    if report["window"] is not None:
        parts += _window(report)
    parts += _record(report)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{STYLE}</style></head><body>\n" + "\n".join(parts) + "\n<footer>Computed from the record by the "
        "plain reference of the estimators: docs/record.md, “Proof”.</footer></body></html>\n"
    )


def _verdict(report: Report) -> str:
    doubts = "".join(f"<li>{escape(doubt['detail'])}</li>" for doubt in report["doubts"])
    kind = "verdict" if report["proved"] else "verdict no"
    return f'<div class="{kind}">{escape(verdict(report))}{f"<ul>{doubts}</ul>" if doubts else ""}</div>'


def _state(report: Report) -> Iterator[str]:
    state = report["state"]
    yield "<h2>The state as it was given</h2>"
    yield _paragraph(f"{state['regime']}, α {interval(state)}; price {value_text(state['price'])}")
    names = ("source", "feed", "event_time", "feed_time", "sampled", "received", "written", "recorded")
    yield _paragraph("; ".join(f"{name} {state[name]}" for name in names if state[name]))
    rows = [
        (mark == "✗", (name, recorded, again, {"=": "the same", "✗": "differs"}.get(mark, "")))
        for name, recorded, again, mark in fields_of(report)
    ]
    yield _table(("field", "as recorded", "computed again", ""), rows)


def _window(report: Report) -> Iterator[str]:
    window, inputs = report["window"], report["inputs"]
    yield "<h2>What it stands on</h2>"
    sources = ", ".join(window["sources"])
    yield _paragraph(f"{window['samples']:,} samples of {sources}, {window['from']} to {window['to']}.")
    yield _chart(inputs, report["remarks"])
    if report["remarks"] or report["gaps"]:
        yield "<h2>Holes, breaks and corrections in it</h2>"
        told = [(False, (remark["at"], ", ".join(remark["words"]))) for remark in report["remarks"]]
        told += [
            (False, (gap["until"], f"{gap['kind']}: {gap['cause'] or 'no cause known'}")) for gap in report["gaps"]
        ]
        yield _table(("time", ""), told)
    yield f"<h2>Its newest {min(NEWEST_INPUTS, len(inputs))} samples</h2>"
    names = ("at", "price", "volume", "trades", "notes")
    yield _table(names, [(False, [value_text(row[name]) for name in names]) for row in inputs[-NEWEST_INPUTS:]])


def _record(report: Report) -> Iterator[str]:
    chain, breaks = report["chain"], report["prev"]["breaks"]
    yield "<h2>The record</h2>"
    broken = f", with {len(breaks)} breaks" if breaks else ", unbroken"
    yield _paragraph(f"Chain of versions: {report['prev']['versions']:,}{broken}.")
    yield _paragraph(f"Chain of manifests: {chain_text(chain)}.")
    if "head" in chain:
        yield f"<p>Head: <code>{escape(chain['head'])}</code></p>"
    if report["ahead"]:
        yield _paragraph(f"{report['ahead']:,} rows are in no closed file yet.")
    rows = []
    for file in report["files"]:
        told = file["path"], f"{file['rows']:,}", file["sha256"], "as written" if file["whole"] else "altered"
        rows.append((not file["whole"], told))
    if rows:
        yield _table(("file", "rows", "SHA-256 in the manifest", "it is"), rows, code=True)


def _paragraph(text: str) -> str:
    return f"<p>{escape(text)}</p>"


def _table(heads: Sequence[str], rows: Iterable[tuple[bool, Sequence[str]]], *, code: bool = False) -> str:
    """A table; a row is marked where its flag is set."""
    cell = "<td><code>{}</code></td>" if code else "<td>{}</td>"
    head = "".join(f"<th>{escape(name)}</th>" for name in heads)
    lines = []
    for marked, cells in rows:
        begin = '<tr class="differs">' if marked else "<tr>"
        lines.append(begin + "".join(cell.format(escape(each)) for each in cells) + "</tr>")
    body = "".join(lines)
    return f"<table><tr>{head}</tr>{body}</table>"


def _chart(inputs: Sequence[Mapping[str, Any]], remarks: Sequence[Mapping[str, Any]]) -> str:
    """The window's prices, sample by sample, with a mark at each of which something is to be said."""
    prices = [row["price"] for row in inputs]
    if len(prices) < 2:
        return ""
    low, high = min(prices), max(prices)
    span = (high - low) or 1.0

    def across(place: int) -> float:
        return round(place / (len(prices) - 1) * _WIDTH, 1)

    points = " ".join(
        f"{across(i)},{round(10 + (high - price) / span * (_HEIGHT - 20), 1)}" for i, price in enumerate(prices)
    )
    said = {remark["at"] for remark in remarks}
    marks = "".join(
        f'<line x1="{across(i)}" x2="{across(i)}" y1="0" y2="{_HEIGHT}" stroke="#b42318" stroke-width=".6" '
        'stroke-dasharray="2 2"/>'
        for i, row in enumerate(inputs)
        if row["at"] in said
    )
    labels = "".join(
        f'<text x="2" y="{y}" font-size="9" fill="#555">{escape(value_text(price))}</text>'
        for y, price in ((9, high), (_HEIGHT - 1, low))
    )
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="the prices of the window">{marks}'
        f'<polyline points="{points}" fill="none" stroke="#1f4e9c" stroke-width="1"/>{labels}</svg>'
    )
