"""What the endpoints of the API take, with the checks that the framework does not make."""

from typing import Annotated

from fastapi import Path, Query, Request, params
from pydantic import WithJsonSchema

from cottage import keys
from cottage.redis import BATCH
from services.physics.problems import Refusal

MAX_SYMBOLS = BATCH
"""The most symbols in one request: they take one round trip to Redis."""
SYMBOLS_PATTERN = f"^({keys.SYMBOL_PATTERN}(,{keys.SYMBOL_PATTERN})*)?$"

Symbol = Annotated[
    str,
    WithJsonSchema(
        {"type": "string", "pattern": f"^{keys.SYMBOL_PATTERN}$"}
    ),  # said, not checked: it is 400, not 422
    Path(description=keys.SYMBOL_RULE, openapi_examples={"SPY": {"value": "SPY"}}),
]
# Left out is what they may be, not null, as OpenAPI 3.0 would have to be told.
Symbols = Annotated[
    str | None,
    WithJsonSchema({"type": "string", "pattern": SYMBOLS_PATTERN}),
    Query(
        description=f"comma-separated, at most {MAX_SYMBOLS}; all without it",
        openapi_examples={"two": {"value": "SPY,QQQ"}},
    ),
]
TheseSymbols = Annotated[
    str,
    WithJsonSchema({"type": "string", "pattern": SYMBOLS_PATTERN}),
    Query(description=f"comma-separated, at most {MAX_SYMBOLS}", openapi_examples={"two": {"value": "SPY,QQQ"}}),
]


def known_query(*names: str) -> params.Depends:
    """Refuse other query parameters, and any twice: a mistyped max_age_ms must not be ignored."""

    async def check(request: Request) -> None:
        given = [name for name, _value in request.query_params.multi_items()]
        for name in given:
            if name not in names:
                known = ", ".join(names) or "none"
                raise Refusal(422, "bad_parameter", f"unknown query parameter {name[:40]!r}; known: {known}")
            if given.count(name) > 1:
                raise Refusal(422, "bad_parameter", f"{name} is given more than once")

    return params.Depends(check)


def symbol_names(symbols: str) -> list[str]:
    """The symbols in a list, each once. Raises InvalidName, and Refusal for too many."""
    names = [keys.symbol(name) for name in symbols.split(",") if name]
    if len(names) > MAX_SYMBOLS:
        raise Refusal(400, "too_many_symbols", f"{len(names)} symbols; at most {MAX_SYMBOLS} at a time")
    return list(dict.fromkeys(names))
