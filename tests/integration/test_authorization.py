"""Who may ask the physics API for what, over real HTTP: tokens, symbols that are not allowed, preflights; and its
process with the settings."""

import asyncio
import io
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pyarrow
import pytest

from common.auth.authentication import Authentication
from common.auth.settings import AuthSettings
from common.ops import listening_socket
from common.web.access import AccessPolicy
from common.web.asgi import serve_asgi
from cottage.api_client import ARROW
from cottage.clock import SystemClock
from cottage.reader.physics_reader import PhysicsReader
from cottage.redis import Client, connect
from cottage.snapshot import MarketSnapshot
from cottage.store import MarketSnapshots
from services.physics import api
from services.physics.history_process import EngineLimits, HistoryProcess
from tests.common.auth.issuer import SECRET, Issuer, claims, hs256
from tests.cottage.record.recorded_history import add, freshness, gap, outage, recorder, regime, sample
from tests.integration.test_physics import is_problem, put
from tests.one_kind import on_one_kind
from tests.services.physics.examples import state
from tests.support import eventually, plain_http, service

pytest_generate_tests = on_one_kind

PAGE = "https://desk.example"
SYMBOLS = ("SPY", "QQQ", "BTC-USD", "SECRET")
NAMED = (
    "/v1/physics/{}",
    "/v1/physics/{}?max_age_ms=1000",
    "/v1/physics/{}?at=2025-12-21T10:00:00Z",
    "/v1/physics/{}?version=1-1",
    "/v1/physics?symbols=SPY,{}",
    "/v1/market/{}",
    "/v1/history/{}",
    "/v1/history/{}?known=1-1",
    "/v1/history/{}/regimes",
    "/v1/history?symbols=SPY,{}",
    "/v1/changes?symbols={}",
    "/v1/gaps?symbols={}",
    "/v1/proof/{}",
    "/v1/proof/{}?version=1-1",
)
"""Every way to name a symbol."""


def authentication(**settings: Any) -> Authentication:
    found = AuthSettings.model_validate(settings or {"AUTH_SECRET": SECRET}).authentication(SystemClock())
    assert found is not None
    return found


@asynccontextmanager
async def serving(
    url: str, folder: str = "/nowhere", judge: Authentication | None = None, *, open_documents: bool = True
) -> AsyncIterator[httpx.AsyncClient]:
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(connect(url, timeout=5.0))
        history = await stack.enter_async_context(HistoryProcess(folder, EngineLimits(60.0, 1024)))
        reader = PhysicsReader(client)
        app = api.build(reader, MarketSnapshots(client), history, authentication=judge, open_documents=open_documents)
        sock = listening_socket("127.0.0.1", 0, "PHYSICS_PORT")
        base = f"http://127.0.0.1:{sock.getsockname()[1]}"
        await stack.enter_async_context(serve_asgi(app, sock, AccessPolicy(origins=[PAGE])))
        http = await stack.enter_async_context(plain_http(base))
        http.timeout = httpx.Timeout(60.0)
        yield http


