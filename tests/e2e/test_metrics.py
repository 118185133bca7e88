"""The metrics of the six real services, held against Prometheus's conventions by its own `promtool`."""

import asyncio
import re
import shutil

import pytest

from tests.e2e.suite import NAMES, Suite, client, suite, until
from tests.one_kind import on_one_kind

pytest_generate_tests = on_one_kind

needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="no promtool on this machine: it comes with Debian's package prometheus"
)
FANOUT = {"bridge", "broadcaster"}
COMMON = {"process", "python", "cottage_event_loop", "cottage_http", "cottage_log", "cottage_tls"}


async def lint(metrics: bytes) -> str:
    """What promtool has to say against a page of metrics."""
    process = await asyncio.create_subprocess_exec(
        "promtool", "check", "metrics",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await process.communicate(metrics)
    assert bool(process.returncode) == bool(output), output
    return output.decode()


def subsystems(metrics: str) -> set[str]:
    names = re.findall(r"^# TYPE (\w+)", metrics, re.MULTILINE)
    return {re.sub(r"^(process|python|cottage_event_loop|cottage_[a-z]+)_.*", r"\1", name) for name in names}


async def used(running: Suite) -> None:
    """Until each service has something to count under its labels, good and bad."""
    async with client(running.ws_url + "?symbols=SPY") as connection:
        await until(connection, "PHYSICS_UPDATE")
        await connection.send("{}")
        await until(connection, "ERROR")
    assert (await running.get("/v1/physics/SPY")).status_code == 200


@needs_promtool
async def test_every_port_keeps_to_the_conventions(redis_url: str) -> None:
    async with suite(redis_url) as running:
        await used(running)
        for name in NAMES:
            answer = await running.processes[name].get("/metrics")
            assert await lint(answer.content) == "", name
            own = {f"cottage_{name}", *({"cottage_fanout"} if name in FANOUT else ())}
            assert subsystems(answer.text) - COMMON == own


@needs_promtool
async def test_promtool_finds_what_is_no_convention() -> None:
    assert "_total" in await lint(
        b"# HELP cottage_market_rows Rows.\n# TYPE cottage_market_rows counter\ncottage_market_rows 1\n"
    )
