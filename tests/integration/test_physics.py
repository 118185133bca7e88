"""The physics API over real HTTP, on a real Redis; and its process."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from urllib.parse import unquote

import httpx
import orjson
import pytest
from prometheus_client import REGISTRY

from common.ops import listening_socket
from common.web.access import AccessPolicy
from common.web.asgi import serve_asgi
from cottage import keys
from cottage.reader.physics_reader import PhysicsReader
from cottage.redis import Client, connect, connect_blocking
from cottage.snapshot import MarketSnapshot
from cottage.state import FAIL_SAFE, PhysicsState
from cottage.store import MarketFeeds, MarketSnapshots
from services.physics import api, schemas
from services.physics.history_process import EngineLimits, HistoryProcess
from tests.one_kind import on_one_kind
from tests.services.physics.examples import PUBLISHED, state
from tests.support import OwnRedis, eventually, plain_http, service

pytest_generate_tests = on_one_kind

PROBLEM = "application/problem+json"
GOOD: dict[str, list[str]] = {
    "symbol": ["SPY", "BRK.B", "NEW"],
    "symbols": ["SPY,NEW", ""],
    "max_age_ms": ["3000", "0"],
    "unfed": ["false", "true"],
    "at": ["2025-12-21T14:31:07Z", "1766318400.25"],
    "version": ["1766318400000-4711"],
    "known": ["1766318400000-4711"],
    "from": ["2025-12-21T14:00:00Z"],
    "to": ["2025-12-21T15:00:00Z"],
    "last": ["10m"],
    "since": ["1.5h"],
    "step": ["90s"],
    "points": ["60", "5000"],
    "fields": ["price,regime", ""],
    "by": ["at", "written"],
    "source": ["simulate"],
    "run": ["1766318400000000"],
    "kind": ["regime"],
    "head": ["5d0c1f" + "0" * 58],
    "widening": ["1.5"],
    "regime": ["Critical", "L%C3%A9vy%20Stable"],
}
BAD: dict[str, list[str]] = {
    "symbol": ["spy", "A%2FB", "A%20B", "%00", "..%2F..%2Fetc", "A" * 33, "%F0%9F%92%A9", "*"],
    "symbols": ["spy", "SPY,A/B", ",".join(f"S{number}" for number in range(501)), "SPY%0a", "SPY%2C*"],
    "max_age_ms": ["-1", "x", "1.5", "", "86400001", "9" * 50, "nan"],
    "unfed": ["perhaps", "", "2"],
    "at": ["now", "2025-12-21T14:31:07", "nan", "", "-5", "1e99"],
    "version": ["4711", "1-2-3", "-1-2", "a-b", "9" * 19 + "-1", ""],
    "from": ["inf", "2025-12-21T14:00:00+01:00"],
    "to": ["0001-01-01T00:00:00Z"],
    "known": ["4711", "1-", ""],
    "last": ["", "1y", "-1m", "nan", "1e9"],
    "since": ["x"],
    "step": ["1us", "inf"],
    "points": ["0", "5001", "1e9", "1000000000", "nan"],
    "fields": ["prices", "price,;drop"],
    "by": ["recorded"],
    "run": ["-1", "9" * 30, "x"],
    "kind": ["gap"],
    "head": ["5d0c1f", "", "g" * 64],
    "widening": ["0", "101", "nan", "wide"],
    "regime": ["critical"],
}


@asynccontextmanager
async def serving(url: str, timeout: float = 5.0) -> AsyncIterator[httpx.AsyncClient]:
    """The API in this process, and who asks it."""
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(connect(url, timeout=timeout))
        history = await stack.enter_async_context(HistoryProcess("/nowhere/record", EngineLimits(60.0, 1024)))
        app = api.build(PhysicsReader(client), MarketSnapshots(client), history)
        yield await stack.enter_async_context(asking(app))


@asynccontextmanager
async def asking(app: Any) -> AsyncIterator[httpx.AsyncClient]:
    sock = listening_socket("127.0.0.1", 0, "PHYSICS_PORT")
    base = f"http://127.0.0.1:{sock.getsockname()[1]}"
    async with serve_asgi(app, sock, AccessPolicy()), plain_http(base) as http:
        yield http


@pytest.fixture
async def http(redis_url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(redis_url) as asker:
        yield asker


async def put(client: Client, symbol: str, stored: PhysicsState | bytes) -> None:
    payload = stored.to_bytes() if isinstance(stored, PhysicsState) else stored
    await client.set(keys.physics_state(symbol), payload)


def is_problem(response: httpx.Response, status: int, code: str) -> str:
    """Check every member of RFC 9457 in it, and give its detail."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == PROBLEM
    assert response.headers["cache-control"] == "no-store"
    body = response.json()
    assert body.keys() == {"type", "title", "status", "detail", "instance", "code"}
    assert (body["type"], body["status"], body["code"]) == ("about:blank", status, code)
    assert body["instance"].startswith("/")
    return str(body["detail"])


