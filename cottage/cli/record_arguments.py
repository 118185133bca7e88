"""The commands of `cottage` that ask the physics API about the record: their options and the texts of `--help`."""

import argparse
from collections.abc import Mapping

from cottage import urls
from cottage.api_client import API_URL, TIMEOUT, URL_VARIABLE, api_url
from cottage.cli.token_option import TOKEN_VARIABLES, add_token
from cottage.cli.typed_times import typed_duration, typed_moment
from cottage.cli.values import chain_head, names, seconds, symbol, symbols
from cottage.state import REGIMES

_ENVIRONMENT = f"""\
environment:
  {URL_VARIABLE}  the physics API, if --url is not given
{TOKEN_VARIABLES}
"""
_TIMES = """\
TIME is 14:31:07 (the last one that has passed), 2025-12-21T14:31:07 or 2025-12-21 (all in UTC), or
states its zone: 2025-12-21T15:31:07+01:00. DURATION is 90s, 10m, 1.5h or 7d."""
_STATUS = """\
exit status:
  0  done; also after Ctrl-C, and when a pipe is closed
  1  the API does not answer, or the record has none of it, and one line says why
  2  an argument is wrong; or the table needs rich:
     pip install 'curiosity-cottage[terminal]'
"""

HISTORY = f"""\
What was recorded, as points: one for each bucket of time, labelled by its start. On a terminal it
shows charts of the price and of the 90 % interval of α, with the regimes (▾ where one changed) and
the gaps (×) beneath, and the newest points; of several symbols a line each. … marks the bucket that
is still running. Nothing is carried into a bucket without a sample: it is left out of the list.

Elsewhere (a pipe, a file) it prints a JSON line for each point, as with --json:

  {{"symbol":"SPY","time":"2025-12-21T14:31:00.000Z","count":10,"open":450.3,"close":450.32,…}}

{_TIMES}
Without --last and --from it is the last hour before the newest event of the source.

examples:
  cottage history SPY --last 1h
  cottage history SPY --last 1h --step 10s --csv > spy.csv
  cottage history SPY,QQQ --from 14:00 --to 14:30 --arrow both.arrow
  cottage history SPY --fields price,momentum,entropy --json | jq .momentum
  cottage history SPY --source replay --last 7d

{_ENVIRONMENT}
{_STATUS}"""

CHANGES = f"""\
Which symbols changed their regime or freshness, of all or of those named, oldest first: by the time
when that was recorded. A change of the freshness of all symbols has * for a symbol.

Elsewhere than on a terminal it prints a JSON line for each, as with --json.

{_TIMES}
Without --last and --from it is the last hour before the newest that is recorded.

examples:
  cottage changes --last 10m
  cottage changes --last 10m --regime Critical --json | jq -r .symbol
  cottage changes SPY,QQQ --from 14:00 --to 14:30

{_ENVIRONMENT}
{_STATUS}"""

GAPS = f"""\
Where data are missing, with the cause, of all symbols or of those named, oldest first, and the
outages of the hops: by the time when that was recorded. `missed` are versions of which Redis had a
state and the record has none; all other kinds are of the market.

Elsewhere than on a terminal it prints a JSON line for each, as with --json; those of outages have
"kind":"outage".

{_TIMES}
Without --last and --from it is the last hour before the newest that is recorded.

examples:
  cottage gaps
  cottage gaps SPY --last 7d
  cottage gaps --last 1d --json | jq 'select(.kind == "missed")'

{_ENVIRONMENT}
{_STATUS}"""


PROOF = f"""\
Whether a recorded state can be believed: the state as it was given, the samples that it stands on,
whether it comes out again when it is computed from the record now (to 1e-9), and whether the record
is what was once written: its versions, its files, and the chain of its manifests.

{_TIMES}
Without --at and --version it is the newest state. With --head the chain must have an entry with this
hash (64 digits), which the recorder logs each minute (record_head): who alters files can make a chain that fits
them, but none that has a head which was said before.

examples:
  cottage proof SPY --at 14:31:07
  cottage proof SPY --version 1766318400000-4711 --head HASH
  cottage proof SPY --at 2025-12-21T14:31:07 --dir /var/lib/cottage/record
  cottage proof SPY --at 14:31:07 --page proof.html

{_ENVIRONMENT}
exit status:
  0  proved
  1  not proved, and why; or the API does not answer, or the record has no such state
  2  an argument is wrong
"""


