"""The broadcaster sends what comes over its link to the bridge to any number of clients. It never talks to Redis."""

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
"""How often the link is checked within BROADCASTER_SILENCE_SECONDS."""

log = logs.get_logger()


class StateBroadcaster:
    """What `python -m services.broadcaster` runs: the link, the hub, the server and the web page."""

    def __init__(self, settings: BroadcasterSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._status = LinkStatus(clock.monotonic(), settings.thresholds())
        self._hub = Hub(clock, self.upstream, self._bridge_now)
        self._stopping = False
        self._link = BridgeLink(
            settings.bridge_url,
            self._hub,
            self._status,
            clock,
            settings.silence_seconds,
            settings.link_ca_file,
            settings.link_secrets(),
        )

    async def run(self, stopping: asyncio.Event) -> None:
        settings = self._settings
        settings.check_link()
        certificate = settings.certificate()
        sock = listening_socket(settings.host, settings.port, "BROADCASTER_PORT", shared=settings.share_port)
        log.info("listening", host=settings.host, port=sock.getsockname()[1])
        limits = settings.limits()
        authentication = settings.authentication(self._clock, limits.grant)
        server = FanoutServer(
            self._hub,
            self._clock,
            limits,
            settings.access(settings.host, proxies=settings.trusted_proxies),
            heartbeat_seconds=settings.heartbeat_seconds,
            page=static_files.load(settings.page_access(asks=authentication is not None)).get,
            certificate=certificate,
            authentication=authentication,
        )
        garbage = GarbageCollection(self._clock, server.__len__, lambda: server.ended)
        self._link.publish_freshness()  # until something arrives, everything is stale
        async with (
            background(self._link.follow(), self._keep_publishing(), garbage.watch()),
            server.serve(sock, settings.spread()),
        ):
            await stopping.wait()
            self._stopping = True  # /readyz is 503 before the first client is closed

    def not_ready(self) -> str | None:
        return "stopping" if self._stopping else self._link.problem

    def status(self) -> dict[str, Any]:
        upstream = self.upstream()
        return {
            "bridge": {"url": self._settings.bridge_url, "problem": self._link.problem},
            "upstream": upstream.as_dict(),
            "symbols": len(self._hub.last_values),
            "not_live": self._hub.not_live,
            "faults": self._link.faults(),
            "clients": len(self._hub),
        }

    async def _keep_publishing(self) -> None:
        """Publish that the bridge is down or back, until cancelled."""
        while True:
            await self._clock.sleep(self._settings.silence_seconds / CHECKS)
            self._link.look()
            if not self._stopping:
                self._link.say_faults()

    def _bridge_now(self) -> float:
        """The time by the bridge's clock, which is Redis's; by the local clock until a message has come."""
        bridge_time = self._link.bridge_now()
        return self._clock.time() if bridge_time is None else bridge_time

    def upstream(self) -> Freshness:
        return self._link.upstream()
