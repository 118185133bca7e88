"""Redis's health as its INFO command reports it: memory, evicted keys, and files of its persistence.

Its clients do not notice when it evicts keys or cannot write to its disk, so feynman looks every few seconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

NEARLY_FULL = 0.95
"""Of maxmemory."""
_FILES = {
    "aof_last_write_status": "its append-only file",
    "aof_last_bgrewrite_status": "a shorter append-only file",
    "rdb_last_bgsave_status": "its RDB",
}


@dataclass(frozen=True, slots=True)
class RedisReport:
    """What one INFO says."""

    used: int
    """Bytes."""
    limit: int
    """`maxmemory`; 0 is none."""
    policy: str
    evicted: int
    """Keys since the last look."""
    unwritten: tuple[str, ...]
    """The files that it could not write, by what they are."""

    @property
    def problem(self) -> str | None:
        """What is wrong, with what to do about it; None where nothing is."""
        found = []
        if self.unwritten:
            found.append(f"Redis cannot write {' and '.join(self.unwritten)}: free its disk, or see its log")
        if self.evicted:
            found.append(f"Redis is full and evicts keys ({self.policy}): raise maxmemory, or have fewer symbols")
        if self.limit and self.used >= NEARLY_FULL * self.limit and self.policy == "noeviction":
            found.append(
                "Redis is nearly full and will refuse writes (noeviction): raise maxmemory, or set allkeys-lru"
            )
        return "; ".join(found) or None

    def as_dict(self) -> dict[str, Any]:
        return {
            "used_bytes": self.used,
            "limit_bytes": self.limit,
            "policy": self.policy,
            "evicted_since_last_look": self.evicted,
            "problem": self.problem,
        }


class RedisHealth:
    """The last report, and what it takes to compare the next one with it. The service has one."""

    def __init__(self) -> None:
        self._evicted: int | None = None
        self.report: RedisReport | None = None

    def take(self, info: Mapping[str, Any]) -> RedisReport:
        """Make a report of the server's INFO."""
        evicted = int(info.get("evicted_keys", 0))
        before, self._evicted = self._evicted, evicted
        self.report = RedisReport(
            int(info.get("used_memory", 0)),
            int(info.get("maxmemory", 0)),
            str(info.get("maxmemory_policy", "")),
            max(0, evicted - before) if before is not None else 0,  # fewer: it was started anew
            tuple(words for name, words in _FILES.items() if info.get(name, "ok") != "ok"),
        )
        return self.report
