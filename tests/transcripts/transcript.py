"""A transcript: what a server sends to a client and when, and what the client must say, hold and ask then.

README.md beside this file describes the format.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import orjson

FOLDER = Path(__file__).resolve().parent
DRIVERS = ("python", "javascript", "link")
BEAT_SECONDS = 0.5
"""Between two runs of a client's own timer."""
EPOCH = 1767225600.0  # 2026-01-01T00:00:00Z, when every transcript begins
MONOTONIC = 1000.0


@dataclass(frozen=True, slots=True)
class Transcript:
    name: str
    about: str
    symbols: list[str] | None
    drivers: tuple[str, ...]
    jitter: float
    tokens: list[str] | str | None
    steps: list[dict[str, Any]]

    @classmethod
    def load(cls, path: Path) -> "Transcript":
        fields = orjson.loads(path.read_bytes())
        drivers = tuple(fields.get("drivers", DRIVERS))
        jitter = fields.get("jitter", 1.0)
        wanted, tokens = fields.get("symbols"), fields.get("tokens")
        return cls(path.stem, fields["about"], wanted, drivers, jitter, tokens, fields["steps"])


def all_transcripts() -> list[Transcript]:
    return [Transcript.load(path) for path in sorted(FOLDER.glob("*.json"))]


class Times:
    """The true time, and what the client's two clocks make of it. It is a cottage.clock.Clock but for `sleep`."""

    def __init__(self) -> None:
        self.at = 0.0
        self._wall = EPOCH
        self._steady = MONOTONIC

    def time(self) -> float:
        return self._wall + self.at

    def monotonic(self) -> float:
        return self._steady + self.at

    def advance(self, at: float, *, asleep: bool = False, frozen: bool = False) -> None:
        """`asleep`: the monotonic clock stands still meanwhile; `frozen`: both do."""
        passed, self.at = at - self.at, at
        self._steady -= passed if asleep or frozen else 0.0
        self._wall -= passed if frozen else 0.0

    def set(self, seconds: float) -> None:
        """The clock on the wall is set forward by so much."""
        self._wall += seconds


class Driver(Protocol):
    """A client under test, driven by a transcript."""

    async def step(self, step: dict[str, Any]) -> dict[str, Any]:
        """What the client says after this step, with all that `expect` may name."""


def with_ids(messages: list[dict[str, Any]], sent: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The messages with the ids of what the client has `sent`: `ping 0` is that of its first ping, `ping -1` that of
    its last one."""

    def filled(message: dict[str, Any]) -> dict[str, Any]:
        action, _, number = str(message.get("id", "")).partition(" ")
        if action not in ("ping", "subscribe", "auth"):
            return message
        return {**message, "id": [each.get("id") for each in sent if each["action"] == action][int(number)]}

    return [filled(message) for message in messages]


def said(requests: list[dict[str, Any]]) -> list[list[Any]]:
    """Requests without their ids, as `expect` has them."""
    return [
        [each["action"], *each.get("symbols", []), *([each["token"]] if "token" in each else [])] for each in requests
    ]
