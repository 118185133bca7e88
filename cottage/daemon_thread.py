"""Work in a thread that keeps no process alive: its end is waited for as long as somebody wants to.

What asyncio.to_thread starts is waited for when the event loop closes, also if it was cancelled long before. A disk
that hangs, or the sorting of an hour, would keep a process that was asked to stop.
"""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def in_daemon_thread(function: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
    """Call the function in a thread, and return what it returns, or raise what it raises. Where this is cancelled the
    thread goes on, until it is done or the process ends."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(method: Callable[[Any], None], value: Any) -> None:
        if not done.cancelled():
            method(value)

    def work() -> None:
        try:
            method, value = done.set_result, function(*arguments, **options)
        except BaseException as error:  # noqa: BLE001  # raised to whoever waits
            method, value = done.set_exception, error  # type: ignore[assignment]  # settle takes either
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, method, value)

    threading.Thread(target=work, name=getattr(function, "__name__", "work"), daemon=True).start()
    return await done
