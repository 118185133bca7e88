"""Keeping processes running, and ending them."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from cottage.clock import SystemClock
from cottage.errors import SettingsError
from deploy import supervisor as module
from deploy.supervisor import BAD_SETTING, Child, Supervisor
from tests.support import eventually


async def always_ready() -> None:
    return None


def child(name: str, code: str, *arguments: str, reason_file: Path | None = None) -> Child:
    return Child(name, [sys.executable, "-c", code, *arguments], os.environ, always_ready, reason_file=reason_file)


@asynccontextmanager
async def supervising(children: Sequence[Child]) -> AsyncIterator[Supervisor]:
    supervisor = Supervisor(SystemClock())
    for each in children:
        supervisor.add(each)
    try:
        yield supervisor
    finally:
        supervisor.force()
        await supervisor.stop(children, None)


COUNTING = "import sys; open(sys.argv[1], 'a').write('x'); sys.exit(int(sys.argv[2]))"


async def test_a_failing_child_is_started_again_and_again(tmp_path: Path) -> None:
    starts = tmp_path / "starts"
    with capture_logs() as logs:
        async with supervising([]) as supervisor:
            supervisor.up()
            failing = child("failing", COUNTING, str(starts), "1")
            supervisor.add(failing)
            await eventually(lambda: starts.exists() and len(starts.read_text()) >= module.MAX_START_DEATHS + 1)
            await supervisor.stop([failing], None)
    died = [line for line in logs if line["event"] == "died"]
    assert len(died) >= 2
    assert died[0]["process"] == "failing"
    assert died[0]["reason"] == "exit status 1"


@pytest.mark.parametrize("status", ["0", "1", "3"])
async def test_what_ends_without_having_been_asked_is_started_again(tmp_path: Path, status: str) -> None:
    starts = tmp_path / "starts"
    with capture_logs() as logs:
        async with supervising([]) as supervisor:
            supervisor.up()
            ending = child("ending", COUNTING, str(starts), status)
            supervisor.add(ending)
            await eventually(lambda: starts.exists() and len(starts.read_text()) >= 2)
            await supervisor.stop([ending], None)
            assert supervisor.failure is None
    assert next(line["reason"] for line in logs if line["event"] == "died") == f"exit status {status}"


@pytest.mark.parametrize("up", [False, True])
async def test_what_cannot_heal_is_not_tried_again_and_says_why(tmp_path: Path, up: bool) -> None:
    """Neither during the start nor later: nobody has changed a setting meanwhile."""
    starts, why = tmp_path / "starts", tmp_path / "why"
    why.write_text("of an earlier start")
    code = f"import os; open(os.environ['TERMINATION_LOG'], 'w').write('PORT: is\\n taken'); {COUNTING}"
    with capture_logs() as logs:
        async with supervising([]) as supervisor:
            if up:
                supervisor.up()
            supervisor.add(child("refusing", code, str(starts), str(BAD_SETTING), reason_file=why))
            await asyncio.wait_for(supervisor.gave_up.wait(), 10)
    assert starts.read_text() == "x"
    assert isinstance(supervisor.failure, SettingsError)
    assert str(supervisor.failure) == "refusing: PORT: is taken"
    assert [line["reason"] for line in logs] == ["PORT: is taken"]


async def test_a_child_without_words_of_its_own(tmp_path: Path) -> None:
    """An earlier start's words are not its own; one that logs into a file has said it in its last line."""
    why, log = tmp_path / "why", tmp_path / "log"
    why.write_text("of an earlier start")
    silent = child("silent", "raise SystemExit(2)", reason_file=why)
    logging = child("logging", "print('first'); print('last'); print(); raise SystemExit(2)")
    logging.log_file = lambda: log
    for each, words in ((silent, "exit status 2; its own lines above say more"), (logging, "last")):
        async with supervising([each]) as supervisor:
            await asyncio.wait_for(supervisor.gave_up.wait(), 10)
        assert str(supervisor.failure) == f"{each.name}: {words}"


async def test_a_start_that_is_hopeless_is_given_up(tmp_path: Path) -> None:
    starts = tmp_path / "starts"
    with capture_logs() as logs:
        async with supervising([child("failing", COUNTING, str(starts), "1")]) as supervisor:
            await asyncio.wait_for(supervisor.gave_up.wait(), 20)
    assert supervisor.failure is not None
    assert not isinstance(supervisor.failure, SettingsError)
    assert starts.read_text() == "x" * module.MAX_START_DEATHS
    assert [line["process"] for line in logs if line["event"] == "gave_up"] == ["failing"]


async def test_what_does_not_end_in_time_is_killed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(module, "STOP_SECONDS", 0.3)
    up = tmp_path / "up"
    code = (
        "import pathlib, signal, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "pathlib.Path(sys.argv[1]).touch(); signal.pause()"
    )
    stubborn = child("stubborn", code, str(up))
    supervisor = Supervisor(SystemClock())
    supervisor.add(stubborn)
    await eventually(up.exists)
    with capture_logs() as logs:
        await supervisor.stop([stubborn], None)
    assert stubborn.process is not None
    assert stubborn.process.returncode is not None
    assert [line["process"] for line in logs if line["event"] == "killed"] == ["stubborn"]


async def test_a_command_that_is_not_there_is_tried_again() -> None:
    with capture_logs() as logs:
        # Linux: the small Python in front of it fails; elsewhere the start itself does.
        missing = Child("missing", ["/no/such/program"], os.environ, always_ready)
        async with supervising([missing]):
            await eventually(lambda: len([line for line in logs if line["event"] in ("died", "not_started")]) >= 2)


async def test_says_for_what_it_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = 0

    async def not_ready() -> str | None:
        nonlocal asked
        asked += 1
        return "warming up" if asked < 4 else None

    class Fast(SystemClock):
        def monotonic(self) -> float:
            return super().monotonic() * 100

    slow = Child("slow", [sys.executable, "-c", "import signal; signal.pause()"], os.environ, not_ready)
    supervisor = Supervisor(Fast())
    supervisor.add(slow)
    with capture_logs() as logs:
        await supervisor.ready([slow])
    supervisor.force()
    await supervisor.stop([slow], None)
    assert {"event": "waiting", "process": "slow", "reason": "warming up", "log_level": "info"} in logs