async def test_one_state(http: httpx.AsyncClient, client: Client) -> None:
    held = state(time.time() - 1.0)
    await put(client, "SPY", held)
    response = await http.get("/v1/physics/SPY")
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store"
    body = response.json()
    freshness = body.pop("freshness")
    assert body == held.as_dict()
    assert 1000 <= freshness.pop("age_ms") < 10_000
    assert freshness == {"status": "live", "cause": None, "origin": "redis"}


async def test_no_such_state(http: httpx.AsyncClient) -> None:
    assert "NEW" in is_problem(await http.get("/v1/physics/NEW"), 404, "no_such_symbol")


async def test_max_age(http: httpx.AsyncClient, client: Client) -> None:
    await put(client, "SPY", state(time.time() - 5.0))
    assert (await http.get("/v1/physics/SPY?max_age_ms=60000")).status_code == 200
    response = await http.get("/v1/physics/SPY?max_age_ms=3000")
    assert "3 s are allowed" in is_problem(response, 503, "unavailable")
    assert response.headers["retry-after"] == "1"
    await put(client, "OLD", PUBLISHED)
    is_problem(await http.get("/v1/physics/OLD?max_age_ms=3000"), 503, "unavailable")


async def test_with_max_age_too_what_does_not_exist_is_not_there(http: httpx.AsyncClient, client: Client) -> None:
    """503 means that it may be there later; while Redis is away that is all that is known: see below."""
    assert "NEW" in is_problem(await http.get("/v1/physics/NEW?max_age_ms=3000"), 404, "no_such_symbol")
    await put(client, "SPY", state(time.time()))
    assert (await http.get("/v1/physics/SPY?max_age_ms=60000")).status_code == 200
    await client.delete(keys.physics_state("SPY"))
    is_problem(await http.get("/v1/physics/SPY?max_age_ms=60000"), 404, "no_such_symbol")
    await client.set(keys.physics_state("SPY"), "no state")
    is_problem(await http.get("/v1/physics/SPY?max_age_ms=60000"), 503, "unavailable")


async def test_a_mistyped_max_age_is_not_served_without_it(http: httpx.AsyncClient, client: Client) -> None:
    await put(client, "SPY", state(time.time() - 5.0))
    for query in ("max_age=3000", "max_age_ms=3000&max_age_ms=9000000", "MAX_AGE_MS=1"):
        is_problem(await http.get(f"/v1/physics/SPY?{query}"), 422, "bad_parameter")


async def test_many_and_all(http: httpx.AsyncClient, client: Client) -> None:
    held = {symbol: state(time.time(), price=price) for symbol, price in (("QQQ", 1.0), ("SPY", 2.0), ("IWM", 3.0))}
    for symbol, each in held.items():
        await put(client, symbol, each)
    body = (await http.get("/v1/physics?symbols=SPY,NEW,QQQ,SPY")).json()
    assert list(body["states"]) == ["SPY", "QQQ"]
    assert body["states"]["SPY"]["price"] == 2.0
    assert body["states"]["SPY"]["freshness"]["status"] == "live"
    assert (body["missing"], body["complete"]) == (["NEW"], True)
    body = (await http.get("/v1/physics")).json()
    assert list(body["states"]) == ["IWM", "QQQ", "SPY"]
    assert (body["missing"], body["complete"]) == ([], True)
    assert (await http.get("/v1/physics?symbols=")).json() == {"states": {}, "missing": [], "complete": True}
    full = ",".join(f"S{number}" for number in range(500))
    assert len((await http.get(f"/v1/physics?symbols={full}")).json()["missing"]) == 500
    assert "501" in is_problem(await http.get(f"/v1/physics?symbols={full},SPY"), 400, "too_many_symbols")


