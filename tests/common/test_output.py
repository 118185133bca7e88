"""What a process prints where nobody reads it or it cannot be written: real processes, pipes, files and terminals."""

import json
import os
import pty
import re
import resource
import select
import signal
import socket
import subprocess
import sys
import termios
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from common.output import QUEUE_BYTES
from deploy.health import ask
from deploy.redis_server import free_port
from tests.support import ROOT, ServiceProcess, eventually, full_pipe, program

HEAD = """
import logging, os, sys, threading, time
from common import logs, output
logs.configure("tiny", "info", "{style}")
log = logs.get_logger()
"""
MORE_THAN_A_PIPE = 2000
MORE_THAN_THE_QUEUE = QUEUE_BYTES // 1000  # of lines with more than 1,000 bytes


@contextmanager
def running(body: str, style: str = "json", **streams: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A process that has set up its log and does `body`; killed at the end if it still runs."""
    options: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stderr": subprocess.PIPE, **streams}
    with subprocess.Popen(
        [sys.executable, "-c", HEAD.format(style=style) + body], cwd=ROOT, env=environment(), **options
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def environment() -> Mapping[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "COVERAGE_PROCESS_CONFIG") if name in os.environ}
    return {**kept, "PYTHONPATH": str(ROOT), "TERM": "xterm"}


@contextmanager
def a_pipe() -> Iterator[tuple[int, int]]:
    """Its reading and its writing end; whoever closes one of them says so by no error here."""
    reading, writing = os.pipe()
    try:
        yield reading, writing
    finally:
        for end in (reading, writing):
            with suppress(OSError):
                os.close(end)


def lines_of(reading: int) -> list[dict[str, Any]]:
    """All that comes until every writer is gone."""
    with os.fdopen(os.dup(reading), "rb") as file:
        return [json.loads(line) for line in file]


def test_a_pipe_that_nobody_reads_stops_nothing() -> None:
    body = f"for number in range({MORE_THAN_A_PIPE}): log.info('line', number=number)\nsys.exit(3)"
    with a_pipe() as (reading, writing), running(body, stdout=writing) as process:
        os.close(writing)
        assert process.wait(60) == 3
        lines = lines_of(reading)
        assert process.stderr is not None
        assert process.stderr.read() == b""
    assert [line["number"] for line in lines] == list(range(len(lines)))
    assert lines


def test_what_was_dropped_is_said_where_it_is_missing() -> None:
    body = f"""
for number in range({MORE_THAN_THE_QUEUE}): log.info("line", number=number, text="x" * 1000)
print("dropped", output.DroppedLines().collect()[0].samples[0].value, file=sys.stderr)
sys.stdin.read()
log.info("after")
"""
    with a_pipe() as (reading, writing), running(body, stdin=subprocess.PIPE, stdout=writing) as process:
        os.close(writing)
        assert process.stderr is not None
        counted = float(process.stderr.readline().split()[1])
        with os.fdopen(os.dup(reading), "rb") as log:
            lines = []
            for text in log:
                lines.append(json.loads(text))
                if lines[-1]["event"] == "log_lines_dropped":
                    break
            process.communicate(timeout=60)
            lines += [json.loads(text) for text in log]
    kept = [line["number"] for line in lines if line["event"] == "line"]
    assert kept == list(range(len(kept)))
    dropped, after = lines[len(kept) :]
    assert dropped["lines"] == counted == MORE_THAN_THE_QUEUE - len(kept) > 0
    assert (dropped["level"], dropped["reason"]) == ("warning", "it was not read in time")
    assert after["event"] == "after"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("log.info('line')", 0),
        ("print('text')", 0),
        ("sys.stderr.write('text')", 0),
        ("sys.exit('a usage error')", 1),
        ("raise ValueError('broken')", 1),
        ("log.info('line')\noutput.flush()\nos._exit(4)", 4),
    ],
)
def test_a_full_disk_changes_no_exit_status(body: str, status: int) -> None:
    with Path("/dev/full").open("wb") as full, running(body, stdout=full, stderr=full) as process:
        assert process.wait(60) == status


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
@pytest.mark.parametrize(
    ("command", "status"),
    [
        (["-m", "services.feynman", "--tick-seconds", "never"], 2),
        (["-m", "services.market", "--no-such-flag"], 2),
        (["-m", "services.bridge", "--help"], 0),
        (["-m", "services.broadcaster", "--probe", "--port", "1"], 1),
        (["-m", "deploy.run"], 2),
    ],
)
async def test_what_a_command_refuses_keeps_its_status_on_a_full_disk(command: list[str], status: int) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    async with program(command, {"LOG_LEVEL": "loud"} if "deploy.run" in command else {}, output=full) as process:
        os.close(full)
        assert await process.ended() == status


def test_a_reader_that_went_stops_nothing() -> None:
    body = "sys.stdin.read()\nfor number in range(2000): log.info('line')\nprint('text')\nsys.exit(3)"
    with a_pipe() as (reading, writing), running(body, stdin=subprocess.PIPE, stdout=writing) as process:
        os.close(writing)
        os.close(reading)
        assert process.communicate(timeout=60)[1] == b""
        assert process.returncode == 3


def test_a_disk_that_has_room_again_gets_what_waited(tmp_path: Path) -> None:
    body = """
log.info("first")
output.flush()
print("wrote", file=sys.stderr)
sys.stdin.readline()
for number in range(20): log.info("line", number=number)
output.flush()
print("tried", file=sys.stderr)
sys.stdin.readline()
"""
    path = tmp_path / "log"
    with path.open("wb") as log, running(body, stdin=subprocess.PIPE, stdout=log) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == b"wrote\n"
        # In the midst of a line: what of it was written is not written again.
        unlimited = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (path.stat().st_size + 30, unlimited[1]))
        assert process.stdin is not None
        process.stdin.write(b"\n")
        process.stdin.flush()
        assert process.stderr.readline() == b"tried\n"
        assert path.read_bytes().count(b"\n") == 1
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, unlimited)
        process.communicate(timeout=60)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line.get("number") for line in lines] == [None, *range(20)]


def test_a_named_pipe_whose_reader_is_replaced_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "log"
    os.mkfifo(path)
    both = os.open(path, os.O_RDWR)
    writing = os.open(path, os.O_WRONLY)
    body = "log.info('lost')\noutput.flush()\nprint('tried', file=sys.stderr)\nsys.stdin.readline()"
    with running(body, stdin=subprocess.PIPE, stdout=writing) as process:
        os.close(writing)
        os.close(both)  # so far it was the reader
        assert process.stderr is not None
        assert process.stderr.readline() == b"tried\n"
        with path.open("rb") as reader:
            assert json.loads(reader.readline())["event"] == "lost"
        process.communicate(timeout=60)


def test_with_closed_streams_no_other_file_gets_what_is_printed(tmp_path: Path) -> None:
    path = tmp_path / "file"
    body = f"""
file = open({str(path)!r}, "wb", buffering=0)
assert file.fileno() > 2, file.fileno()
log.info("line")
print("text")
print("text", file=sys.stderr)
output.flush()
file.write(b"its own")
sys.exit(3)
"""

    def close() -> None:
        for number in (0, 1, 2):
            os.close(number)

    with running(body, stdin=None, stdout=None, stderr=None, preexec_fn=close) as process:
        assert process.wait(60) == 3
    assert path.read_bytes() == b"its own"


@pytest.mark.parametrize("end", ["raise ValueError('broken')", "sys.exit('broken')"])
def test_the_last_words_arrive(end: str) -> None:
    body = f"for number in range({MORE_THAN_A_PIPE}): log.info('line', number=number)\n{end}"
    with running(body, stdout=subprocess.PIPE) as process:
        out, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert len(out.splitlines()) == MORE_THAN_A_PIPE
    assert errors.splitlines()[-1] in (b"ValueError: broken", b"broken")


def test_a_line_without_an_end_arrives_too() -> None:
    with running("print('out', end=''); sys.stderr.write('error')", stdout=subprocess.PIPE) as process:
        assert process.communicate(timeout=60) == (b"out", b"error")


def test_a_line_of_any_length_arrives() -> None:
    body = f"log.info('long', text='x' * {QUEUE_BYTES})\noutput.flush()\nlog.info('short')"
    with running(body, stdout=subprocess.PIPE) as process:
        lines = [json.loads(line) for line in process.communicate(timeout=60)[0].splitlines()]
    assert [line["event"] for line in lines] == ["long", "short"]
    assert len(lines[0]["text"]) == QUEUE_BYTES


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_where_no_thread_can_be_started_lines_wait_for_one() -> None:
    body = """
import resource
unlimited = resource.getrlimit(resource.RLIMIT_AS)
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 2**20, unlimited[1]))
log.info("one")
resource.setrlimit(resource.RLIMIT_AS, unlimited)
log.info("two", waited=threading.active_count() == 1)
"""
    with running(body, stdout=subprocess.PIPE) as process:
        out, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, b"")
    one, two = (json.loads(line) for line in out.splitlines())
    assert (one["event"], two["event"], two["waited"]) == ("one", "two", True)


@pytest.mark.parametrize("end", ["raise ValueError('broken')", "sys.exit('broken')", "sys.exit(1)"])
def test_an_end_waits_for_no_reader(end: str) -> None:
    body = f"for number in range({MORE_THAN_A_PIPE}): log.info('line', number=number); print(number)\n{end}"
    with a_pipe() as (_reading, writing), running(body, stdout=writing, stderr=writing) as process:
        assert process.wait(60) == 1


@pytest.mark.parametrize("style", ["json", "console"])
def test_each_line_is_written_as_one_piece(style: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each write to such a socket is a message of its own; unbuffered, Python writes a text and its newline apart."""
    monkeypatch.setenv("PYTHONUNBUFFERED", "1")
    reading, writing = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    body = "for number in range(20): log.info('line', number=number); print('text', number)"
    with reading, writing, running(body, style, stdout=writing.fileno()) as process:
        assert process.wait(60) == 0
        messages = []
        reading.setblocking(False)
        with suppress(BlockingIOError):
            while True:
                messages.append(reading.recv(65536))
    assert all(message.endswith(b"\n") for message in messages)
    lines = b"".join(messages).splitlines()
    assert len(lines) == 40
    assert [re.search(rb"number\W+(\d+)|text (\d+)", line) is not None for line in lines] == [True] * 40


