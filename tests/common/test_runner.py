"""The life of a process, on real processes."""

import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support import ServiceProcess, ignored_signals, program, without_hangup


@asynccontextmanager
async def tiny(what: str, **env: str) -> AsyncIterator[ServiceProcess]:
    async with program(["tests/common/tiny_service.py", what], {"LOG_FORMAT": "json", **env}) as process:
        yield process


def only_json(process: ServiceProcess) -> None:
    """Every line is an object with the documented fields, and nothing is said elsewhere."""
    assert process.text == []
    assert process.errors == []
    for line in process.logs:
        assert {"timestamp", "level", "event", "service"} <= line.keys()
        assert line["service"] == "tiny"


def at_level(process: ServiceProcess, level: str) -> list[dict[str, Any]]:
    return [line for line in process.logs if line["level"] == level]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
async def test_a_signal_lets_it_drain_and_end_with_0(number: signal.Signals) -> None:
    async with tiny("drains") as process:
        running = await process.logged("running")
        assert running["loop"] == "uvloop"
        process.signal(number)
        assert await process.ended() == 0
    only_json(process)
    events = [line["event"] for line in process.logs if line["event"] != "stopping"]  # said where it takes a while
    assert events == ["starting", "running", "drained", "stopped"]


async def test_its_ops_port_answers_while_it_runs() -> None:
    async with tiny("drains") as process:
        await process.ready()
        assert (await process.get("/status")).json() == {
            "what": "drains",
            "log": {"problem": None, "lines_dropped": 0},
        }
        assert await process.stop() == 0


async def test_work_that_is_done_ends_it_with_0() -> None:
    async with tiny("ends") as process:
        assert await process.ended() == 0
    only_json(process)


async def test_what_does_not_drain_is_cancelled_and_closed() -> None:
    async with tiny("never_drains", DRAIN_SECONDS="0.1") as process:
        await process.logged("running")
        assert await process.stop() == 0
    only_json(process)
    events = [line["event"] for line in process.logs]
    assert events[2:] == ["stopping", "drain_deadline_passed", "closed", "stopped"]


async def test_what_does_not_close_is_left_behind() -> None:
    async with tiny("never_closes", DRAIN_SECONDS="0") as one, tiny("has_a_stuck_thread", DRAIN_SECONDS="0") as other:
        for process in (one, other):
            await process.logged("running")
            process.signal(signal.SIGTERM)
        for process in (one, other):
            assert await process.ended(timeout=30) == 0
            only_json(process)
            assert process.logs[-1]["event"] == "closing_deadline_passed"


async def test_a_second_signal_ends_it_at_once() -> None:
    async with tiny("never_drains", DRAIN_SECONDS="6") as process:
        await process.logged("running")
        process.signal(signal.SIGTERM)
        await process.logged("stopping")
        process.signal(signal.SIGINT)
        assert await process.ended() == 1
    only_json(process)
    assert process.logs[-1]["event"] == "forced_to_stop"


@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGHUP])
async def test_a_hangup_forces_nothing_and_is_no_first_signal(first: signal.Signals) -> None:
    """A terminal that is closed sends it twice, and service managers right after SIGTERM: the drain goes on."""
    async with tiny("drains_slowly") as process:
        await process.logged("running")
        process.signal(first)
        await process.logged("stopping")
        process.signal(signal.SIGHUP)
        process.signal(signal.SIGTERM if first is signal.SIGHUP else signal.SIGHUP)
        assert await process.ended() == 0
    events = [line["event"] for line in process.logs]
    assert events[2:] == ["stopping", "drained", "stopped"]


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
async def test_started_under_nohup_it_goes_on_ignoring_a_hangup() -> None:
    arguments = without_hangup(["tests/common/tiny_service.py", "drains"])
    async with program(arguments, {"LOG_FORMAT": "json"}) as process:
        await process.logged("running")
        assert signal.SIGHUP in ignored_signals(process.pid)
        process.signal(signal.SIGHUP)
        assert (await process.get("/status")).json() == {
            "what": "drains",
            "log": {"problem": None, "lines_dropped": 0},
        }
        assert await process.stop() == 0
    events = [line["event"] for line in process.logs if line["event"] != "stopping"]
    assert events == ["starting", "running", "drained", "stopped"]


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
async def test_a_signal_when_all_is_done_is_no_traceback(number: signal.Signals) -> None:
    """A thread that is still at work keeps the process for a while after its last line."""
    async with tiny("has_a_stuck_thread", DRAIN_SECONDS="0") as process:
        await process.logged("running")
        process.signal(signal.SIGTERM)
        await process.logged("stopped")
        process.signal(number)
        assert await process.ended() == 0
    only_json(process)