async def test_regimes(http: httpx.AsyncClient, client: Client) -> None:
    now = time.time()
    for symbol, regime, age in (
        ("A", "WAIT", 0),
        ("C", "Lévy Stable", 0),
        ("B", "Lévy Stable", 20),
        ("D", "Critical", 0),
    ):
        await put(client, symbol, state(now - age, regime=regime))
    assert (await http.get("/v1/regimes")).json() == {
        "regimes": {"Critical": ["D"], "Gaussian": [], "Lévy Stable": ["B", "C"], "WAIT": ["A"]},
        "not_live": ["B"],
        "complete": True,
    }


async def test_what_no_feed_brings_any_more_is_left_out_on_request(http: httpx.AsyncClient, client: Client) -> None:
    await client.set("physics:writer:0", '{"shards":1}', px=60_000)
    await MarketFeeds(client).announce("LIVE", {"source": "live"}, 60.0)
    now = time.time()
    for symbol, source, age in (
        ("NEW", "mine", 0),
        ("QUIET", "mine", 50),
        ("FOREIGN", "mine", 70),  # it does not announce itself
        ("CLOSED", "live", 9000),  # its feed lives
        ("OLD", "simulate", 9000),
    ):
        await put(client, symbol, state(now - age, source=source))
    assert list((await http.get("/v1/physics")).json()["states"]) == ["CLOSED", "FOREIGN", "NEW", "OLD", "QUIET"]
    for query in ("?unfed=false", "?unfed=false&symbols=NEW,QUIET,CLOSED,OLD,FOREIGN"):
        body = (await http.get(f"/v1/physics{query}")).json()
        assert sorted(body["states"]) == ["CLOSED", "NEW", "QUIET"]
        assert body["unfed"] == ["FOREIGN", "OLD"]
    body = (await http.get("/v1/regimes?unfed=false")).json()
    assert sorted(name for names in body["regimes"].values() for name in names) == ["CLOSED", "NEW", "QUIET"]
    assert (body["not_live"], body["unfed"]) == (["CLOSED", "QUIET"], ["FOREIGN", "OLD"])
    assert "unfed" not in (await http.get("/v1/regimes?unfed=true")).json()
    is_problem(await http.get("/v1/physics?unfed=perhaps"), 422, "bad_parameter")


async def test_market(http: httpx.AsyncClient, client: Client) -> None:
    snapshot = MarketSnapshot("SPY", 450.32, time.time(), volume=89234567.0, source="live", bid=450.31, ask=450.33)
    await MarketSnapshots(client).write([snapshot])
    assert (await http.get("/v1/market/SPY")).json() == {"symbol": "SPY", **snapshot.to_hash()}
    is_problem(await http.get("/v1/market/NEW"), 404, "no_such_symbol")


async def test_doubtful_fields_of_a_snapshot_are_left_out_and_counted(
    http: httpx.AsyncClient, client: Client
) -> None:
    def count(field: str) -> float:
        return REGISTRY.get_sample_value("cottage_physics_snapshot_fields_left_out_total", {"field": field}) or 0.0

    before = {field: count(field) for field in ("bid", "ask", "volume", "tick")}
    hostile: dict[Any, Any] = {
        "bid": 0.01,
        "ask": 200_000,
        "volume": "9007199254740993",
        "tick": "0",
        "event_time": 1381143600.25,
        "interval": 60.0,
        "notes": "auction",
        "session": "today",
    }
    good: dict[Any, Any] = {
        "price": 450.32,
        "timestamp": round(time.time()),
        "trades": 7.0,
        "source": "mine",
    }
    await client.hset(keys.market_snapshot("SPY"), mapping={**good, **hostile})
    market = {"event_time": 1381143600.25, "interval": 60.0}
    left = {"symbol": "SPY", "notes": "auction", "session": "today", **market, **good}
    assert (await http.get("/v1/market/SPY")).json() == left
    assert {field: count(field) - before[field] for field in before} == dict.fromkeys(before, 1)


async def test_a_snapshot_that_cannot_be_trusted(http: httpx.AsyncClient, client: Client) -> None:
    before = REGISTRY.get_sample_value("cottage_physics_snapshots_dropped_total", {"reason": "price"}) or 0.0
    for price in ("abc", "-1", "nan", "inf"):
        await client.hset(keys.market_snapshot("SPY"), mapping={"price": price, "timestamp": time.time()})
        assert "price" in is_problem(await http.get("/v1/market/SPY"), 503, "unavailable")
    assert REGISTRY.get_sample_value("cottage_physics_snapshots_dropped_total", {"reason": "price"}) == before + 4