def add_proof(proof: argparse.ArgumentParser, environment: Mapping[str, str]) -> None:
    proof.add_argument("symbol", type=symbol, metavar="SYMBOL", help="such as SPY")
    which = proof.add_mutually_exclusive_group()
    which.add_argument("--at", type=typed_moment, metavar="TIME", help="the state that Redis had then")
    which.add_argument("--version", metavar="EPOCH-SEQ", help="exactly this one")
    proof.add_argument(
        "--head", type=chain_head, metavar="HASH", help="a head of the record's chain that was kept elsewhere"
    )
    proof.add_argument(
        "--widening",
        type=float,
        default=1.0,
        metavar="FACTOR",
        help="FEYNMAN_INTERVAL_WIDENING of then (default: 1)",
    )
    formats = proof.add_mutually_exclusive_group()
    formats.add_argument("--json", action="store_true", help="print all of it as JSON")
    formats.add_argument("--page", metavar="FILE", help="write a page that prints into a file")
    proof.add_argument("--dir", metavar="FOLDER", help="read the record in this folder, instead of asking the API")
    _add_api(proof, environment)


def add_history(history: argparse.ArgumentParser, environment: Mapping[str, str]) -> None:
    history.add_argument("symbols", nargs="+", type=symbols, metavar="SYMBOL", help="such as SPY, or SPY,QQQ")
    _add_times(history)
    buckets = history.add_mutually_exclusive_group()
    buckets.add_argument("--step", type=typed_duration, metavar="DURATION", help="how long a bucket is")
    buckets.add_argument("--points", type=int, metavar="N", help="into how many buckets the time is divided")
    history.add_argument(
        "--fields",
        type=names,
        metavar="NAMES",
        help="comma-separated (default: price,alpha,regime,freshness); others: pillars such as momentum, "
        "volume, trades, bid, ask, samples, nonzero, holes, …",
    )
    history.add_argument("--source", help="of this source, such as replay (default: that of the newest row)")
    history.add_argument(
        "--run", type=int, metavar="RUN", help="of this run of it, by its number (default: the newest)"
    )
    history.add_argument(
        "--by",
        choices=("at", "written"),
        help="buckets by the market's time, or by Redis's when written (default: at)",
    )
    formats = _add_formats(history)
    formats.add_argument("--arrow", metavar="FILE", help="write an Arrow stream into a file; - is standard output")
    _add_api(history, environment)


def add_changes(changes: argparse.ArgumentParser, environment: Mapping[str, str]) -> None:
    _add_events(changes, environment)
    kinds = changes.add_mutually_exclusive_group()
    kinds.add_argument("--kind", choices=("regime", "freshness"), help="only changes of that")
    kinds.add_argument("--regime", choices=sorted(REGIMES), help="only changes to this regime")


def add_gaps(gaps: argparse.ArgumentParser, environment: Mapping[str, str]) -> None:
    _add_events(gaps, environment)


def _add_events(command: argparse.ArgumentParser, environment: Mapping[str, str]) -> None:
    command.add_argument("symbols", nargs="*", type=symbols, metavar="SYMBOL", help="such as SPY,QQQ (default: all)")
    _add_times(command)
    _add_formats(command)
    _add_api(command, environment)


def _add_times(command: argparse.ArgumentParser) -> None:
    command.add_argument("--last", type=typed_duration, metavar="DURATION", help="so long before the newest")
    command.add_argument("--from", dest="start", type=typed_moment, metavar="TIME", help="from then on")
    command.add_argument("--to", dest="end", type=typed_moment, metavar="TIME", help="before then")


def _add_formats(command: argparse.ArgumentParser) -> "argparse._MutuallyExclusiveGroup":
    formats = command.add_mutually_exclusive_group()
    formats.add_argument("--json", action="store_true", help="print JSON lines, also on a terminal")
    formats.add_argument("--csv", action="store_true", help="print CSV with a header")
    return formats


def _add_api(command: argparse.ArgumentParser, environment: Mapping[str, str]) -> None:
    command.add_argument(
        "--url",
        type=_api,
        default=api_url(environment),
        help=f"the physics API (default: {URL_VARIABLE}, else {API_URL})",
    )
    add_token(command)
    command.add_argument(
        "--timeout",
        type=seconds,
        metavar="SECONDS",
        default=TIMEOUT,
        help=f"how long the answer may take (default: {TIMEOUT:g})",
    )


def _api(text: str) -> str:
    try:
        return urls.http_server(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{error} ({URL_VARIABLE}, where it is not given)") from error
