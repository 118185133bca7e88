"""What signals do to a process, on real processes. The commands are in tests/e2e/test_signals.py."""

import asyncio
import signal
import sys

import pytest

from cottage.stop_signals import TOGETHER_SECONDS
from tests.support import eventually, ignored_signals, program, without_hangup

LOOP = """
import asyncio, signal, sys, time, uvloop
from cottage.stop_signals import end_on_signals, take_in_loop

def slowly(number, handler, change=signal.signal):
    time.sleep(0.05)  # the moment before a handler is changed, made long enough to be hit
    return change(number, handler)

async def main():
    loop, forced = asyncio.get_running_loop(), asyncio.Event()
    take_in_loop(loop, lambda number: print(number.name, flush=True), lambda number: forced.set())
    print("ready", flush=True)
    await forced.wait()
    signal.signal = slowly
    end_on_signals(3)

{"asyncio": asyncio, "uvloop": uvloop}[sys.argv[1]].run(main())
print("done", flush=True)
time.sleep(60)
"""
LOOPS = pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
LAST_OF_ALL = """
import os, sys
from cottage.stop_signals import end_on_signals

class LastOfAll:
    def __del__(self, send=os.kill, me=os.getpid(), number=int(sys.argv[1]), write=os.write):
        send(me, number)
        write(1, b"sent\\n")

end_on_signals(3)
sys.kept_until_the_end = LastOfAll()
sys.exit(3)
"""
INTERRUPTED = """
import time
from cottage.stop_signals import interrupt_on_signals

interrupt_on_signals()
try:
    print("ready", flush=True)
    time.sleep(60)
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


@LOOPS
async def test_one_request_may_come_as_several_sigterms(loop: str) -> None:
    """Linux tells a child for each thread of its parent that ends. A later one, or Ctrl-C, is another request."""
    async with program(["-c", LOOP, loop]) as process:
        await eventually(lambda: process.text == ["ready"])
        for _ in range(20):
            process.signal(signal.SIGTERM)
        await eventually(lambda: process.text == ["ready", "SIGTERM"])
        await asyncio.sleep(2 * TOGETHER_SECONDS)
        assert process.text == ["ready", "SIGTERM"]
        process.signal(signal.SIGTERM)
        await eventually(lambda: process.text == ["ready", "SIGTERM", "done"])


@pytest.mark.parametrize("last", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
@LOOPS
async def test_a_loop_takes_them_until_all_is_done(loop: str, last: signal.Signals) -> None:
    async with program(["-c", LOOP, loop]) as process:
        told = ["ready"]
        await eventually(lambda: process.text == told)
        for number in (signal.SIGHUP, signal.SIGHUP, signal.SIGINT, signal.SIGHUP):
            process.signal(number)
            told.append(number.name)
            await eventually(lambda: process.text == told)
        process.signal(signal.SIGTERM)  # the second that counts
        await eventually(lambda: process.text[-1] == "done")
        process.signal(last)
        assert await process.ended() == 3
    assert process.errors == []


@LOOPS
async def test_at_no_moment_is_a_signal_left_to_the_system(loop: str) -> None:
    """It would end the process by the signal, and not with its status."""
    async with program(["-c", LOOP, loop]) as process:
        await eventually(lambda: process.text == ["ready"])
        process.signal(signal.SIGINT)
        process.signal(signal.SIGTERM)  # the second that counts
        while process.returncode is None:
            process.signal(signal.SIGHUP)
            await asyncio.sleep(0.001)
        assert await process.ended() == 3
    assert process.errors == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
async def test_without_a_loop_each_is_a_keyboard_interrupt(number: signal.Signals) -> None:
    async with program(["-c", INTERRUPTED]) as process:
        await eventually(lambda: process.text == ["ready"])
        process.signal(number)
        assert await process.ended() == 0
    assert (process.text, process.errors) == (["ready", "interrupted"], [])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
async def test_while_python_takes_itself_apart_a_signal_changes_nothing(number: signal.Signals) -> None:
    async with program(["-c", LAST_OF_ALL, str(int(number))]) as process:
        assert await process.ended() == 3
    assert (process.text, process.errors) == (["sent"], [])


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
async def test_under_nohup_a_hangup_stays_ignored() -> None:
    async with program(without_hangup(["-c", INTERRUPTED])) as process:
        await eventually(lambda: process.text == ["ready"])
        assert signal.SIGHUP in ignored_signals(process.pid)
        process.signal(signal.SIGHUP)
        process.signal(signal.SIGTERM)
        assert await process.ended() == 0
    assert process.text == ["ready", "interrupted"]
