"""The whole suite in one terminal: starts Redis and all services, says where they are, and stops them at the end."""

import asyncio
import os
import sys
from collections.abc import Mapping
from functools import partial
from http import HTTPStatus
from pathlib import Path

from common import logs, output
from cottage.clock import SystemClock
from cottage.stop_signals import end_on_signals, ignore_signals, take_in_loop
from cottage.urls import redacted
from deploy.child_environment import without_secrets
from deploy.fresh_start import begin_fresh
from deploy.health import ask
from deploy.redis_server import REDIS_CONF, Server, answers, data_folder, find_server, fresh_log, server_command
from deploy.run_directory import remove_urls, write_urls
from deploy.run_plan import SETTINGS, RunPlan, ServicePlan
from deploy.server_passwords import check_passwords
from deploy.supervisor import Child, Supervisor

STOP_ORDER = ("market", "feynman", "recorder", "physics", "broadcaster", "bridge")
"""Each one before those that it needs."""
LABELS = {
    "PAGE_URL": "Page",
    "WEBSOCKET_URL": "WebSocket",
    "API_URL": "API",
    "API_DOCS_URL": "API docs",
    "REDIS_URL": "Redis",
}

log = logs.get_logger()


async def run(plan: RunPlan, folder: Path, lock: int, style: str) -> None:
    """Run all until it is stopped. `folder`, `lock`: of deploy/run_directory.py. `style`: LOG_FORMAT.

    Raises CottageError when everything is stopped because something could not run, a SettingsError if it cannot work
    as it is set."""
    supervisor = Supervisor(SystemClock())
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    take_in_loop(loop, lambda _number: stopping.set(), lambda _number: supervisor.force())
    redis = None if plan.redis_port is None else _redis(find_server(), plan.redis_port, folder, lock)
    services = {service.name: _service(service, folder) for service in plan.services}
    starting = asyncio.create_task(_start(supervisor, plan, folder, redis, services, style))
    ends = [asyncio.create_task(event.wait()) for event in (stopping, supervisor.gave_up)]
    try:
        await asyncio.wait((starting, *ends), return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            starting.result()  # raises what went wrong, which ends everything
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        log.info("stopping", note="Ctrl-C again forces")
    finally:
        for task in (starting, *ends):
            task.cancel()
        await asyncio.gather(starting, *ends, return_exceptions=True)
        await supervisor.stop([services[name] for name in STOP_ORDER if name in services], redis)
        remove_urls(folder)
        ignore_signals()
        log.info("stopped")
        output.flush()  # before what the caller says of a failure: that is the last line of all
        end_on_signals()
    if supervisor.failure is not None:
        raise supervisor.failure


async def _start(
    supervisor: Supervisor,
    plan: RunPlan,
    folder: Path,
    redis: Child | None,
    services: Mapping[str, Child],
    style: str,
) -> None:
    if redis is not None:
        supervisor.add(redis)
        await supervisor.ready([redis])
        if supervisor.gave_up.is_set():
            return
    if plan.fresh:
        deleted, files = await begin_fresh(plan.redis_url, Path(plan.checkpoints))
        log.info("fresh_start", keys=deleted, checkpoints=files)
    write_urls(folder, {"REDIS_URL": plan.redis_url})  # already now, for whoever has to look into a start that hangs
    for child in services.values():
        supervisor.add(child)
    await supervisor.ready(list(services.values()))
    if supervisor.gave_up.is_set():
        return
    supervisor.up()
    write_urls(folder, plan.urls)
    shown = {**plan.urls, "REDIS_URL": redacted(plan.redis_url)}
    if style == "console" or (style == "auto" and sys.stdout.isatty()):
        lines = [f"  {LABELS[name]:<10} {url}" for name, url in shown.items()]
        sys.stdout.write("\n".join(["", "All services are ready. Ctrl-C ends them.", "", *lines, ""]))
    else:
        log.info("ready", **{name.lower(): url for name, url in shown.items()})


def _redis(server: Server, port: int, folder: Path, lock: int) -> Child:
    check_passwords(REDIS_CONF)
    data = data_folder(folder, server)
    log.info("redis", server=server.name, version=server.version, port=port, folder=str(data))

    async def not_ready() -> str | None:
        if await asyncio.to_thread(answers, port):
            return None
        return f"it does not answer yet; its log is in {data}"

    return Child(
        "redis",
        server_command(server, data, port),
        without_secrets(os.environ, SETTINGS),
        not_ready,
        log_file=partial(fresh_log, data),
        inherited=(lock,),
    )


def _service(plan: ServicePlan, folder: Path) -> Child:
    async def not_ready() -> str | None:
        answer = await asyncio.to_thread(ask, *plan.ops, "/readyz", timeout=1.0)
        if answer is None:
            return "its ops port does not answer yet"
        status, text = answer
        return None if status == HTTPStatus.OK else text

    reason_file = folder / f"{plan.name}.reason"
    return Child(plan.name, plan.command, plan.environment, not_ready, reason_file=reason_file)