def test_what_two_processes_print_into_one_pipe_is_not_torn() -> None:
    body = "for number in range(3000): log.info('line', number=number, pid=os.getpid())"
    with (
        a_pipe() as (reading, writing),
        running(body, stdout=writing) as one,
        running(body, stdout=writing) as other,
    ):
        os.close(writing)
        lines = lines_of(reading)
        for process in (one, other):
            assert process.wait(60) == 0
            assert [line["number"] for line in lines if line["pid"] == process.pid] == list(range(3000))


def test_a_pipe_that_a_sibling_made_non_blocking_loses_nothing() -> None:
    body = f"for number in range({MORE_THAN_A_PIPE}): log.info('line', number=number)"
    with a_pipe() as (reading, writing), running(body, stdout=writing) as process:
        os.set_blocking(writing, False)
        select.select([reading], [], [])
        os.close(writing)
        assert [line["number"] for line in lines_of(reading)] == list(range(MORE_THAN_A_PIPE))
        assert process.wait(60) == 0


@contextmanager
def a_terminal() -> Iterator[tuple[int, int]]:
    controlling, terminal = pty.openpty()
    try:
        yield controlling, terminal
    finally:
        for end in (controlling, terminal):
            with suppress(OSError):
                os.close(end)


def test_a_terminal_that_was_closed_stops_nothing() -> None:
    body = "sys.stdin.read()\nlog.info('line')\nprint('text')\nsys.exit(3)"
    with a_terminal() as (controlling, terminal), running(body, stdin=subprocess.PIPE, stdout=terminal) as process:
        os.close(terminal)
        os.close(controlling)
        assert process.communicate(timeout=60)[1] == b""
        assert process.returncode == 3


