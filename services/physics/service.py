"""The physics service serves the physics states in Redis over HTTP, each with its freshness."""

import asyncio
from typing import Any

from common import logs
from common.ops import listening_socket
from common.web.asgi import serve_asgi
from cottage.cancellation import background
from cottage.clock import Clock
from cottage.reader.physics_reader import PhysicsReader
from cottage.redis import connect
from cottage.store import MarketSnapshots
from cottage.urls import redacted
from services.physics import api, metrics
from services.physics.history_process import EngineLimits, HistoryProcess
from services.physics.settings import PhysicsSettings

CHECK_SECONDS = 1.0
"""Interval at which Redis is checked, also while there are no requests."""

log = logs.get_logger()


class PhysicsService:
    def __init__(self, settings: PhysicsSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._reader: PhysicsReader | None = None
        limits = EngineLimits(settings.history_seconds, settings.history_mib)
        self._history = HistoryProcess(settings.recorder_dir, limits)

    async def run(self, stopping: asyncio.Event) -> None:
        """Serve until `stopping`, whether or not Redis is there."""
        settings = self._settings
        authentication = settings.authentication(self._clock)
        certificate = settings.certificate()
        async with connect(settings.redis_url, timeout=settings.timeout_seconds) as client:
            thresholds = settings.thresholds()
            self._reader = PhysicsReader(client, self._clock.monotonic, thresholds)
            metrics.READER.counts = self._reader.counts
            sock = listening_socket(settings.host, settings.port, settings.variable("port"))
            app = api.build(
                self._reader,
                MarketSnapshots(client),
                self._history,
                thresholds,
                authentication,
                open_documents=not settings.in_production,
            )
            access = settings.access(settings.host, settings.origins, settings.trusted_proxies)
            checking = background(self._keep_checking(self._reader))
            async with self._history, serve_asgi(app, sock, access, certificate), checking:
                host, port = sock.getsockname()[:2]
                log.info("listening", host=host, port=port)
                await stopping.wait()

    def not_ready(self) -> str | None:
        if self._reader is None or not self._reader.asked:
            return "Redis was not asked yet"
        return self._reader.problem

    def status(self) -> dict[str, Any]:
        chain = None if self._reader is None else self._reader.chain
        return {
            "redis": {"url": redacted(self._settings.redis_url), "problem": self.not_ready()},
            "writer": None if chain is None else {"alive": bool(chain.writers), "shards": sorted(chain.writers)},
            "feeds": None
            if chain is None or chain.feeds is None
            else [{"source": feed.source} for feed in chain.feeds],
            "history": self._history.status(),
            "remembered": 0 if self._reader is None else self._reader.remembered,
        }

    async def _keep_checking(self, reader: PhysicsReader) -> None:
        while True:
            await reader.check()
            await self._clock.sleep(CHECK_SECONDS)