@pytest.fixture
async def http(redis_url: str, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """The API with tokens, a record, and states and snapshots of four symbols."""
    tables = {
        "samples": [sample(second, symbol, price=100.0 + second) for second in range(120) for symbol in SYMBOLS],
        "regimes": [
            row
            for symbol in SYMBOLS
            for row in (regime(0, None, "Gaussian", symbol), regime(60, "Gaussian", "Critical", symbol))
        ],
        "gaps": [gap(55, 65, "missed", "recorder_down", symbol) for symbol in SYMBOLS],
        "freshness": [freshness(100, "stale", "market_quiet", symbol) for symbol in ("SPY", "SECRET")],
        "outages": [outage("redis", 30, 40, 40)],
    }
    with recorder(tmp_path) as writer:
        add(writer, **tables)
        assert writer.roll()  # into files with checksums
    async with connect(redis_url) as client:
        for symbol in SYMBOLS:
            await put(client, symbol, state(time.time()))
        await MarketSnapshots(client).write([MarketSnapshot(symbol, 1.0, time.time()) for symbol in SYMBOLS])
    async with serving(redis_url, str(tmp_path), authentication()) as asker:
        yield asker


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def only(*symbols: str, **others: Any) -> dict[str, str]:
    return bearer(hs256(claims(symbols=list(symbols), **others)))


async def test_whoever_shows_no_good_token_gets_401(http: httpx.AsyncClient) -> None:
    tokens = {
        "missing": {},
        "expired": only("*", exp=int(time.time()) - 1),
        "early": only("*", nbf=int(time.time()) + 100),
        "bad": bearer(hs256(claims(), "another secret of thirty-two bytes!")),
        "too_long": bearer("a" * 5000),
        "unknown_key": bearer(Issuer().token()),
    }
    for path in ("/v1/physics", "/v1/physics/SPY", "/v1/regimes", "/v1/gaps", "/nothing", "/v1/physics/spy"):
        for reason, headers in tokens.items():
            answer = await http.get(path, headers={**headers, "Origin": PAGE})
            detail = is_problem(answer, 401, "unauthorized")
            challenge = answer.headers["www-authenticate"]
            assert challenge.startswith('Bearer realm="cottage"')
            assert (reason in challenge) == (reason in detail) == (reason != "missing")
            assert answer.headers["access-control-allow-origin"] == PAGE  # a page may read why
            assert answer.headers["vary"] == "Origin"
            for secret in headers.values():
                assert secret.split()[1] not in answer.text + str(answer.headers)


@pytest.mark.parametrize(
    "value", ["Basic {}", "{}", "Bearer", "Bearer ", "Bearer {} {}", "Bearer {},{}", "Bearer,{}", "Token {}"]
)
async def test_other_schemes_show_no_token(http: httpx.AsyncClient, value: str) -> None:
    token = hs256()
    answer = await http.get("/v1/physics", headers={"Authorization": value.format(token, token).strip()})
    is_problem(answer, 401, "unauthorized")
    assert token not in answer.text


async def test_the_scheme_is_of_any_case_and_one_token_may_be_shown_twice(http: httpx.AsyncClient) -> None:
    one, other = hs256(), hs256(claims(jti="two"))
    for headers in (
        [("authorization", f"bearer {one}")],
        [("authorization", f"BEARER   {one}")],
        [("authorization", f"Bearer\t{one}")],
        [("authorization", f"Bearer {one}")] * 2,
        [("authorization", "Basic YTpi"), ("authorization", f"Bearer {one}")],  # what is a proxy's is left aside
    ):
        assert (await http.get("/v1/physics/SPY", headers=headers)).status_code == 200
    answer = await http.get("/v1/physics/SPY", headers=[("authorization", f"Bearer {each}") for each in (one, other)])
    assert "two_tokens" in is_problem(answer, 401, "unauthorized")


@pytest.mark.parametrize(
    "name", ["token", "access_token", "TOKEN", "%74oken", "+token", "Access_Token", "y=1;token", "y=1%26token"]
)
async def test_a_token_in_the_url_is_refused_and_not_echoed(
    http: httpx.AsyncClient, redis_url: str, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    token = hs256()
    async with serving(redis_url) as unasked:
        for asker, path in ((http, "/v1/physics"), (http, "/docs"), (unasked, "/v1/physics"), (http, "/nothing")):
            answer = await asker.get(f"{path}?x=1&{name}={token}", headers=bearer(token))
            is_problem(answer, 400, "token_in_url")
            assert token not in answer.text + str(answer.headers)
    assert token not in "".join(capfd.readouterr())


async def test_names_that_are_not_allowed_are_told_alike_whether_there_are_such(http: httpx.AsyncClient) -> None:
    headers = only("SPY", "BTC-*")
    for path in NAMED:
        bodies = set()
        for symbol in ("SECRET", "NEVERWAS"):
            answer = await http.get(path.format(symbol), headers={**headers, "Origin": PAGE})
            is_problem(answer, 403, "not_allowed")
            assert answer.headers["access-control-allow-origin"] == PAGE
            bodies.add(answer.text.replace(symbol, "X"))
        assert len(bodies) == 1
        assert (await http.get(path.format("BTC-USD"), headers=headers)).status_code != 403


async def test_nothing_is_looked_up_for_names_that_are_not_allowed(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(*_arguments: object, **_others: object) -> None:
        raise AssertionError("it was looked up")

    for kind, method in ((PhysicsReader, "get"), (PhysicsReader, "many"), (MarketSnapshots, "get")):
        monkeypatch.setattr(kind, method, never)
    monkeypatch.setattr(HistoryProcess, "ask", never)
    async with serving(redis_url, judge=authentication()) as http:
        for path in NAMED:
            is_problem(await http.get(path.format("SECRET"), headers=only("SPY")), 403, "not_allowed")


async def test_answers_about_all_are_about_those_allowed(http: httpx.AsyncClient) -> None:
    headers = only("SPY", "BTC-*")
    states = (await http.get("/v1/physics", headers=headers)).json()
    assert states["states"].keys() == {"SPY", "BTC-USD"}
    assert (states["missing"], states["complete"]) == ([], True)
    unfed = (await http.get("/v1/physics?unfed=false", headers=headers)).json()
    assert {*unfed["states"], *unfed["unfed"]} == {"SPY", "BTC-USD"}
    regimes = (await http.get("/v1/regimes", headers=headers)).json()
    assert {symbol for symbols in regimes["regimes"].values() for symbol in symbols} == {"SPY", "BTC-USD"}
    assert set(regimes["not_live"]) <= {"SPY", "BTC-USD"}
    changes = (await http.get("/v1/changes?last=10m", headers=headers)).json()
    assert {row["symbol"] for row in changes["changes"]} == set(changes["symbols"]) == {"SPY", "BTC-USD"}
    assert [row["symbol"] for row in changes["changes"] if row["kind"] == "freshness"] == ["SPY"]
    gaps = (await http.get("/v1/gaps?last=10m", headers=headers)).json()
    assert {row["symbol"] for row in gaps["gaps"]} == {"SPY", "BTC-USD"}
    assert [each["hop"] for each in gaps["outages"]] == ["redis"]
    histories = await http.get("/v1/history?symbols=SPY,BTC-USD,BTC-NONE&last=2m&step=1m", headers=headers)
    assert histories.json()["missing"] == ["BTC-NONE"]
    arrow = await http.get("/v1/history?symbols=SPY,BTC-USD&last=2m", headers={**headers, "Accept": ARROW})
    table = pyarrow.ipc.open_stream(io.BytesIO(arrow.content)).read_all()
    assert set(table["symbol"].unique().to_pylist()) == {"SPY", "BTC-USD"}
    for path in ("/v1/physics", "/v1/regimes", "/v1/changes?last=10m", "/v1/gaps?last=10m"):
        assert "SECRET" not in (await http.get(path, headers=headers)).text
        assert "SECRET" in (await http.get(path, headers=only("*"))).text
        nothing = (await http.get(path, headers=only())).text
        assert not any(symbol in nothing for symbol in SYMBOLS)


async def test_a_limited_proof_tells_nothing_of_files_that_others_are_in(http: httpx.AsyncClient) -> None:
    whole = (await http.get("/v1/proof/SPY", headers=only("*"))).json()
    limited = (await http.get("/v1/proof/SPY", headers=only("SPY"))).json()
    assert whole["files"]
    assert whole["chain"].keys() == {"entries", "head", "kept", "whole"}
    assert limited["files"] == []
    assert limited["chain"] == {"kept": None, "whole": whole["chain"]["whole"]}
    assert limited["state"] == whole["state"]
    checksums = [whole["chain"]["head"], *(file["sha256"] for file in whole["files"])]
    paths = [file["path"] for file in whole["files"]]
    for headers in (only("SPY"), {**only("SPY"), "Accept": "text/html"}):
        answer = await http.get("/v1/proof/SPY", headers=headers)
        assert answer.status_code == 200
        assert not any(told in answer.text for told in (*checksums, *paths))


async def test_a_limited_proof_without_a_record_says_so_as_the_other_answers_do(redis_url: str) -> None:
    async with serving(redis_url, judge=authentication()) as http:
        for path in ("/v1/proof/SPY", "/v1/changes"):
            detail = is_problem(await http.get(path, headers=only("SPY")), 404, "no_record")
            assert detail.startswith("there is no record")


def damaged(folder: Path) -> list[Path]:
    """Damage all files of a record's rows."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and "samples" in str(path)]
    for path in files:
        path.write_bytes(path.read_bytes()[:-20] + b"\0" * 20)
    return files


async def test_a_limited_proof_of_a_damaged_record_names_no_file(http: httpx.AsyncClient, tmp_path: Path) -> None:
    files = damaged(tmp_path)
    assert files
    for version in ("", "?version=1-1"):
        whole = await http.get(f"/v1/proof/SPY{version}", headers=only("*"))
        limited = await http.get(f"/v1/proof/SPY{version}", headers=only("SPY"))
        assert whole.status_code == limited.status_code
        assert any(path.name in whole.text for path in files)
        assert not any(path.name in limited.text for path in files)


async def test_a_token_may_lower_how_many_symbols_are_named(http: httpx.AsyncClient) -> None:
    headers = only("*", max_symbols=1)
    assert (await http.get("/v1/physics?symbols=SPY", headers=headers)).status_code == 200
    is_problem(await http.get("/v1/physics?symbols=SPY,QQQ", headers=headers), 400, "too_many_symbols")


async def test_head_is_judged_as_get(http: httpx.AsyncClient) -> None:
    assert (await http.head("/v1/physics/SPY")).status_code == 401
    assert (await http.head("/v1/physics/SPY", headers=only("QQQ"))).status_code == 403
    assert (await http.head("/v1/physics/SPY", headers=only("SPY"))).status_code == 200


async def test_preflights_are_never_asked(http: httpx.AsyncClient, redis_url: str) -> None:
    asked = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "authorization"}
    async with serving(redis_url) as unasked:
        for asker in (http, unasked):
            answer = await asker.options("/v1/physics/SPY", headers={"Origin": PAGE, **asked})
            assert (answer.status_code, answer.content) == (204, b"")
            assert answer.headers["access-control-allow-origin"] == PAGE
            assert answer.headers["access-control-allow-headers"] == "authorization"
            assert "GET" in answer.headers["access-control-allow-methods"]
            assert answer.headers["vary"] == "Origin"
            assert "access-control-allow-credentials" not in answer.headers
            foreign = await asker.options("/v1/physics/SPY", headers={"Origin": "https://evil.example", **asked})
            assert (foreign.status_code, foreign.headers["vary"]) == (403, "Origin")
            assert "access-control-allow-origin" not in foreign.headers
    assert (await http.options("/v1/physics/SPY")).status_code == 401


async def test_documents_need_no_token_but_in_production(http: httpx.AsyncClient, redis_url: str) -> None:
    async with serving(redis_url, judge=authentication(), open_documents=False) as production:
        for path in ("/docs", "/openapi.json", "/docs/assets/swagger-ui.css"):
            assert (await http.get(path)).status_code == 200
            assert (await production.get(path)).status_code == 401
            assert (await production.get(path, headers=only())).status_code == 200
    for path in ("/docs/", "/docs/assets", "/openapi.json/", "/docs/../v1/physics", "/docs/assets/../../v1/physics"):
        assert (await http.get(path)).status_code in (401, 404), path


async def test_the_document_says_that_a_token_is_needed(http: httpx.AsyncClient, redis_url: str) -> None:
    document = (await http.get("/openapi.json")).json()
    [(name, scheme)] = document["components"]["securitySchemes"].items()
    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")
    assert document["security"] == [{name: []}]
    for path, operations in document["paths"].items():
        answers = operations["get"]["responses"]
        assert answers["401"]["content"].keys() == {"application/problem+json"}
        assert ("403" in answers) == (path != "/v1/regimes")
    async with serving(redis_url) as unasked:
        document = (await unasked.get("/openapi.json")).json()
    assert "security" not in document
    assert not any("401" in each["get"]["responses"] for each in document["paths"].values())


async def test_without_keys_nobody_is_asked(redis_url: str, client: Client) -> None:
    await put(client, "SPY", state(time.time()))
    async with serving(redis_url) as http:
        for headers in ({}, bearer("rubbish"), bearer(hs256())):
            assert (await http.get("/v1/physics/SPY", headers=headers)).status_code == 200


@pytest.mark.parametrize(
    "line",
    [
        b"Authorization : Bearer THE-TOKEN",
        b"Authorization: Bearer THE-TOKEN\0",
        b"Authorization\xe9: Bearer THE-TOKEN",
        b"Bearer THE-TOKEN",
    ],
)
async def test_a_header_that_cannot_be_read_is_neither_logged_nor_echoed(
    http: httpx.AsyncClient, line: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    assert b"THE-TOKEN" not in await raw(http, b"GET / HTTP/1.1\r\nHost: localhost\r\n" + line + b"\r\n\r\n")
    assert b"THE-TOKEN" not in await raw(http, b"GET /?token=THE-TOKEN\x01 HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert "THE-TOKEN" not in "".join(capfd.readouterr())


async def raw(http: httpx.AsyncClient, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", http.base_url.port)
    writer.write(request)
    async with asyncio.timeout(20):
        answer = await reader.read()
    writer.close()
    assert b" 400 " in answer
    return answer


@pytest.fixture
def deny_file(tmp_path: Path) -> Path:
    path = tmp_path / "denied"
    path.write_text("")
    return path


async def test_the_process_takes_keys_that_change_and_says_who_is_refused(
    redis_url: str, tmp_path: Path, deny_file: Path
) -> None:
    first, second = Issuer("first"), Issuer("second")
    jwks = first.file(tmp_path / "jwks.json")
    environment = {
        "REDIS_URL": redis_url,
        "PHYSICS_PORT": "0",
        "PHYSICS_OPS_PORT": "0",
        "AUTH_SECRET": SECRET,  # beside keys: in development
        "AUTH_JWKS_FILE": str(jwks),
        "AUTH_DENY_FILE": str(deny_file),
    }
    async with service("physics", environment) as physics:
        port = (await physics.logged("listening"))["port"]
        async with plain_http(f"http://127.0.0.1:{port}") as http:

            async def status(token: str) -> int:
                return (await http.get("/v1/regimes", headers=bearer(token))).status_code

            for algorithm in ("EdDSA", "ES256", "RS256"):
                assert await status(first.token(algorithm)) == 200
            assert await status(hs256()) == 200
            assert await status(second.token()) == 401
            second.file(jwks)
            await eventually(lambda: _is(status(second.token()), 200))
            await eventually(lambda: _is(status(first.token()), 401))
            jwks.write_text(jwks.read_text()[:100])
            await asyncio.sleep(1.1)
            assert await status(second.token()) == 200
            await physics.logged("file_not_taken", setting="AUTH_JWKS_FILE", level="warning")
            assert await status(second.token()) == 200
            denied = second.token(body=claims(sub="mallory", jti="stolen"))
            assert await status(denied) == 200
            await asyncio.to_thread(deny_file.write_text, "stolen\n")
            await eventually(lambda: _is(status(denied), 401))
            assert await status(second.token()) == 200
            line = await physics.logged("token_refused", reason="denied")
            assert line["sub"] == "mallory"
            await http.get("/v1/physics/SPY", headers=only("QQQ", sub="zoe"))
            assert (await physics.logged("symbols_not_allowed"))["sub"] == "zoe"
        assert denied.split(".")[2] not in str(physics.logs)
        assert SECRET not in str(physics.logs)


async def _is(found: Awaitable[int], wanted: int) -> bool:
    return await found == wanted


@pytest.mark.parametrize(
    ("variable", "content"),
    [
        ("AUTH_JWKS_FILE", None),
        ("AUTH_JWKS_FILE", ""),
        ("AUTH_JWKS_FILE", '{"keys":[{"kty":"oct","k":"c2VjcmV0LWNhbmFyeQ"}]}'),
        ("AUTH_DENY_FILE", None),
        ("AUTH_SECRET", "thirty-one-bytes-secret-canary-"),
    ],
)
async def test_a_process_without_usable_keys_ends_with_2(tmp_path: Path, variable: str, content: str | None) -> None:
    path = tmp_path / "file"
    if content is not None:
        path.write_text(content)
    environment = {"REDIS_URL": "redis://127.0.0.1:1", "AUTH_SECRET": SECRET, variable: str(path)}
    if variable == "AUTH_SECRET":
        environment[variable] = str(content)
    async with service("physics", {**environment, "PHYSICS_PORT": "0", "PHYSICS_OPS_PORT": "0"}) as physics:
        assert await physics.ended() == 2
        said = physics.report()
    assert variable in said
    assert "canary" not in said
    assert "c2VjcmV0" not in said