def test_a_terminal_that_was_stopped_stops_nothing() -> None:
    """Ctrl-S; a terminal holds some kilobytes."""
    body = "for number in range(5000): log.info('line', number=number)\nsys.exit(3)"
    with a_terminal() as (_controlling, terminal):
        termios.tcflow(terminal, termios.TCOOFF)
        with running(body, stdout=terminal) as process:
            assert process.wait(60) == 3


def test_in_the_background_of_a_terminal_it_is_not_stopped() -> None:
    """`stty tostop`: a process that writes from the background is stopped by SIGTTOU, with all of its threads."""
    with a_terminal() as (_controlling, terminal):
        settings = termios.tcgetattr(terminal)
        settings[3] |= termios.TOSTOP
        termios.tcsetattr(terminal, termios.TCSANOW, settings)
        body = "log.info('line')\noutput.flush()\nsys.exit(3)"
        script = (
            "import fcntl, os, subprocess, sys, termios\n"
            "os.setsid(); fcntl.ioctl(1, termios.TIOCSCTTY, 0)\n"
            "process = subprocess.Popen([sys.executable, '-c', sys.argv[1]], process_group=0)\n"
            "print(os.waitpid(process.pid, os.WUNTRACED)[1], file=sys.stderr)\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", script, HEAD.format(style="json") + body],
            cwd=ROOT,
            env=environment(),
            stdin=terminal,
            stdout=terminal,
            stderr=subprocess.PIPE,
            timeout=60,
            check=True,
        )
    assert os.WIFEXITED(int(done.stderr))
    assert os.waitstatus_to_exitcode(int(done.stderr)) == 3


