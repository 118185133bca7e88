"""The signals that ask a process to stop: SIGTERM, SIGINT, and SIGHUP, which a closed terminal sends.

The services, `make run` and the command `cottage` take them from their first line on. There are three times. While a
process imports, nothing has begun and a signal ends it at once (`end_on_signals`). While it works, it stops in order:
`take_in_loop` in an event loop, `interrupt_on_signals` where there is none. When all is done, it ends at once again,
but for the moment in which its last line is written (`ignore_signals`).

A process that was started with SIGHUP ignored, as by nohup, is to outlive its terminal: it goes on ignoring it.
Nothing heavy is imported here, and no event loop, since this has to stand before anything else is imported.
"""

from __future__ import annotations

import atexit
import os
import signal
from functools import cache

TYPE_CHECKING = False  # as in cottage/__init__.py
if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable

TOGETHER_SECONDS = 0.5
"""SIGTERM twice within this time is one request."""

_HANGUP = getattr(signal, "SIGHUP", None)  # Windows has none


@cache
def stop_signals() -> list[signal.Signals]:
    """Those that this process takes, as it was started."""
    taken = [signal.SIGTERM, signal.SIGINT]
    if _HANGUP is not None and signal.getsignal(_HANGUP) is not signal.SIG_IGN:
        taken.append(_HANGUP)
    return taken


def end_on_signals(status: int = 0) -> None:
    """From now on a signal ends the process at once, with this exit status and without a traceback: nothing has begun
    yet, or all is done.

    In the last milliseconds, while Python takes itself apart, signals are ignored: it would leave them to the system,
    and the process would end by the signal and not with its status."""

    def end(_number: int, _frame: object) -> None:
        os._exit(status)  # no exception: one that is raised within an import may be lost, or come out as another

    for number in stop_signals():
        signal.signal(number, end)
    atexit.register(ignore_signals)


def ignore_signals() -> None:
    """From now on a signal changes nothing, such as while the last line is written."""
    for number in stop_signals():
        signal.signal(number, signal.SIG_IGN)


def interrupt_on_signals() -> None:
    """From now on a signal raises KeyboardInterrupt, as Ctrl-C does by default. Only the main thread may say so: in
    another one, of a program that calls a command as a function, this does nothing."""
    import threading

    if threading.current_thread() is not threading.main_thread():
        return
    for number in stop_signals():
        signal.signal(number, signal.default_int_handler)


def take_in_loop(
    loop: AbstractEventLoop, stop: Callable[[signal.Signals], None], force: Callable[[signal.Signals], None]
) -> None:
    """From now on `loop` calls `stop` on a signal, and `force` on each further SIGTERM or SIGINT.

    SIGHUP forces nothing and does not count as the first: of a closed terminal it comes from the kernel and once more
    from the shell, and service managers send it right after SIGTERM. Nor does a second SIGTERM at the same moment:
    when a supervisor is killed, Linux sends its children one for each of its threads that ends.

    The handlers are not those of `loop.add_signal_handler`: removing one leaves a moment in which the signal is the
    system's, which ends the process by it.
    """
    first: tuple[signal.Signals, float] | None = None

    def take(number: signal.Signals) -> None:
        nonlocal first
        if number is _HANGUP:
            stop(number)
        elif first is None:
            first = number, loop.time()
            stop(number)
        elif (number, first[0]) != (signal.SIGTERM, signal.SIGTERM) or loop.time() - first[1] > TOGETHER_SECONDS:
            force(number)

    def hand_over(number: int, _frame: object) -> None:
        loop.call_soon_threadsafe(take, signal.Signals(number))

    for each in stop_signals():
        signal.signal(each, hand_over)
        signal.siginterrupt(each, False)  # as event loops do: no library's system call is broken off
