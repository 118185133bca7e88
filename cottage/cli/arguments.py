"""The command line of `cottage`: its commands, their options, and the texts of `--help`."""

import argparse
import os
import re
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any, NoReturn

from cottage import __version__, urls
from cottage.api_client import URL_VARIABLE as API_VARIABLE
from cottage.cli import record_arguments
from cottage.cli.token_option import TOKEN_VARIABLES, add_token
from cottage.cli.typed_times import typed_duration
from cottage.cli.values import chain_head, seconds, symbols
from cottage.errors import SettingsError
from cottage.files.options import ORDERS
from cottage.probe import SECONDS
from cottage.protocol import BATCHES
from cottage.redis_login import redis_url_of
from cottage.token_file import token_of
from cottage.unknown_arguments import unknown_arguments
from cottage.variables import value_of

MOST_NAME = 255
"""The most characters of a name in a token (common/auth/compact_token.py)."""
SERVER_URL = "ws://127.0.0.1:8765/ws"
REDIS_URL = "redis://localhost:6379"

URL_VARIABLE = "  COTTAGE_URL      the broadcaster's WebSocket, if --url is not given"
REDIS_VARIABLE = """\
  REDIS_URL        the Redis, if --redis-url is not given
  REDIS_USERNAME, REDIS_PASSWORD
                   who asks it, where the URL does not say. Put a password here and not into the
                   command line, which every user of the machine can see, or into a file, of which
                   REDIS_PASSWORD_FILE (REDIS_URL_FILE) has the path"""

COTTAGE = f"""\
examples:
  cottage watch SPY,QQQ     a live table
  cottage state SPY         one JSON object
  cottage history SPY       what was recorded of it in the last hour
  cottage changes           which symbols changed regime or freshness
  cottage gaps              where data are missing
  cottage proof SPY         whether a recorded state can be believed
  cottage probe --full      whether everything up to feynman works
  cottage retire 'OLD*'     forget symbols that are gone for good
  cottage inspect FILE      what is understood of a recording
  cottage compare A B       where two records differ
  cottage token --help      a token for development
  cottage watch --help      the options of a command

environment:
{URL_VARIABLE}
  {API_VARIABLE}  the physics API, if --url is not given
{REDIS_VARIABLE}
{TOKEN_VARIABLES}

exit status:
  0  done; also after Ctrl-C, and when a pipe is closed
  1  it could not be done, and one line says why
  2  an argument is wrong, or a package is missing
"""

WATCH = f"""\
On a terminal it shows a table that is redrawn twice a second, so ages grow even if nothing
arrives. Stale and expired rows are coloured, and say which hop is broken. A dash is a number
that means nothing now.

  regime   Gaussian: the variance is finite; Lévy Stable: in doubt; Critical: not finite.
           WAIT: too little to tell. It is kept until the evidence is against it, and the way
           back to a lighter one takes about a window (16 minutes at 1,000 samples).
  α 90 %   the interval of the tail index α; ≥: it has no upper end
  held     how long the regime has held

Elsewhere (a pipe, a file) it prints JSON lines, as with --json:

  {{"symbol":"SPY","state":{{"regime":"Gaussian",…}},"freshness":"live","cause":null,"age":0.412}}

one for each change of a state or of its freshness. `age` is in seconds since the sample;
`state` is null if there is none. A slow reader gets the newest state of each symbol. Problems
of the connection are printed to standard error, and the command waits for a server that is away.

examples:
  cottage watch                                      all symbols
  cottage watch SPY,QQQ --url wss://example.org/ws
  cottage watch --once                               the table, once
  cottage watch SPY --json | jq -r .state.regime
  cottage watch SPY --json | head -1
  cottage watch --url wss://example.org/ws --token-file ~/.cottage-token

environment:
{URL_VARIABLE}
{TOKEN_VARIABLES}

exit status:
  0  after Ctrl-C, when a pipe is closed, and with --once
  1  with --once: no server in time; or the server refuses this client, or its token
  2  a bad symbol or option; or the table needs rich:
     pip install 'curiosity-cottage[terminal]'
"""

STATE = f"""\
It prints one JSON line for each symbol: the state stored in `physics:state:SYMBOL`, with `symbol`
and `freshness`: `status` (live, stale or expired), `cause` (the broken hop), `age_ms` by Redis's
clock, and `origin`.

examples:
  cottage state SPY
  cottage state SPY QQQ | jq .regime
  cottage state SPY --max-age 3 > state.json || echo "not to be used"
  cottage state SPY --stored       the stored value, unchecked

environment:
{REDIS_VARIABLE}

exit status:
  0  all were printed
  1  Redis does not answer or has no such state, or a state is older than --max-age: one line
     says which, and the others are printed
  2  a bad symbol, option or URL
"""

