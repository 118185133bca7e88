"""The API's answers from a record, over real HTTP, with the real process that answers."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import orjson
import pyarrow
import pytest

from cottage.api_client import ARROW
from cottage.reader.physics_reader import PhysicsReader
from cottage.redis import connect
from cottage.store import MarketSnapshots
from services.physics import api, history_api, schemas
from services.physics.history_process import MOST_WAITING, EngineLimits, HistoryProcess
from tests.cottage.record.recorded_history import (
    EPOCH,
    RUN,
    add,
    freshness,
    gap,
    outage,
    recorder,
    regime,
    sample,
    write,
)
from tests.integration.test_physics import as_documented, asking, is_problem
from tests.one_kind import on_one_kind
from tests.support import eventually, plain_http, service

pytest_generate_tests = on_one_kind

USUAL = EngineLimits(60.0, 1024)


@asynccontextmanager
async def answering(
    folder: Path, limits: EngineLimits = USUAL
) -> AsyncIterator[tuple[httpx.AsyncClient, HistoryProcess]]:
    """The API with a record, and without a Redis."""
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(connect("redis://127.0.0.1:1", timeout=0.1))
        history = await stack.enter_async_context(HistoryProcess(str(folder), limits))
        app = api.build(PhysicsReader(client), MarketSnapshots(client), history)
        http = await stack.enter_async_context(asking(app))
        http.timeout = httpx.Timeout(60.0)  # a busy machine starts a process slowly
        yield http, history


@pytest.fixture
async def http(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """Three minutes of two symbols."""
    write(
        tmp_path,
        samples=[sample(second, symbol, price=100.0 + second) for second in range(180) for symbol in ("SPY", "QQQ")],
        regimes=[regime(0, None, "Gaussian"), regime(100, "Gaussian", "Critical")],
        gaps=[gap(55, 65, "missed", "recorder_down")],
        freshness=[freshness(170, "stale", "market_quiet", "QQQ")],
        outages=[outage("redis", 30, 40, 40)],
    )
    async with answering(tmp_path) as (client, _):
        yield client


async def test_points_of_one_symbol(http: httpx.AsyncClient) -> None:
    response = await http.get("/v1/history/SPY?last=3m&step=1m")
    assert response.status_code == 200
    body = response.json()
    points, gaps = body.pop("points"), body.pop("gaps")
    assert body == {
        "by": "at",
        "symbol": "SPY",
        "source": "simulate",
        "run": RUN,
        "from": "2025-11-26T13:00:00.000Z",
        "to": "2025-11-26T13:03:00.000Z",
        "step": 60.0,
        "until": [EPOCH, 1800],
    }
    assert [(each["time"], each["count"], each["close"]) for each in points] == [
        ("2025-11-26T13:00:00.000Z", 60, 159.0),
        ("2025-11-26T13:01:00.000Z", 60, 219.0),
        ("2025-11-26T13:02:00.000Z", 60, 279.0),
    ]
    assert [(each["partial"], each["gaps"]) for each in points] == [
        (False, ["missed"]),
        (False, ["missed"]),
        (True, None),
    ]
    assert (points[0]["share_gaussian"], points[0]["freshness"]) == (1.0, "live")
    [found] = gaps
    assert (found["kind"], found["cause"], found["since"]) == ("missed", "recorder_down", "2025-11-26T13:00:55.000Z")


async def test_what_an_empty_bucket_has_not_is_null_and_counters_stay_whole(tmp_path: Path) -> None:
    write(tmp_path, samples=[sample(0, samples=7), sample(130, samples=9)])
    async with answering(tmp_path) as (client, _):
        body = (await client.get("/v1/history/SPY?last=3m&step=1m&fields=price,regime,samples")).text
    assert [each["samples"] for each in orjson.loads(body)["points"]] == [7, None, 9]
    assert '"samples":7,' in body
    empty = orjson.loads(body)["points"][1]
    assert {name: each for name, each in empty.items() if each is not None} == {
        "time": "2025-11-26T13:01:00.000Z",
        "partial": False,
        "count": 0,
    }


def _maps(history: HistoryProcess) -> str:
    return Path(f"/proc/{history.pid}/maps").read_text()


async def test_its_process_holds_no_pandas(tmp_path: Path) -> None:
    write(tmp_path, samples=[sample(0)])
    async with answering(tmp_path) as (client, history):
        assert (await client.get("/v1/history/SPY")).status_code == 200
        maps = _maps(history)
    assert "/pyarrow/" in maps
    assert "/pandas/" not in maps


async def test_points_of_many(http: httpx.AsyncClient) -> None:
    body = (await http.get("/v1/history?symbols=SPY,NONE,QQQ&last=1m&points=6&fields=price")).json()
    assert (list(body["symbols"]), body["missing"], body["by"]) == (["SPY", "QQQ"], ["NONE"], "at")
    for each in body["symbols"].values():
        assert [point["count"] for point in each["points"]] == [10] * 6
        assert each["points"][0].keys() == {
            *("time", "partial", "count", "open", "high", "low", "close", "price_mean", "gaps")
        }
    assert (await http.get("/v1/history?symbols=")).json() == {"by": "at", "symbols": {}, "missing": []}
    assert (await http.get("/v1/changes?last=10m&symbols=")).json()["changes"] == []  # of none, and not of all
    assert (await http.get("/v1/gaps?last=10m&symbols=")).json()["gaps"] == []


async def test_as_an_arrow_table(http: httpx.AsyncClient) -> None:
    headers = {"Accept": ARROW}
    for path, symbols in (("/SPY?last=3m&step=1m", ["SPY"]), ("?symbols=QQQ,SPY&last=3m&step=1m", ["QQQ", "SPY"])):
        response = await http.get(f"/v1/history{path}", headers=headers)
        assert response.headers["content-type"] == ARROW
        table = pyarrow.ipc.open_stream(response.content).read_all()
        assert table["symbol"].to_pylist() == [symbol for symbol in symbols for _ in range(3)]
        assert table["count"].to_pylist() == [60] * 3 * len(symbols)
        assert str(table.schema.field("time").type) == "timestamp[us, tz=UTC]"
        assert table["freshness"].to_pylist()[2] == ("stale" if symbols[0] == "QQQ" else "live")
        told = orjson.loads(table.schema.metadata[b"cottage"])
        heads = told["symbols"].values() if len(symbols) == 2 else [told]
        assert [each["until"] for each in heads] == [[EPOCH, 1800]] * len(symbols)
    is_problem(await http.get("/v1/history/NONE", headers=headers), 404, "no_such_symbol")


async def test_regimes_changes_and_gaps(http: httpx.AsyncClient) -> None:
    body = (await http.get("/v1/history/SPY/regimes?last=1m")).json()
    assert [(each["regime"], each["since"], each["until"]) for each in body["spells"]] == [
        ("Critical", "2025-11-26T13:01:40.000Z", None)
    ]
    assert body["spells"][0]["version"] == [EPOCH, 1010]
    body = (await http.get("/v1/changes?since=10m")).json()
    assert (body["symbols"], body["complete"]) == (["QQQ", "SPY"], True)
    assert [(each["kind"], each["symbol"], each["recorded"]) for each in body["changes"]] == [
        ("freshness", "QQQ", "2025-11-26T13:02:50.000Z"),
        ("regime", "SPY", "2025-11-26T13:01:40.000Z"),
    ]
    assert body == (await http.get("/v1/changes?last=10m")).json()
    assert (await http.get("/v1/changes?last=10m&regime=Critical")).json()["symbols"] == ["SPY"]
    is_problem(await http.get("/v1/changes?last=10m&since=10m"), 422, "bad_parameter")
    for query in ("since=x", "since=10m&from=1764162000"):
        assert is_problem(await http.get(f"/v1/changes?{query}"), 422, "bad_parameter").startswith("since ")
    assert is_problem(await http.get("/v1/history/SPY?known=x"), 422, "bad_parameter").startswith("known ")
    body = (await http.get("/v1/gaps?last=10m&symbols=SPY")).json()
    assert [(each["symbol"], each["kind"], each["until"]) for each in body["gaps"]] == [
        ("SPY", "missed", "2025-11-26T13:01:05.000Z")
    ]
    assert [(each["hop"], each["until"]) for each in body["outages"]] == [("redis", "2025-11-26T13:00:40.000Z")]


async def test_a_past_state(http: httpx.AsyncClient) -> None:
    body = (await http.get("/v1/physics/SPY?at=2025-11-26T13:00:35.5Z")).json()
    freshness, outages = body.pop("freshness"), body.pop("outages")
    assert (body["price"], body["regime"], body["epoch"], body["seq"]) == (135.0, "Gaussian", EPOCH, 360)
    assert freshness == {"status": "live", "cause": None, "age_ms": 500, "origin": "recorded"}
    assert [each["hop"] for each in outages] == ["redis"]
    assert (body["at"], body["run"]) == ("2025-11-26T13:00:35.500Z", RUN)
    exact = (await http.get(f"/v1/physics/SPY?version={EPOCH}-360")).json()
    assert (exact["price"], exact["seq"], exact["freshness"]["age_ms"]) == (135.0, 360, 0)
    assert "begins at" in is_problem(await http.get("/v1/physics/SPY?at=2025-11-26T12:00:00Z"), 404, "not_recorded")
    assert "reaches until" in is_problem(
        await http.get("/v1/physics/SPY?at=2099-01-01T00:00:00Z"), 404, "not_recorded"
    )
    is_problem(await http.get("/v1/physics/NONE?at=2025-11-26T13:00:35Z"), 404, "no_such_symbol")
    is_problem(await http.get("/v1/physics/SPY?version=1-1"), 404, "not_recorded")
    both = f"at=2025-11-26T13:00:35Z&version={EPOCH}-360"
    assert "one of them" in is_problem(await http.get(f"/v1/physics/SPY?{both}"), 422, "bad_parameter")
    assert "present" in is_problem(await http.get("/v1/physics/SPY?at=0&max_age_ms=3"), 422, "bad_parameter")


async def test_answers_as_the_document_says(http: httpx.AsyncClient) -> None:
    document = (await http.get("/openapi.json")).json()
    for path, template in (
        (
            "/v1/history/SPY?last=3m&fields=" + ",".join(("price", "alpha", "regime", "freshness", "mass")),
            "/v1/history/{symbol}",
        ),
        ("/v1/history?symbols=SPY,QQQ", "/v1/history"),
        ("/v1/history/SPY/regimes", "/v1/history/{symbol}/regimes"),
        ("/v1/changes", "/v1/changes"),
        ("/v1/gaps", "/v1/gaps"),
        ("/v1/physics/SPY?at=2025-11-26T13:00:35Z", "/v1/physics/{symbol}"),
    ):
        as_documented(await http.get(path), document["paths"][template]["get"]["responses"], path)
    assert ARROW in document["paths"]["/v1/history"]["get"]["responses"]["200"]["content"]
    assert schemas.HistoryPoint.model_fields.keys() == {"time", "partial", "count", "gaps"}


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("points=1000000000", "bad_parameter"),
        ("from=2025-11-26T14:00:00Z&to=2025-11-26T13:00:00Z", "bad_parameter"),
        ("last=nan", "bad_parameter"),
        ("from=NaN", "bad_parameter"),
        ("last=1h&from=2025-11-26T13:00:00Z", "bad_parameter"),
        ("from=0&to=7258118400&step=1ms", "too_many_points"),
        ("last=366d&step=1ms", "too_many_points"),
        ("step=1e9", "bad_parameter"),
        ("to=9999-12-31T23:59:59Z", "bad_parameter"),
        ("source=live", "not_recorded"),
        ("to=2025-11-26T12:00:00Z", "not_recorded"),
        ("fields=password", "bad_parameter"),
    ],
)
async def test_what_is_asked_in_vain(http: httpx.AsyncClient, query: str, code: str) -> None:
    status = {"bad_parameter": 422, "too_many_points": 400, "not_recorded": 404}[code]
    assert is_problem(await http.get(f"/v1/history/SPY?{query}"), status, code)


async def test_a_huge_time_is_answered_with_few_points(http: httpx.AsyncClient) -> None:
    body = (await http.get("/v1/history/SPY?from=0&to=7258118400&points=5000")).json()
    assert sum(each["count"] for each in body["points"]) == 180


async def test_too_many_at_once(http: httpx.AsyncClient) -> None:
    full = ",".join(f"S{number}" for number in range(501))
    is_problem(await http.get(f"/v1/history?symbols={full}"), 400, "too_many_symbols")


async def test_without_a_record_it_says_what_to_do(tmp_path: Path) -> None:
    async with answering(tmp_path / "nothing") as (http, history):
        assert history.pid is None  # nobody has asked
        assert "RECORDER_DIR" in is_problem(await http.get("/v1/history/SPY"), 404, "no_record")
        is_problem(await http.get("/v1/changes"), 404, "no_record")
        write(tmp_path / "nothing", samples=[sample(0)])
        assert (await http.get("/v1/history/SPY")).status_code == 200


async def test_a_subscriber_joins_without_a_seam(tmp_path: Path) -> None:
    """What came first on its subscription is not flushed yet when it asks: the answer waits for that."""
    path = f"/v1/history/SPY?last=10s&step=1s&known={EPOCH}-60"
    with recorder(tmp_path) as writer:
        async with answering(tmp_path) as (http, _):
            add(writer, samples=[sample(second) for second in range(4)])
            updates = [sample(second) for second in range(5, 9)]  # what has come since it subscribed
            answer = asyncio.create_task(http.get(path))
            await asyncio.wait((answer,), timeout=0.5)
            assert not answer.done()
            add(writer, samples=[sample(second) for second in range(4, 7)])
            body = (await answer).json()
            after = [each for each in updates if [each["epoch"], each["seq"]] > body["until"]]
            assert sum(each["count"] for each in body["points"]) + len(after) == 9


async def test_a_version_that_never_comes_is_not_waited_for_for_ever(
    http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_api, "KNOWN_SECONDS", 0.1)
    is_problem(await http.get(f"/v1/history/SPY?known={EPOCH}-99999"), 503, "not_yet")
    assert (await http.get(f"/v1/history/SPY?known={EPOCH}-1800")).status_code == 200
    both = await http.get(f"/v1/history/SPY?known={EPOCH}-1&from=2025-11-26T13:00:00Z")
    assert "leave out" in is_problem(both, 422, "bad_parameter")


async def test_an_engine_that_dies_is_started_again(tmp_path: Path) -> None:
    write(tmp_path, samples=[sample(0)])
    async with answering(tmp_path) as (http, history):
        assert (await http.get("/v1/history/SPY")).status_code == 200
        first = history.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        answers = [await http.get("/v1/history/SPY") for _ in range(2)]
        assert answers[-1].status_code == 200
        if answers[0].status_code != 200:
            is_problem(answers[0], 503, "unavailable")
        assert history.pid not in (None, first)
    assert history.pid is None


async def test_a_question_that_takes_too_long_is_ended_and_others_are_refused(tmp_path: Path) -> None:
    write(tmp_path, samples=[sample(0)])
    async with answering(tmp_path) as (http, history):
        assert (await http.get("/v1/history/SPY")).status_code == 200
        history._limits = EngineLimits(1.0, 1024)  # from now on: a busy machine starts it slowly
        hung = history.pid
        assert hung is not None
        os.kill(hung, signal.SIGSTOP)
        answers = await asyncio.gather(*(http.get("/v1/history/SPY") for _ in range(MOST_WAITING + 3)))
        codes = [each.json().get("code") for each in answers]
        assert codes.count("busy") >= 3
        assert "too_slow" in codes
        for each in answers:
            if each.status_code != 200:
                assert is_problem(each, 503, each.json()["code"])
        assert history.pid != hung
        assert not is_there(hung)
        assert history.waiting == 0


def is_there(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def first_to_go(pid: int) -> bool:
    return Path(f"/proc/{pid}/oom_score_adj").read_text().strip() == "1000"


def most_memory(pid: int) -> int:
    [line] = [
        line for line in Path(f"/proc/{pid}/limits").read_text().splitlines() if line.startswith("Max data size")
    ]
    return int(line.split()[3])


async def test_the_process_is_niced_and_limited_and_goes_with_the_service(tmp_path: Path) -> None:
    write(tmp_path, samples=[sample(0)])
    async with answering(tmp_path) as (http, history):
        await http.get("/v1/history/SPY")
        pid = history.pid
        assert pid is not None
        assert os.getpriority(os.PRIO_PROCESS, pid) == min(19, os.getpriority(os.PRIO_PROCESS, 0) + 10)
        assert first_to_go(pid)
        assert most_memory(pid) == 1024 * 2**20
        assert history.status() == {"folder": str(tmp_path), "engine": pid, "waiting": 0}
    assert not is_there(pid)


async def test_the_newest_is_at_hand_however_long_the_record_is(tmp_path: Path) -> None:
    day = 86_400
    rows: list[Any] = [sample(hour * 3600) for hour in range(0, 30 * 24, 7)]
    write(tmp_path, samples=rows)
    async with answering(tmp_path) as (http, _):
        body = (await http.get("/v1/history/SPY?last=31d&step=1d")).json()
        assert sum(each["count"] for each in body["points"]) == len(rows)
        assert body["step"] == day


async def test_what_the_suite_records_is_answered_as_it_was_told_live(redis_url: str, tmp_path: Path) -> None:
    """Its processes, from the market to the API: a live state is found again by its version, in all its fields."""
    environment = {"REDIS_URL": redis_url, "RECORDER_DIR": str(tmp_path / "record"), "MARKET_SYMBOLS": "SPY,QQQ"}
    async with AsyncExitStack() as stack:
        for name in ("market", "feynman", "recorder"):
            await stack.enter_async_context(service(name, environment))
        physics = await stack.enter_async_context(service("physics", {**environment, "PHYSICS_PORT": "0"}))
        port = (await physics.logged("listening"))["port"]
        http = await stack.enter_async_context(plain_http(f"http://127.0.0.1:{port}"))
        http.timeout = httpx.Timeout(60.0)

        async def some_samples() -> bool:
            return bool((await http.get("/v1/physics/SPY")).json().get("samples", 0) >= 3)

        await eventually(some_samples, timeout=60)
        live = (await http.get("/v1/physics/SPY")).json()
        version = f"{live['epoch']}-{live['seq']}"
        history = (await http.get(f"/v1/history/SPY?last=1m&points=6&known={version}")).json()
        assert history["until"] >= [live["epoch"], live["seq"]]
        assert sum(each["count"] for each in history["points"]) >= 3
        past = (await http.get(f"/v1/physics/SPY?version={version}")).json()
        del live["freshness"]
        assert {name: past[name] for name in live} == live
        written = (await http.get(f"/v1/physics/SPY?at={live['written'] / 1e6:.6f}")).json()
        assert (written["epoch"], written["seq"]) == (live["epoch"], live["seq"])
