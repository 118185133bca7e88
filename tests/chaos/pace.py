"""The time constants of a run: those that users have, or all a tenth of them, so that a fault takes seconds."""

from dataclasses import dataclass

from cottage.freshness import USUAL, Thresholds


@dataclass(frozen=True, slots=True)
class Pace:
    """`scale` 1.0 is real time."""

    scale: float

    @property
    def tick(self) -> float:
        return self.scale

    @property
    def lease(self) -> float:
        return 5.0 * self.scale

    @property
    def thresholds(self) -> Thresholds:
        return Thresholds(*(seconds * self.scale for seconds in USUAL))

    @property
    def deaf(self) -> float:
        """A subscription that hears nothing is noticed within that: the silence, and a PING that nobody answers."""
        return self.thresholds.silent + min(1.0, self.thresholds.silent)

    def env(self) -> dict[str, str]:
        """Settings of every service."""
        seconds = {
            "STALE_SECONDS": 10.0,
            "EXPIRED_SECONDS": 60.0,
            "REDIS_TIMEOUT_SECONDS": 5.0,
            "MARKET_INTERVAL_SECONDS": 1.0,
            "MARKET_FEED_SECONDS": 5.0,
            "FEYNMAN_TICK_SECONDS": 1.0,
            "FEYNMAN_HEARTBEAT_SECONDS": 1.0,
            "FEYNMAN_LEASE_SECONDS": 5.0,
            "FEYNMAN_DISCOVERY_SECONDS": 5.0,
            "BRIDGE_SILENCE_SECONDS": 3.0,
            "BRIDGE_HEARTBEAT_SECONDS": 1.0,
            "BRIDGE_REREAD_SECONDS": 30.0,
            "BROADCASTER_SILENCE_SECONDS": 3.0,
            "BROADCASTER_HEARTBEAT_SECONDS": 5.0,
            "BROADCASTER_SLOW_SECONDS": 30.0,
            "BROADCASTER_CLIENT_SILENCE_SECONDS": 20.0,
            "RECORDER_FLUSH_SECONDS": 2.0,
            "RECORDER_SILENCE_SECONDS": 3.0,
            "PHYSICS_SILENCE_SECONDS": 3.0,
            "PHYSICS_TIMEOUT_SECONDS": 1.0,
        }
        return {name: f"{value * self.scale:g}" for name, value in seconds.items()}


REAL = Pace(1.0)
QUICK = Pace(0.1)