RETIRE = f"""\
A state stays in Redis when its feed ends, since a closed market must not lose it. This asks
feynman to forget symbols that are gone for good: their windows, snapshots and states. It prints
the symbols that are gone. What a living feed brings is refused, and the feed is named.

A pattern is one of Redis's: * is any text, ? any character, [AB] one of these.

examples:
  cottage retire OLD
  cottage retire 'TEST*' '*-DEMO'
  cottage retire '*' --dry-run     what no living feed brings

environment:
{REDIS_VARIABLE}

exit status:
  0  all that match are retired; with --dry-run: could be
  1  Redis does not answer or has no such state; or a living feed brings some, or no feynman took
     them within 5 seconds: one line says which, and the others are retired
  2  a bad pattern, option or URL
"""

PROBE = f"""\
It connects as a client, waits for a SNAPSHOT and a HEARTBEAT, and takes {SECONDS:g} seconds at most.
Without --full a broadcaster is healthy even while the bridge, Redis or feynman is away, since a
restart of the broadcaster would not help.

examples:
  cottage probe
  cottage probe --full --url ws://10.0.0.7:8765/ws

environment:
{URL_VARIABLE}
{TOKEN_VARIABLES}

exit status:
  0  clients are served (with --full: and feynman is heard through the whole chain)
  1  clients are not served, and one line says why
  2  a bad option or URL
"""


INSPECT = """\
It reads the first 100,000 rows of a recording (CSV and its relatives, JSON, Parquet, Arrow; .gz, .zst, .zip; a
folder or a 'glob*.csv') as a replay would, and prints what it takes them for: what each column is, the
times' unit and zone, what a bar's stamp means, the symbols, what was left out, and the first rows as they
will be sent. What the file does not say for certain is listed with the option that says otherwise.

examples:
  cottage inspect BTCUSDT-1m-2025-01.zip
  cottage inspect ticks/ --all --json | jq .left_out
  cottage inspect prices.csv --zone America/New_York --stamp close --symbol SPY
  cottage inspect dump.csv --format time,open,high,low,close,volume

environment:
  MARKET_FORMAT, MARKET_TIME, … state what --format, --time, … do, as they do for the market service

exit status:
  0  the recording can be replayed
  2  it cannot, or two readings of it fit: one line says why, and which option chooses
"""

COMPARE = """\
It compares what two records say of the market and of its physics, sample by sample, in a form without who
recorded it and when: B may be the record of a replay of A, also with a changed setting. It prints the first
difference by the market's time, and how many there are in each field.

Where windows begin in the records, or a replay began with a checkpoint, all digits must be the same, from the
first sample on. Else numbers may be 1e-9 apart, and a symbol is compared once its window, its grid of prices,
its step and its regime have all been settled anew.

examples:
  cottage compare data/record data/replayed

exit status:
  0  equal
  1  not equal, or nothing could be compared; or a record cannot be read
  2  pyarrow or DuckDB are missing: pip install 'curiosity-cottage[files]'
"""

VERIFY = """\
It reads all files of a record, and holds each against the chain of all that was ever added or removed: by its
checksum, by the digest of its rows, and by their number and order. It names each file that is missing, exchanged
or unknown, each row that is altered, dropped, added or doubled as far as that can be told, and where the chain is
broken. A recorder may write meanwhile.

With --head the chain must have an entry with this hash (64 digits), which the recorder logs each minute
(record_head).

examples:
  cottage verify .run/record
  cottage verify .run/record --head HASH

exit status:
  0  all is as it was written
  1  it is not
  2  there is no record, or the head is no hash; or pyarrow is missing: pip install 'curiosity-cottage[files]'
"""

TOKEN = """\
It prints a token for clients of servers that have the same AUTH_SECRET, and on standard error what
it allows. It is for development, and for a desk of a few people: whoever has the secret can mint.

Symbols are literal, or prefixes with a star; * is all. Without --events there are states alone.

examples:
  cottage token --symbols 'SPY,BTC-*' --ttl 1h
  cottage token --symbols '*' --events AGENT_UPDATE --sub zoe --secret-file auth_secret
  curl -H "Authorization: Bearer $(cottage token --symbols SPY)" http://127.0.0.1:8001/v1/physics/SPY

environment:
  AUTH_SECRET      the servers' secret of 32 bytes or more, or AUTH_SECRET_FILE, which names its file
  AUTH_AUDIENCE    the servers' audience, if --audience is not given (default: cottage)

exit status:
  0  the token was printed
  2  a bad option, or no secret; or joserfc is missing: pip install 'curiosity-cottage[tokens]'
"""

