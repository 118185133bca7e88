"""The runner starts, runs and stops a service; the `__main__` of every service calls it.

SIGTERM, SIGINT or SIGHUP (cottage/stop_signals.py) sets `stopping`, and the service returns from `run` once it has
drained. What still runs after `drain_seconds` is cancelled. The process exits with status 0, by force CLOSING_SECONDS
later if something does not close; a second SIGTERM or SIGINT ends it at once. If the service fails, the process logs
the error and exits with status 1, so that its supervisor starts it again.
"""

import asyncio
import contextlib
import gc
import os
import resource
import signal
import sys
import threading
from collections.abc import Callable, Coroutine, Sequence
from typing import Protocol

import uvloop

from common import logs, output, production, termination
from common.exposure import exposure
from common.ops import Reporter, listening_socket, ops_app
from common.settings import ServiceSettings
from common.web.asgi import serve_asgi
from cottage import __version__
from cottage.errors import CottageError, SettingsError, leaves
from cottage.stop_signals import end_on_signals, ignore_signals, take_in_loop

CLOSING_SECONDS = 2.0
"""How long closing may take after the drain: a stop takes at most 8 s in all."""

MOST_FILES = 2**20

log = logs.get_logger()


class Service(Reporter, Protocol):
    """What the runner runs: each service implements it."""

    async def run(self, stopping: asyncio.Event) -> None:
        """Work until `stopping` is set, then drain and return. It is cancelled if that takes too long."""


class Backing(Protocol):
    """A server that a service uses, as the production switch asks it: Redis, in common/open_redis.py. The runner does
    not know it itself, since the broadcaster has none."""

    async def findings(self) -> list[str]:
        """What is half-open about it, a line for each, as far as it can be reached now."""

    def watch(self) -> Coroutine[None, None, None]:
        """Ask until it was reached. Raises a SettingsError if it is half-open."""


def run(name: str, service: Service, settings: ServiceSettings, backing: Backing | None = None) -> None:
    """Run one service to its end and exit: 0 if it was stopped or is done, 1 if it failed, 2 for a bad setting, or in
    production for what is half-open."""
    logs.configure(name, settings.log_level, settings.log_format)
    _say_misspelt(settings)
    _allow_many_files()
    gc.collect()
    gc.freeze()  # modules stay for ever; without this each full collection would take some 30 ms more
    sys.exit(uvloop.run(_main(name, service, settings, backing)))


def _say_misspelt(settings: ServiceSettings) -> None:
    """Log each environment variable that was probably meant as a setting, and is none: nobody would miss it."""
    for each in settings.misspelt(os.environ):
        instead = settings.gone.get(each.variable.upper())
        nearest, more = (each.nearest, "") if instead is None else (None, f": {instead}")
        log.warning("unknown_setting", variable=each.variable, nearest=nearest, note=f"it is ignored{more}")
    for variable in settings.set_aside(os.environ):
        log.debug("setting_left_aside", variable=variable, reason="a container platform's link, no setting")


async def _main(name: str, service: Service, settings: ServiceSettings, backing: Backing | None) -> int:
    stopping = asyncio.Event()
    status = 0
    watch = None if backing is None or not settings.in_production else backing.watch
    loop = asyncio.get_running_loop()
    take_in_loop(loop, lambda _number: stopping.set(), _forced)
    variable = type(settings).variable("ops_port")
    try:
        if settings.in_production and (half_open := await _half_open(name, settings, backing)):
            return _refused(name, half_open)
        ops_socket = listening_socket(settings.ops_host, settings.ops_port, variable)
        log.info("starting", version=__version__, pid=os.getpid(), ops_port=ops_socket.getsockname()[1])
        async with serve_asgi(ops_app(service), ops_socket, settings.ops_access()):
            await _until_drained(service, stopping, settings.drain_seconds, watch)
    except* CottageError as group:
        errors = leaves(group)
        for error in errors:
            log.error("failed", error=str(error))
        termination.report("; ".join(map(str, errors)))
        status = 2 if any(isinstance(error, SettingsError) for error in errors) else 1
    except* Exception as group:
        log.error("crashed", exc_info=group)
        termination.report(f"crashed: {', '.join(type(error).__name__ for error in leaves(group))}")
        status = 1
    ignore_signals()
    log.info("stopped", status=status)
    _end_after(CLOSING_SECONDS, status)
    output.flush()
    end_on_signals(status)
    return status


async def _half_open(name: str, settings: ServiceSettings, backing: Backing | None) -> list[str]:
    """What keeps the service from starting in production."""
    lines = production.findings(exposure(name, settings))
    return lines if backing is None else [*lines, *await backing.findings()]


def _refused(name: str, half_open: Sequence[str]) -> int:
    """Say why the service does not start, a line for each reason, as for a bad setting. Returns the exit status."""
    termination.report("; ".join(half_open))
    sys.stderr.writelines(f"{name}: {line}\n" for line in half_open)
    output.flush()
    end_on_signals(2)
    return 2


async def _until_drained(
    service: Service,
    stopping: asyncio.Event,
    drain_seconds: float,
    watch: Callable[[], Coroutine[None, None, None]] | None,
) -> None:
    async with asyncio.TaskGroup() as group:
        watching = None if watch is None else group.create_task(watch(), name="production")
        work = group.create_task(service.run(stopping), name="service")
        asked = group.create_task(stopping.wait(), name="stopping")
        await asyncio.wait((work, asked), return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            log.info("stopping", seconds=drain_seconds)
            _end_after(drain_seconds + CLOSING_SECONDS, 0)
            _done, late = await asyncio.wait((work,), timeout=drain_seconds)
            if late:
                log.warning("drain_deadline_passed", seconds=drain_seconds)
                work.cancel()
        asked.cancel()
        if watching is not None:
            watching.cancel()


def _end_after(seconds: float, status: int) -> None:
    """End the process after `seconds`, whatever still runs: a close that waits for its peer, or a thread in a slow
    look-up of a host name, which cannot be cancelled and for which Python would wait."""

    def end() -> None:
        log.error("closing_deadline_passed", seconds=seconds)
        output.flush()
        os._exit(status)

    timer = threading.Timer(seconds, end)
    timer.daemon = True  # it does not keep a process alive that ends in time
    timer.start()


def _allow_many_files() -> None:
    """Raise the soft limit of open files, of which each connection is one, to the hard limit, which stays."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    with contextlib.suppress(ValueError, OSError):  # some systems allow less than their hard limit
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(most, soft), hard))


def _forced(number: signal.Signals) -> None:
    log.warning("forced_to_stop", signal=number.name)
    output.flush()
    os._exit(1)
