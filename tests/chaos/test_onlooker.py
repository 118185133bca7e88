"""What a client in a process of its own says is judged by when it said it."""

import time
from pathlib import Path
from typing import Any

import pytest

from deploy.redis_server import Server, free_port
from tests.chaos.onlooker import Onlooker
from tests.chaos.pace import QUICK
from tests.chaos.suite import Suite
from tests.chaos.watch import Violations
from tests.support import eventually, program

WRITTEN = 1_767_225_600.0


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    server = Server("redis", "7.0", Path("redis-server"), embedded=False)  # it is not started
    return Suite(server, tmp_path, QUICK, Violations(lambda _kind, _what: None))


@pytest.fixture
def onlooker(suite: Suite) -> Onlooker:
    suite.samples.wrote("F0", WRITTEN, 100.0)
    return Onlooker(suite, "ws://nowhere", ["F0"])


def says(onlooker: Onlooker, at: float, status: str, age: float | None) -> list[str]:
    """The kinds of violations in such a claim about a sample of 100.0."""
    onlooker._violations.found.clear()
    onlooker.trust_again()
    shown: dict[str, Any] = {"version": [1, 2], "sample": WRITTEN, "status": status, "age": age}
    onlooker._take({"at": at, "phase": "connected", "losses": 0, "shown": {"F0": shown}})
    return [kind for kind, _ in onlooker._violations.found]


def test_what_is_old_may_not_be_live_nor_shown_younger(onlooker: Onlooker) -> None:
    assert says(onlooker, 100.5, "live", 0.5) == []
    assert says(onlooker, 102.0, "live", 2.0) == ["stale_as_fresh"]
    assert says(onlooker, 102.0, "stale", 2.0) == []
    assert says(onlooker, 102.0, "stale", 0.5) == ["younger"]
    assert says(onlooker, 102.0, "expired", None) == []
    assert says(onlooker, 102.0, "stale", 3602.0) == [], "older is no lie"


def test_alone_it_can_know_of_nothing_as_live(onlooker: Onlooker) -> None:
    onlooker.alone_since = 100.4
    assert says(onlooker, 100.3, "live", 0.3) == []
    assert says(onlooker, 100.5, "live", 0.5) == ["believed"]
    assert says(onlooker, 100.5, "stale", 0.5) == []


async def test_it_tells_what_it_shows(suite: Suite) -> None:
    arguments = suite.command("tests.chaos.onlooker", f"ws://127.0.0.1:{free_port()}/ws", "1", "6", "0.3", "F0")
    async with program(arguments) as running:
        await eventually(lambda: bool(running.logs))
        line = running.logs[-1]
        assert (line["phase"], line["shown"]) == ("connecting", {})
        assert line["at"] == pytest.approx(time.monotonic(), abs=60)
        await eventually(lambda: running.logs[-1]["losses"] > 0)