async def test_a_snapshot_key_of_another_type(http: httpx.AsyncClient, client: Client) -> None:
    await client.set(keys.market_snapshot("SPY"), "x")
    is_problem(await http.get("/v1/market/SPY"), 503, "unavailable")


async def test_a_bad_symbol_is_named(http: httpx.AsyncClient) -> None:
    for route in ("physics", "market"):
        for path, named in (("spy", "'spy'"), ("A%2FB", "'A/B'"), ("", "''")):
            assert f"bad symbol {named}" in is_problem(await http.get(f"/v1/{route}/{path}"), 400, "bad_symbol")


async def test_what_there_is_not(http: httpx.AsyncClient) -> None:
    for path in ("/", "/v1", "/v2/physics/SPY", "/v1/regimes/", "/redoc", "/docs/", "/docs/assets/../../etc/passwd"):
        is_problem(await http.get(path), 404, "not_found")
    is_problem(await http.get("/v1/physics/SPY%0d%0aX-Evil:1"), 404, "not_found")  # no route takes a line break
    is_problem(await http.get("/docs/assets/%2e%2e/%2e%2e/__init__.py"), 404, "not_found")


async def test_every_operation_as_its_document_says(http: httpx.AsyncClient, client: Client, no_debug: None) -> None:
    await put(client, "SPY", state(time.time()))
    await put(client, "BRK.B", PUBLISHED)
    await MarketSnapshots(client).write([MarketSnapshot("SPY", 450.32, time.time())])
    document = (await http.get("/openapi.json")).json()
    assert document["paths"].keys() == {
        "/v1/physics/{symbol}",
        "/v1/physics",
        "/v1/regimes",
        "/v1/market/{symbol}",
        "/v1/history/{symbol}/regimes",
        "/v1/history/{symbol}",
        "/v1/history",
        "/v1/changes",
        "/v1/gaps",
        "/v1/proof/{symbol}",
    }
    asked: set[tuple[str, int]] = set()
    for template, operations in document["paths"].items():
        assert operations.keys() == {"get"}
        operation = operations["get"]
        parameters = operation.get("parameters", [])
        for url, good in _urls(template, parameters):
            response = await http.get(url)
            as_documented(response, operation["responses"], url)
            asked.add((template, response.status_code))
            if not good:
                assert response.status_code in (400, 422), url
            else:
                assert response.status_code in (200, 404, 503), url
        for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
            response = await http.request(method, template.replace("{symbol}", "SPY"))
            assert response.headers["allow"] == "GET"
            is_problem(response, 405, "method_not_allowed")
    documented = {
        (template, int(status))
        for template, operations in document["paths"].items()
        for status in operations["get"]["responses"]
        if status != "default"
    }
    # A snapshot that is there but cannot be had is tested above, and answers of a record in test_history.py.
    of_a_record = {(path, status) for path in document["paths"] for status in (200, 503) if _is_of_a_record(path)}
    assert documented - asked == {("/v1/market/{symbol}", 503)} | of_a_record


async def test_the_document_has_the_pattern_of_symbols(http: httpx.AsyncClient) -> None:
    document = (await http.get("/openapi.json")).json()
    patterns = {
        parameter["name"]: parameter["schema"]["pattern"]
        for operations in document["paths"].values()
        for parameter in operations["get"].get("parameters", [])
        if "pattern" in parameter["schema"]
    }
    assert patterns.keys() == {"symbol", "symbols", "version", "known", "last", "since", "step", "head"}
    for name, pattern in patterns.items():
        assert (pattern[0], pattern[-1]) == ("^", "$")
        matches = re.compile(
            pattern[1:-1]
        ).fullmatch  # to Python, though not to JavaScript, `$` is also before a newline
        assert all(matches(value) for value in GOOD[name])
        told_by_number = [value for value in BAD[name] if value.count(",") > 100]
        assert [value for value in BAD[name] if matches(unquote(value))] == told_by_number
    components = document["components"]["schemas"]
    assert components["MarketSnapshotAnswer"]["properties"]["symbol"]["pattern"] == patterns["symbol"]
    assert components["PhysicsStatesAnswer"]["properties"]["missing"]["items"]["pattern"] == patterns["symbol"]


