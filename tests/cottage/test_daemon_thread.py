"""Work in a thread that keeps no process alive."""

import asyncio
import threading

import pytest

from cottage.daemon_thread import in_daemon_thread
from tests.support import program


async def test_it_returns_and_raises_what_the_function_does() -> None:
    assert await in_daemon_thread(divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        await in_daemon_thread(divmod, 7, 0)
    assert await in_daemon_thread(threading.get_ident) != threading.get_ident()


async def test_who_does_not_want_to_wait_need_not() -> None:
    release, ended = threading.Event(), threading.Event()

    def work() -> None:
        release.wait()
        ended.set()

    waiting = asyncio.create_task(in_daemon_thread(work))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    release.set()
    assert await asyncio.to_thread(ended.wait, 10)


async def test_a_process_ends_though_the_work_does_not() -> None:
    code = """
import asyncio, threading
from cottage.daemon_thread import in_daemon_thread
async def main():
    try:
        async with asyncio.timeout(0.1):
            await in_daemon_thread(threading.Event().wait)
    except TimeoutError:
        print("ended", flush=True)
asyncio.run(main())
"""
    async with program(["-c", code]) as process:
        assert await process.ended() == 0
        assert process.text == ["ended"]
