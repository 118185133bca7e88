"""StateBroadcaster: one link to the bridge, any number of clients. It never talks to Redis."""

import asyncio
from typing import Any

from common import logs
from common.fanout.hub import Hub
from common.fanout.server import FanoutServer
from common.ops import listening_socket
from cottage.cancellation import background
from cottage.clock import Clock
from cottage.freshness import Freshness
from services.broadcaster import static_files
from services.broadcaster.bridge_link import BridgeLink
from services.broadcaster.garbage_collection import GarbageCollection
from services.broadcaster.link_status import LinkStatus
from services.broadcaster.settings import BroadcasterSettings

CHECKS = 12
"""So often in the time after which the link counts as silent it is checked whether that time has passed."""

log = logs.get_logger()


class StateBroadcaster:
    def __init__(self, settings: BroadcasterSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._state = LinkStatus(clock.monotonic(), settings.thresholds())
        self._hub = Hub(clock, self.upstream, self._bridge_now)
        self._stopping = False
        self._link = BridgeLink(settings.bridge_url, self._hub, self._state, clock, settings.silence_seconds)

    async def run(self, stopping: asyncio.Event) -> None:
        settings = self._settings
        sock = listening_socket(settings.host, settings.port, "BROADCASTER_PORT", shared=settings.share_port)
        log.info("listening", host=settings.host, port=sock.getsockname()[1])
        server = FanoutServer(
            self._hub,
            self._clock,
            settings.limits(),
            heartbeat_seconds=settings.heartbeat_seconds,
            page=static_files.load().get,
        )
        garbage = GarbageCollection(self._clock, server.__len__, lambda: server.ended)
        self._link.publish_freshness()  # until something is known, all is stale
        async with (
            background(self._link.follow(), self._keep_publishing(), garbage.watch()),
            server.serve(sock, settings.spread()),
        ):
            await stopping.wait()
            self._stopping = True  # nobody is sent here any more, before anybody is sent away

    def not_ready(self) -> str | None:
        return "stopping" if self._stopping else self._link.problem

    def status(self) -> dict[str, Any]:
        upstream = self.upstream()
        return {
            "bridge": {"url": self._settings.bridge_url, "problem": self._link.problem},
            "upstream": upstream.as_dict(),
            "symbols": len(self._hub.last_values),
            "not_live": self._hub.not_live,
            "clients": len(self._hub),
        }

    async def _keep_publishing(self) -> None:
        """Publish what changes of the link's freshness until cancelled."""
        while True:
            await self._clock.sleep(self._settings.silence_seconds / CHECKS)
            self._link.publish_freshness()

    def _bridge_now(self) -> float:
        """The bridge's clock, which is Redis's; ours until it has told."""
        told = self._link.bridge_clock.now(self._clock.monotonic())
        return self._clock.time() if told is None else told

    def upstream(self) -> Freshness:
        return self._state.upstream(self._clock.monotonic())