@pytest.mark.parametrize("what", ["crashes", "crashes_in_a_task", "crashes_while_draining"])
async def test_a_crash_ends_it_with_1_and_one_line_with_its_traceback(what: str) -> None:
    async with tiny(what) as process:
        if what == "crashes_while_draining":
            await process.logged("running")
            process.signal(signal.SIGTERM)
        assert await process.ended() == 1
    only_json(process)
    (crash,) = at_level(process, "error")
    assert crash["event"] == "crashed"
    shown = str(crash["exception"])
    assert "a password of 10 characters" in shown
    assert "tiny_service.py" in shown
    assert "s3cretword" not in str(process.logs)  # the values of local variables stay inside
    assert process.logs[-1]["status"] == 1


@pytest.mark.parametrize(
    ("what", "status", "says"),
    [
        ("has_no_source", 1, "no file /nowhere; set TINY_FILE to another one"),
        ("has_a_bad_setting", 2, "TINY_PORT: taken"),
    ],
)
async def test_an_error_of_ours_is_one_line_without_a_traceback(what: str, status: int, says: str) -> None:
    async with tiny(what) as process:
        assert await process.ended() == status
    only_json(process)
    (error,) = at_level(process, "error")
    assert error["error"] == says
    assert "exception" not in error


@pytest.mark.parametrize(
    ("what", "env", "why"),
    [
        ("has_no_source", {}, "no file /nowhere; set TINY_FILE to another one"),
        ("has_a_bad_setting", {}, "TINY_PORT: taken"),
        ("drains", {"TINY_OPS_PORT": "x"}, "TINY_OPS_PORT: "),
        ("crashes_in_a_task", {}, "crashed: ValueError"),
    ],
)
async def test_why_it_ended_is_in_the_file_for_its_supervisor(
    tmp_path: Path, what: str, env: dict[str, str], why: str
) -> None:
    async with tiny(what, TERMINATION_LOG=str(tmp_path / "why"), **env) as process:
        assert await process.ended() in (1, 2)
    assert (tmp_path / "why").read_text().startswith(why)
    async with tiny(what, TERMINATION_LOG=str(tmp_path / "no folder" / "why"), **env) as process:
        assert await process.ended() in (1, 2)
    assert at_level(process, "error") or process.errors


async def test_a_taken_ops_port_is_one_line_that_says_what_to_set() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        async with tiny("drains", TINY_OPS_PORT=str(port)) as process:
            assert await process.ended() == 2
    only_json(process)
    (error,) = at_level(process, "error")
    assert f"127.0.0.1:{port}" in error["error"]
    assert "TINY_OPS_PORT" in error["error"]
    assert "running" not in [line["event"] for line in process.logs]


async def test_a_bad_setting_is_one_line_before_anything_starts() -> None:
    async with tiny("drains", TINY_OPS_PORT="s3cret") as process:
        assert await process.ended() == 2
    assert (process.logs, process.text) == ([], [])
    (line,) = process.errors
    assert line.startswith("tiny: TINY_OPS_PORT: ")
    assert "s3cret" not in line


async def test_what_libraries_log_is_json_too() -> None:
    async with tiny("talks_through_others") as process:
        assert await process.ended() == 0
    assert process.text == []
    warning, gave_up = (line for line in process.logs if line.get("logger") == "library")
    assert (warning["event"], warning["level"], warning["peer"]) == ("half of it", "warning", "127.0.0.1")
    assert gave_up["level"] == "error"
    assert "broken" in str(gave_up["exception"])
    (python,) = (line for line in process.logs if line.get("logger") == "py.warnings")
    assert "old-fashioned" in python["event"]
    assert process.errors == []
