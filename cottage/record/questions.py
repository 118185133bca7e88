"""Questions to the record, over the physics API: history, changes and gaps, as tables for programs.

Each waits for its answer; a program with an event loop calls them with `asyncio.to_thread`. A time is a datetime with
its zone, a text (RFC 3339), or seconds since 1970; a length of time a timedelta, a text such as "10m", or seconds.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from numbers import Integral

from cottage import keys
from cottage.api_client import ARROW, TIMEOUT, ask, ask_object
from cottage.record.answer_table import AnswerTable
from cottage.record.arrow_schema import pyarrow
from cottage.token_file import Token

Moment = datetime | str | float
Duration = timedelta | str | float
Symbols = str | Iterable[str]
"""Names, or one text with commas between them."""


def history(
    symbols: Symbols,
    *,
    last: Duration | None = None,
    start: Moment | None = None,
    end: Moment | None = None,
    step: Duration | None = None,
    points: int | None = None,
    fields: Iterable[str] | None = None,
    source: str | None = None,
    run: int | None = None,
    by: str | None = None,
    url: str | None = None,
    timeout: float = TIMEOUT,
    token: Token | None = None,
) -> AnswerTable:
    """What was recorded of a symbol, or of several, as points in buckets of time: a row for each.

        cottage.history("SPY", last="1h", step="10s").to_pandas()

    last: so long before the newest event of the source. start, end: or between two times. step: the length of a
    bucket; points: or into how many the time is divided. fields: such as price, alpha, regime, freshness, momentum.
    source, run: which source, and which run of a replay; by default those of the newest row. by: `written` for
    buckets of the time when Redis wrote a version, not of the market's.
    url: of the physics API; default: COTTAGE_API_URL, else that of `make run`. timeout: seconds. token: for an API
    that asks for one, or a function that gives it, such as a TokenFile; default: that of COTTAGE_TOKEN or
    COTTAGE_TOKEN_FILE.
    Raises MissingExtra without pyarrow, InvalidName, ApiRefused (its `code` says why; for the token: ApiUnauthorized,
    ApiForbidden), ApiUnavailable, SettingsError.
    """
    names = symbol_names(symbols)
    given = query(
        last=last, start=start, end=end, step=step, points=points, fields=fields, source=source, run=run, by=by
    )
    pyarrow()  # before anybody is asked
    path, parameters = history_target(names, given)
    return AnswerTable.of_stream(ask(path, parameters, url=url, accept=ARROW, timeout=timeout, token=token))


def changes(
    *,
    last: Duration | None = None,
    start: Moment | None = None,
    end: Moment | None = None,
    symbols: Symbols | None = None,
    kind: str | None = None,
    regime: str | None = None,
    url: str | None = None,
    timeout: float = TIMEOUT,
    token: Token | None = None,
) -> AnswerTable:
    """Which symbols changed their regime or freshness, the newest first: by the time when that was recorded.

        cottage.changes(last="10m", regime="Critical").to_pandas()["symbol"].unique()

    last: so long before the newest that is recorded (default: an hour); start, end: or between two times. symbols:
    of all without it. kind: `regime` or `freshness` alone. regime: only changes to this one.
    `about["complete"]` is False where there were too many, and the older ones are left out.
    url, timeout, token, raises: as `history`.
    """
    given = query(last=last, start=start, end=end, symbols=_names_or_none(symbols), kind=kind, regime=regime)
    return _events("changes", ("regimes", "freshness"), given, url, timeout, token)


def gaps(
    *,
    last: Duration | None = None,
    start: Moment | None = None,
    end: Moment | None = None,
    symbols: Symbols | None = None,
    url: str | None = None,
    timeout: float = TIMEOUT,
    token: Token | None = None,
) -> AnswerTable:
    """Where data are missing, or versions are in the record, with the cause: the newest first, by the time when that
    was recorded. `about["outages"]` has the outages of the hops in that time.

    Arguments and errors: as `changes`.
    """
    given = query(last=last, start=start, end=end, symbols=_names_or_none(symbols))
    return _events("gaps", ("gaps",), given, url, timeout, token)


def symbol_names(symbols: Symbols) -> list[str]:
    """The symbols, each checked: InvalidName."""
    named = symbols.split(",") if isinstance(symbols, str) else symbols
    return [keys.symbol(name.strip()) for name in named]


def query(**given: object) -> dict[str, str]:
    """The parameters of a request, of those arguments that are not None."""
    return {_PARAMETERS.get(name, name): _text(value) for name, value in given.items() if value is not None}


def history_target(symbols: list[str], parameters: dict[str, str]) -> tuple[str, dict[str, str]]:
    """Path and parameters of the question for the history of these symbols."""
    if len(symbols) == 1:
        return f"/v1/history/{symbols[0]}", parameters
    return "/v1/history", {"symbols": ",".join(symbols), **parameters}


_PARAMETERS = {"start": "from", "end": "to"}
"""How the API calls what is a word of Python's, or goes with one."""


def _text(value: object) -> str:
    match value:
        case str():
            return value
        case Integral():
            return str(int(value))
        case float():
            return f"{value:f}"  # without an exponent
        case datetime():
            return value.isoformat()
        case timedelta():
            return f"{value.total_seconds():f}"
    if not isinstance(value, Iterable):
        wanted = "a datetime, a timedelta, a text or a number"
        raise TypeError(f"{value!r} is a {type(value).__name__}; it must be {wanted}")
    return ",".join(value)


def _names_or_none(symbols: Symbols | None) -> list[str] | None:
    return None if symbols is None else symbol_names(symbols)


def _events(
    name: str,
    tables: tuple[str, ...],
    parameters: dict[str, str],
    url: str | None,
    timeout: float,
    token: Token | None,
) -> AnswerTable:
    pyarrow()  # before anybody is asked
    answer = ask_object(f"/v1/{name}", parameters, url=url, timeout=timeout, token=token)
    return AnswerTable.of_rows(answer.pop(name), tables, answer)
