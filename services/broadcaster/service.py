"""StateBroadcaster: one link to the bridge, any number of clients. It never talks to Redis."""

import asyncio
from typing import Any

from common import logs
from common.clock import Clock
from common.fanout.gateway import Gateway
from common.fanout.hub import Hub
from common.fanout.protocol import Upstream
from common.ops import listening_socket
from services.broadcaster import pages
from services.broadcaster.garbage import Garbage
from services.broadcaster.link import Link
from services.broadcaster.settings import BroadcasterSettings
from services.broadcaster.upstream import LinkState

log = logs.get_logger()


class StateBroadcaster:
    def __init__(self, settings: BroadcasterSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._state = LinkState(clock.monotonic())
        self._hub = Hub(clock, self.upstream)
        self._stopping = False
        self._link = Link(settings.bridge_url, self._hub, self._state, clock, settings.silence_seconds)

    async def run(self, stopping: asyncio.Event) -> None:
        settings = self._settings
        sock = listening_socket(settings.host, settings.port, "BROADCASTER_PORT", shared=settings.share_port)
        log.info("listening", host=settings.host, port=sock.getsockname()[1])
        gateway = Gateway(
            self._hub,
            self._clock,
            settings.limits(),
            heartbeat_seconds=settings.heartbeat_seconds,
            page=pages.load().get,
        )
        garbage = Garbage(self._clock, gateway.__len__, lambda: gateway.ended)
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._link.follow(), name="link"),
                group.create_task(garbage.watch(), name="garbage"),
            ]
            async with gateway.serve(sock, settings.spread()):
                await stopping.wait()
                self._stopping = True  # nobody is sent here any more, before anybody is sent away
            for task in tasks:
                task.cancel()

    def not_ready(self) -> str | None:
        return "stopping" if self._stopping else self._link.problem

    def status(self) -> dict[str, Any]:
        upstream = self.upstream()
        return {
            "bridge": {"url": self._settings.bridge_url, "problem": self._link.problem},
            "upstream": {"status": upstream.status, "cause": upstream.cause, "age_ms": upstream.age_ms},
            "symbols": len(self._hub.table),
            "clients": len(self._hub),
        }

    def upstream(self) -> Upstream:
        return self._state.upstream(self._clock.monotonic())