def _is_of_a_record(template: str) -> bool:
    return template.startswith(("/v1/history", "/v1/changes", "/v1/gaps", "/v1/proof"))


def _urls(template: str, parameters: list[dict[str, Any]]) -> list[tuple[str, bool]]:
    """URLs of an operation, and whether each is a good one."""
    path = [each["name"] for each in parameters if each["in"] == "path"]
    query = [each["name"] for each in parameters if each["in"] == "query"]
    needed = {each["name"] for each in parameters if each["in"] == "query" and each.get("required")}
    paths = [(template, True)]
    for name in path:
        paths = [(template.replace(f"{{{name}}}", value), True) for value in GOOD[name]]
        paths += [(template.replace(f"{{{name}}}", value), False) for value in BAD[name]]

    def asking(url: str, **given: str) -> str:
        asked = {name: GOOD[name][0] for name in needed} | given
        return url + "?" * bool(asked) + "&".join(f"{name}={value}" for name, value in asked.items())

    urls = [(asking(url), good) for url, good in paths]
    for name in query:
        urls += [(asking(url, **{name: value}), good) for url, good in paths for value in GOOD[name]]
        urls += [(asking(url, **{name: value}), False) for url, good in paths if good for value in BAD.get(name, ())]
    return [*urls, *((asking(url, unknown="1"), False) for url, _good in paths)]


def as_documented(response: httpx.Response, responses: dict[str, Any], url: str) -> None:
    """Status, media type and shape of an answer are those of the OpenAPI document."""
    described = responses[str(response.status_code)]
    media_type = response.headers["content-type"]
    content = described["content"][media_type]
    assert media_type == (PROBLEM if response.status_code != 200 else "application/json"), url
    model = getattr(schemas, content["schema"]["$ref"].rpartition("/")[2])
    model.model_validate(response.json(), strict=True)


