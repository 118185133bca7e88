"""The physics API is asked all that its OpenAPI document allows, and what it does not, on a real Redis.

schemathesis makes the requests. No answer is a 5xx but the documented 503, and each has a status, a media type and a
form that the document names.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

import httpx
import hypothesis
import schemathesis
from hypothesis import HealthCheck
from schemathesis.checks import CheckContext, load_all_checks
from schemathesis.specs.openapi import checks

from cottage.redis import connect
from tests.common.auth.issuer import claims, hs256
from tests.integration import test_authorization
from tests.integration.test_physics import put, serving
from tests.one_kind import on_one_kind
from tests.services.physics.examples import state

pytest_generate_tests = on_one_kind

EXAMPLES = 12
"""For each operation; some of them are requests that the document does not allow."""


def no_fault(_context: CheckContext, response: schemathesis.Response, _case: schemathesis.Case[Any]) -> None:
    assert response.status_code < 500 or response.status_code == 503, response.text


def question(
    operation: Any, base: str, told: list[Any], seen: set[int], headers: Mapping[str, str]
) -> Callable[[], None]:
    """A test of one operation, which hypothesis calls with one case after the other."""

    @hypothesis.settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @hypothesis.given(case=operation.as_strategy())
    def one(case: schemathesis.Case[Any]) -> None:
        response = case.call(base_url=base, timeout=60, headers=dict(headers))
        seen.add(response.status_code)
        case.validate_response(response, checks=told)

    return one


def asked(document: dict[str, object], base: str, headers: Mapping[str, str]) -> dict[str, set[int]]:
    """Ask everything, with these headers. Returns which statuses each operation answered with. Raises where an answer
    is not as told."""
    load_all_checks()
    told = [
        no_fault,
        checks.status_code_conformance,
        checks.content_type_conformance,
        checks.response_schema_conformance,
    ]
    statuses: dict[str, set[int]] = {}
    for found in schemathesis.openapi.from_dict(document).get_all_operations():
        operation: Any = found.ok()  # type: ignore[union-attr]  # the document is good, or this raises
        seen = statuses.setdefault(operation.label, set())
        question(operation, base, told, seen, headers)()
    return statuses


async def everything(http: httpx.AsyncClient, headers: Mapping[str, str] | None = None) -> dict[str, set[int]]:
    document = (await http.get("/openapi.json")).json()
    return await asyncio.to_thread(asked, document, str(http.base_url).rstrip("/"), headers or {})


async def test_every_answer_is_one_that_the_document_names(redis_url: str) -> None:
    async with serving(redis_url) as http, connect(redis_url) as client:
        for symbol in ("SPY", "0", "A"):
            await put(client, symbol, state(time.time() - 1.0))
        await put(client, "QQQ", b"no state")
        statuses = await everything(http)
        assert len(statuses) > 8
        assert all(statuses.values())
        assert 200 in set().union(*statuses.values())
        assert (await http.get("/v1/physics/SPY")).status_code == 200, "it still answers"


async def test_the_same_where_tokens_are_asked_for(redis_url: str) -> None:
    judge = test_authorization.authentication()
    headers = test_authorization.bearer(hs256(claims(symbols=["SPY", "A*"])))
    async with test_authorization.serving(redis_url, judge=judge) as http, connect(redis_url) as client:
        for symbol in ("SPY", "0", "A"):
            await put(client, symbol, state(time.time() - 1.0))
        statuses = await everything(http, headers)
        assert 200 in set().union(*statuses.values())
        assert 401 not in set().union(*statuses.values())
        assert 403 in set().union(*statuses.values()), "of symbols that the token does not name"
        statuses = await everything(http)
        assert len(statuses) > 8
        assert set().union(*statuses.values()) == {401}, "whatever is asked"
