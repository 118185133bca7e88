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
from deploy import supervisor as module
from deploy.supervisor import BAD_SETTING, Child, Supervisor
from tests.support import eventually


async def always_ready() -> None:
    return None


def child(name: str, code: str, *arguments: str, may_finish: bool = True) -> Child:
    return Child(name, [sys.executable, "-c", code, *arguments], os.environ, always_ready, may_finish=may_finish)


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


async def test_work_that_is_done_is_left_alone_unless_it_never_should_be(tmp_path: Path) -> None:
    done, never = tmp_path / "done", tmp_path / "never"
    finishing = child("done", COUNTING, str(done), "0")
    async with supervising([finishing, child("never", COUNTING, str(never), "0", may_finish=False)]):
        await eventually(lambda: never.exists() and len(never.read_text()) >= 3)
        assert finishing.finished.is_set()
        assert done.read_text() == "x"


async def test_wrong_settings_end_the_start_but_no_running_suite(tmp_path: Path) -> None:
    starts = tmp_path / "starts"
    refusing = child("refusing", COUNTING, str(starts), str(BAD_SETTING))
    async with supervising([refusing]) as supervisor:
        await asyncio.wait_for(supervisor.gave_up.wait(), 10)
        assert supervisor.status == 2

    later = child("later", COUNTING, str(starts), str(BAD_SETTING))
    with capture_logs() as logs:
        async with supervising([]) as supervisor:
            supervisor.up()
            supervisor.add(later)
            await eventually(lambda: any(line["event"] == "died" for line in logs))
            assert not supervisor.gave_up.is_set()
            await supervisor.stop([later], None)
    # Not in a tight loop: nobody has changed the setting meanwhile.
    assert [line["seconds"] for line in logs if line["event"] == "died"] == [module.REFUSED_SECONDS]


async def test_a_start_that_is_hopeless_is_given_up(tmp_path: Path) -> None:
    starts = tmp_path / "starts"
    with capture_logs() as logs:
        async with supervising([child("failing", COUNTING, str(starts), "1")]) as supervisor:
            await asyncio.wait_for(supervisor.gave_up.wait(), 20)
    assert supervisor.status == 1
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
