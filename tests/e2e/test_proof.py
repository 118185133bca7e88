"""States of a real run are proved from its record, over HTTP, as JSON and as a page."""

import random
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cottage import keys
from cottage.api_client import JSON
from cottage.record.proof import prove
from cottage.record.proof_page import HTML, POLICY
from cottage.record.record import Record
from cottage.redis import Client
from cottage.version import Version
from services.physics import schemas
from tests.e2e.suite import Suite
from tests.one_kind import on_one_kind
from tests.support import eventually, plain_http

pytest_generate_tests = on_one_kind


@pytest.fixture
def trades(tmp_path: Path) -> Path:
    """Half an hour of trades, with an hour without any in it."""
    draw, moment, price = random.Random(7), 1_378_202_400.0, 1644.75
    lines = ["timestamp,symbol,price,size"]
    for number in range(4000):
        moment += draw.expovariate(2) + 3600 * (number == 2500)
        price += 0.25 * draw.choice((-2, -1, 0, 0, 1, 2))
        stamp = datetime.fromtimestamp(round(moment, 3), UTC).isoformat(timespec="milliseconds")
        lines.append(f"{stamp.replace('+00:00', 'Z')},ES,{price},{draw.randint(1, 20)}")
    path = tmp_path / "trades.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


@asynccontextmanager
async def recorded_suite(redis_url: str, env: Mapping[str, str]) -> AsyncIterator[Suite]:
    async with AsyncExitStack() as stack:
        yield await Suite(redis_url, env, stack).start_recorded()


async def test_states_of_a_run_are_proved(redis_url: str, trades: Path, tmp_path: Path) -> None:
    env = {
        "MARKET_SOURCE": "replay",
        "MARKET_FILE": str(trades),
        "MARKET_SPEED": "600",
        "RECORDER_DIR": str(tmp_path),
    }
    env |= {"FEYNMAN_WINDOW": "200", "FEYNMAN_TICK_SECONDS": "0.1", "FEYNMAN_DISCOVERY_SECONDS": "0.2"}
    record = Record(tmp_path)

    def versions() -> list[str]:
        rows = record.scan("samples", ["epoch", "seq", "last", "samples"], symbols=["ES"]).to_pylist()
        return [f"{row['epoch']}-{row['seq']}" for row in rows if row["last"] and row["samples"] == 200]

    async with recorded_suite(redis_url, env) as running, plain_http(running.api_url) as http:
        http.timeout = 60.0
        await eventually(lambda: len(versions()) > 20, 120)
        head = record.manifest().head
        for version in random.Random(3).sample(versions(), 4):
            body = (await http.get(f"/v1/proof/ES?version={version}&head={head}")).json()
            schemas.ProofAnswer.model_validate(body, strict=True)
            assert body["doubts"] == []
            assert body["proved"]
            assert len(body["inputs"]) == 200
        page = await http.get("/v1/proof/ES", headers={"Accept": HTML})
        assert page.headers["content-type"].startswith(HTML)
        assert page.headers["content-security-policy"] == POLICY
        assert "Proved: " in page.text
        refused = await http.get("/v1/proof/NONE", headers={"Accept": JSON})
        assert (refused.status_code, refused.json()["code"]) == (404, "no_such_symbol")


@pytest.mark.parametrize("saving", [True, False])
async def test_states_behind_a_kill_are_proved(redis_url: str, client: Client, tmp_path: Path, saving: bool) -> None:
    """Feynman is killed some samples after its checkpoint, or has none, and its windows go on from there."""
    record = Record(tmp_path / "record")
    env = {"MARKET_SOURCE": "simulate", "MARKET_SYMBOLS": "SPY", "MARKET_INTERVAL_SECONDS": "0.1"}
    env |= {"RECORDER_DIR": str(record.folder), "RECORDER_FLUSH_SECONDS": "0.2"}
    env |= {"FEYNMAN_WINDOW": "100", "FEYNMAN_TICK_SECONDS": "0.1", "FEYNMAN_RECORD_DIR": str(record.folder)}
    env |= {"FEYNMAN_LEASE_SECONDS": "1", "FEYNMAN_HEARTBEAT_SECONDS": "0.2", "FEYNMAN_DISCOVERY_SECONDS": "0.2"}
    if saving:
        env |= {"FEYNMAN_CHECKPOINT_DIR": str(tmp_path / "checkpoints"), "FEYNMAN_CHECKPOINT_SECONDS": "6"}

    def versions(after: int = 0) -> list[dict[str, int]]:
        rows = record.scan("samples", ["epoch", "seq", "recorded", "last"], symbols=["SPY"]).to_pylist()
        return [row for row in rows if row["last"] and row["epoch"] > after]

    async with recorded_suite(redis_url, env) as running:
        if saving:
            await running.processes["feynman"].logged("checkpoint_saved")
        told = len(versions())
        await eventually(lambda: len(versions()) > told + 25, 30)
        await running.processes["feynman"].kill()
        epoch = versions()[-1]["epoch"]

        async def lease_ran_out() -> bool:
            return await client.get(keys.physics_writer(0)) is None

        await eventually(lease_ran_out)  # one that waited for it would have samples that no version says
        await running.start("feynman")
        await eventually(lambda: len(versions(epoch)) > 25, 30)
        for row in versions(epoch)[:26:5]:
            proof = prove(record, "SPY", Version(row["epoch"], row["seq"]), row["recorded"])
            assert proof.doubts == []