def test_what_is_logged_amid_a_line_waits_for_nothing() -> None:
    """A signal handler, as a finalizer, runs in the middle of anything."""
    body = """
import signal
interrupted = 0
def handle(*_arguments):
    global interrupted
    interrupted += 1
    log.info("interrupted")
    logging.getLogger("library").warning("interrupted")
signal.signal(signal.SIGALRM, handle)
signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)
for number in range(20000): log.info("line", number=number)
signal.setitimer(signal.ITIMER_REAL, 0)
log.info("done", interrupted=interrupted)
"""
    with running(body, stdout=subprocess.PIPE) as process:
        out, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, b"")
    lines = [json.loads(line) for line in out.splitlines()]
    assert [line["number"] for line in lines if line["event"] == "line"] == list(range(20000))
    assert lines[-1]["interrupted"] * 2 == len([line for line in lines if line["event"] == "interrupted"]) > 0


def test_an_uncaught_error_of_a_thread_goes_the_same_way() -> None:
    body = "thread = threading.Thread(target=lambda: 1 / 0)\nthread.start(); thread.join()\nlog.info('goes on')"
    with running(body, stdout=subprocess.PIPE) as process:
        out, errors = process.communicate(timeout=60)
    assert process.returncode == 0
    assert errors.splitlines()[-1] == b"ZeroDivisionError: division by zero"
    assert json.loads(out)["event"] == "goes on"


@asynccontextmanager
async def a_service(what: str, output: int, **env: str) -> AsyncIterator[tuple[ServiceProcess, Callable[[], Any]]]:
    """The tiny service, started, and what its /status says of its log."""
    port = free_port()
    async with program(
        ["tests/common/tiny_service.py", what], {"TINY_OPS_PORT": str(port), **env}, output=output
    ) as process:

        def status() -> Any:
            answer = ask("127.0.0.1", port, "/status", 1.0)
            return answer and json.loads(answer[1])["log"]

        await eventually(lambda: status() or process.returncode is not None)
        yield process, status


@asynccontextmanager
async def a_blocked_service(what: str, **env: str) -> AsyncIterator[ServiceProcess]:
    """The tiny service, started, with a log that nobody reads and that takes not one line."""
    with full_pipe() as output:
        async with a_service(what, output, **env) as (process, _status):
            yield process


async def test_the_status_says_why_the_log_is_not_written() -> None:
    with full_pipe() as output:
        async with a_service("drains", output) as (_process, status):
            await eventually(lambda: status() == {"problem": "stdout: nobody reads it", "lines_dropped": 0})
    reading, writing = os.pipe()
    os.close(reading)
    async with a_service("drains", writing) as (_process, status):
        os.close(writing)
        await eventually(lambda: status() == {"problem": "stdout: Broken pipe", "lines_dropped": 0})


async def test_a_service_whose_log_nobody_reads_ends_when_it_is_told_to() -> None:
    async with a_blocked_service("drains") as one, a_blocked_service("never_closes", DRAIN_SECONDS="0") as other:
        for process in (one, other):
            process.signal(signal.SIGTERM)
        for process in (one, other):
            assert await process.ended() == 0


async def test_a_service_whose_log_nobody_reads_crashes_with_its_status() -> None:
    async with a_blocked_service("crashes") as process:
        assert await process.ended() == 1


async def test_a_second_signal_ends_a_service_whose_log_nobody_reads() -> None:
    async with a_blocked_service("never_drains", DRAIN_SECONDS="6") as process:

        def asked_again() -> bool:
            if process.returncode is None:
                process.signal(signal.SIGTERM)
            return process.returncode is not None

        await eventually(asked_again)
        assert process.returncode == 1