OPTIONS = {
    "format": ("NAME", "a vendor's format, or the columns of a file without a header, in order: time,price,size"),
    "time": ("COLUMN", "the column of the time at which a row is published, or: exchange, receive"),
    "zone": ("ZONE", "the zone of times that state none: America/New_York, UTC, -05:00"),
    "stamp": ("open|close", "what a bar's time stands for"),
    "price": ("COLUMN", "the column of the price, or adj for the adjusted close"),
    "size": ("COLUMN", "the column of the size or the volume"),
    "symbol": ("SYMBOL", "the symbol of a file that names none, or the column that has it"),
    "order": ("WORDS", f"of dates and of rows of one time, comma-separated: {', '.join(ORDERS)}"),
    "conditions": ("all|tape", "which prices count"),
}

_PATTERN = re.compile(r"[A-Z0-9._\-*?\[\]^]{1,64}")


class _Parser(argparse.ArgumentParser):
    """The parser of `cottage` and of each command. Help texts keep their layout; an error is printed as one line."""

    def __init__(self, **options: Any) -> None:
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False, **options)

    def parse_args(  # type: ignore[override]  # it takes no namespace
        self, arguments: Sequence[str] | None = None
    ) -> argparse.Namespace:
        given, unknown = self.parse_known_args(arguments)
        if unknown:
            self.error(unknown_arguments(unknown))
        return given

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def parse(arguments: Sequence[str] | None = None, environment: Mapping[str, str] = os.environ) -> argparse.Namespace:
    """Parse the command line. Exits with 0 after --help and --version, and with 2 if an argument is wrong."""
    parser = _Parser(
        prog="cottage", description="The market's physics state, and how far it can be trusted.", epilog=COTTAGE
    )
    parser.add_argument("--version", action="version", version=f"cottage {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, text, epilog, add in _COMMANDS:
        add(
            commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.", epilog=epilog),
            environment,
        )
    given = parser.parse_args(arguments)
    try:
        if "token_file" in given:
            given.token = token_of(environment, given.token_file)
        if "redis_url" in given:  # not before: no other command needs the files of secrets
            given.redis_url = redis_url_of(environment, REDIS_URL, given.redis_url)
    except SettingsError as error:
        commands.choices[given.command].error(str(error))
    if "symbols" in given:
        given.symbols = list(dict.fromkeys(chain.from_iterable(given.symbols)))
        if given.command in ("state", "history") and not given.symbols:
            commands.choices[given.command].error("which symbol?")
    return given


def _add_watch(watch: argparse.ArgumentParser, environment: Mapping[str, str]) -> None:
    watch.add_argument("symbols", nargs="*", type=symbols, metavar="SYMBOLS", help="such as SPY,QQQ (default: all)")
    _add_url(watch, environment)
    add_token(watch)
    watch.add_argument(
        "--batch",
        type=int,
        metavar="MS",
        choices=(0, *BATCHES),
        default=0,
        help="milliseconds for which the server gathers changes, for thousands of symbols (default: 0, no batches)",
    )
    watch.add_argument("--json", action="store_true", help="print JSON lines, also on a terminal")
    watch.add_argument("--once", action="store_true", help="show the present states once, and end")
    watch.add_argument(
        "--timeout",
        type=seconds,
        metavar="SECONDS",
        default=5.0,
        help="with --once: how long to wait for a server (default: 5)",
    )


def _add_url(command: argparse.ArgumentParser, environment: Mapping[str, str]) -> None:
    command.add_argument(
        "--url",
        type=_url,
        default=value_of(environment, "COTTAGE_URL") or SERVER_URL,
        help=f"WebSocket of a broadcaster (default: COTTAGE_URL, else {SERVER_URL})",
    )


def _add_redis(command: argparse.ArgumentParser, _environment: Mapping[str, str]) -> None:
    schemes = "redis://, rediss://, unix://, redis+sentinel:// or redis+cluster://"
    command.add_argument(
        "--redis-url",
        metavar="URL",
        help=f"{schemes} (default: REDIS_URL, else {REDIS_URL})",
    )


def _add_state(state: argparse.ArgumentParser, environment: Mapping[str, str]) -> None:
    state.add_argument("symbols", nargs="+", type=symbols, metavar="SYMBOL", help="such as SPY")
    _add_redis(state, environment)
    what = state.add_mutually_exclusive_group()
    what.add_argument("--stored", action="store_true", help="print the value as it is in Redis, unchecked")
    what.add_argument(
        "--max-age", type=seconds, metavar="SECONDS", help="refuse a state that is older (default: any age will do)"
    )


def _add_retire(retire: argparse.ArgumentParser, environment: Mapping[str, str]) -> None:
    _add_redis(retire, environment)
    retire.add_argument("patterns", nargs="+", type=_pattern, metavar="PATTERN", help="such as OLD or 'TEST*'")
    retire.add_argument("--dry-run", action="store_true", help="only print what would be retired")


def _add_probe(probe: argparse.ArgumentParser, environment: Mapping[str, str]) -> None:
    _add_url(probe, environment)
    add_token(probe)
    probe.add_argument("--full", action="store_true", help="feynman must be heard through the whole chain")


def _add_inspect(inspect: argparse.ArgumentParser, environment: Mapping[str, str]) -> None:
    inspect.add_argument("file", metavar="FILE", help="a file, a folder, or a pattern in quotes")
    inspect.add_argument("--all", action="store_true", help="read to the end, not the first 100,000 rows alone")
    inspect.add_argument("--json", action="store_true", help="print one JSON object")
    for name, (metavar, text) in OPTIONS.items():
        inspect.add_argument(
            f"--{name}", metavar=metavar, default=value_of(environment, f"MARKET_{name.upper()}") or "", help=text
        )


def _add_compare(compare: argparse.ArgumentParser, _environment: Mapping[str, str]) -> None:
    for name in ("A", "B"):
        compare.add_argument(name.lower(), metavar=name, help="the folder of a record")


def _add_verify(verify: argparse.ArgumentParser, _environment: Mapping[str, str]) -> None:
    verify.add_argument("folder", metavar="FOLDER", help="the folder of a record")
    verify.add_argument(
        "--head", type=chain_head, metavar="HASH", help="a head of the record's chain that was kept elsewhere"
    )


def _add_token(token: argparse.ArgumentParser, environment: Mapping[str, str]) -> None:
    token.add_argument(
        "--symbols", dest="token_symbols", metavar="PATTERNS", required=True, help="such as 'SPY,BTC-*', or '*'"
    )
    token.add_argument("--events", metavar="TOPICS", default="", help="such as AGENT_UPDATE (default: none)")
    token.add_argument("--ttl", type=typed_duration, default="1h", metavar="TIME", help="such as 8h (default: 1h)")
    user = value_of(environment, "USER") or "me"
    token.add_argument("--sub", type=_name, default=user, metavar="NAME", help=f"who it is for (default: {user})")
    token.add_argument(
        "--audience",
        type=_name,
        metavar="NAME",
        default=value_of(environment, "AUTH_AUDIENCE") or "cottage",
        help="the servers' AUTH_AUDIENCE (default: it, else cottage)",
    )
    token.add_argument("--secret-file", metavar="FILE", help="file of the secret (default: AUTH_SECRET)")


def _name(text: str) -> str:
    if not (0 < len(text) <= MOST_NAME and text.isprintable() and text == text.strip()):
        raise argparse.ArgumentTypeError(f"must be 1 to {MOST_NAME} printable characters")
    return text


def _pattern(text: str) -> str:
    if _PATTERN.fullmatch(text) is None:
        raise argparse.ArgumentTypeError(f"bad pattern {text[:40]!r}: 1 to 64 of A-Z 0-9 . _ - and * ? [ ] ^")
    return text


def _url(text: str) -> str:
    try:
        return urls.broadcaster(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{error} (COTTAGE_URL, where it is not given)") from error


_COMMANDS = (
    ("watch", "follow states over a broadcaster's WebSocket", WATCH, _add_watch),
    ("state", "print states that are stored in Redis", STATE, _add_state),
    ("history", "print what was recorded of symbols", record_arguments.HISTORY, record_arguments.add_history),
    (
        "changes",
        "print which symbols changed their regime or freshness",
        record_arguments.CHANGES,
        record_arguments.add_changes,
    ),
    ("gaps", "print where data are missing in the record", record_arguments.GAPS, record_arguments.add_gaps),
    ("proof", "check whether a recorded state can be believed", record_arguments.PROOF, record_arguments.add_proof),
    ("retire", "forget symbols that are gone for good", RETIRE, _add_retire),
    ("probe", "check whether a broadcaster serves clients", PROBE, _add_probe),
    ("inspect", "print what is understood of a recording", INSPECT, _add_inspect),
    ("compare", "print where two records differ", COMPARE, _add_compare),
    ("verify", "check whether a record is as it was written", VERIFY, _add_verify),
    ("token", "mint a token for development, or for a desk", TOKEN, _add_token),
)
"""Name, what it does, the end of its `--help`, and what adds its options."""