async def test_a_fault_of_ours_leaks_nothing(caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        async def all(self) -> None:
            raise RuntimeError("secret")

    before = _requests("/v1/regimes", 500)
    async with asking(api.build(Broken(), None, None)) as http:  # type: ignore[arg-type]  # broken on purpose
        response = await http.get("/v1/regimes")
        is_problem(response, 500, "internal_server_error")
        assert "secret" not in response.text
        assert "Traceback" not in response.text
    assert _requests("/v1/regimes", 500) == before + 1
    assert "secret" in caplog.text


@pytest.mark.parametrize(
    "path",
    [
        "/v1/physics/SPY",
        "/v1/physics?symbols=SPY",
        "/v1/regimes",
        "/v1/market/SPY",
        "/openapi.json",
        "/docs",
        "/none",
    ],
)
async def test_head_is_get_without_a_body(http: httpx.AsyncClient, client: Client, path: str) -> None:
    await put(client, "SPY", PUBLISHED)
    got, headed = await http.get(path), await http.head(path)
    assert (headed.status_code, headed.content) == (got.status_code, b"")
    assert headed.headers["content-type"] == got.headers["content-type"]
    assert (await http.get(path)).status_code == got.status_code, "the connection is as good as before"


def _requests(route: str, status: int) -> float:
    labels = {"route": route, "status": str(status)}
    return REGISTRY.get_sample_value("cottage_physics_requests_total", labels) or 0.0


async def test_requests_are_counted_by_route_not_by_path(http: httpx.AsyncClient) -> None:
    before = {status: _requests("/v1/physics/{symbol}", status) for status in (400, 404)}
    unknown = _requests("none", 404)
    for number in range(3):
        await http.get(f"/v1/physics/N{number}")
        await http.get(f"/v1/physics/n{number}")
        await http.get(f"/nothing/{number}")
    assert _requests("/v1/physics/{symbol}", 404) == before[404] + 3
    assert _requests("/v1/physics/{symbol}", 400) == before[400] + 3
    assert _requests("none", 404) == unknown + 3


async def test_while_redis_hangs(own_redis: OwnRedis) -> None:
    held = state(time.time())
    with connect_blocking(own_redis.url) as client:
        client.set(keys.physics_state("SPY"), held.to_bytes())
    async with serving(own_redis.url, timeout=0.3) as http:
        await http.get("/v1/physics/SPY")
        own_redis.suspend()
        answers = await asyncio.gather(*(http.get("/v1/physics/SPY") for _ in range(50)))
        for response in answers:
            body = response.json()
            freshness = body.pop("freshness")
            assert body == held.as_dict()
            assert freshness["origin"] == "remembered"
        body = (await http.get("/v1/physics/QQQ")).json()
        assert {name: body[name] for name in FAIL_SAFE.as_dict()} == FAIL_SAFE.as_dict()
        assert body["freshness"] == {"status": "expired", "cause": "redis_down", "age_ms": None, "origin": "fallback"}
        is_problem(await http.get("/v1/physics/QQQ?max_age_ms=3000"), 503, "unavailable")
        is_problem(await http.get("/v1/market/SPY"), 503, "unavailable")
        assert (await http.get("/v1/regimes")).json()["complete"] is False
        many = (await http.get("/v1/physics?symbols=SPY,QQQ")).json()
        assert many["states"]["QQQ"]["source"] == "fallback"
        assert many["complete"] is False


async def test_its_process_starts_before_redis_and_outlives_it(own_redis: OwnRedis) -> None:
    own_redis.kill()
    url = f"redis://127.0.0.1:{own_redis.port}"
    async with service("physics", {"REDIS_URL": url, "PHYSICS_PORT": "0"}) as physics:
        port = (await physics.logged("listening"))["port"]
        await physics.logged("redis_lost")
        assert (await physics.get("/healthz")).status_code == 200
        assert (await physics.get("/readyz")).status_code == 503
        async with plain_http(f"http://127.0.0.1:{port}") as http:
            assert (await http.get("/v1/physics/SPY")).json()["source"] == "fallback"
            own_redis.start()
            await physics.ready()
            await physics.logged("redis_back")
            held = state(time.time())
            with connect_blocking(own_redis.url) as client:
                client.set(keys.physics_state("SPY"), held.to_bytes())
                client.set(keys.physics_writer(0), b'{"shards":1}')
                client.set(keys.market_feed("SIM"), orjson.dumps({"source": "simulate", "symbols": ["SPY"]}))
            body = (await http.get("/v1/physics/SPY?max_age_ms=60000")).json()
            assert body["mass"] == held.mass

        async def whole_chain() -> bool:
            status = (await physics.get("/status")).json()
            assert status["redis"] == {"url": url, "problem": None}
            return bool(
                status["writer"] == {"alive": True, "shards": [[0, 1]]}
                and status["feeds"] == [{"source": "simulate"}]
                and status["remembered"] == 1
            )

        await eventually(whole_chain)
        assert (
            'cottage_physics_requests_total{route="/v1/physics/{symbol}",status="200"} 2.0'
            in (await physics.get("/metrics")).text
        )
        own_redis.kill()

        async def not_ready() -> bool:
            return (await physics.get("/readyz")).status_code == 503

        await eventually(not_ready)
        assert await physics.stop() == 0
    assert [line["event"] for line in physics.logs].count("redis_lost") == 2
    assert not physics.errors


async def test_a_wrong_password_is_one_line_without_it(own_redis: OwnRedis) -> None:
    own_redis.restart("--requirepass", "correct-horse")
    url = own_redis.url.replace("redis://", "redis://:wrong-battery@")
    async with service("physics", {"REDIS_URL": url, "PHYSICS_PORT": "0"}) as physics:
        line = await physics.logged("redis_lost")
        assert "password" in line["error"] or "AUTH" in line["error"]
        assert "password" in (await physics.get("/readyz")).text
        assert "wrong-battery" not in (await physics.get("/status")).text
        assert await physics.stop() == 0
    assert "wrong-battery" not in physics.report()


async def test_a_taken_port_is_named() -> None:
    sock = listening_socket("127.0.0.1", 0, "PHYSICS_PORT")
    port = sock.getsockname()[1]
    try:
        async with service("physics", {"PHYSICS_PORT": str(port), "REDIS_URL": "redis://127.0.0.1:1"}) as physics:
            assert await physics.ended() == 2
    finally:
        sock.close()
    [line] = [line for line in physics.logs if line["level"] == "error"]
    assert str(port) in line["error"]
    assert "PHYSICS_PORT" in line["error"]
    assert not physics.errors
