"""Redis's health as its INFO command reports it: memory, evicted keys, and the files of its persistence.

Clients do not notice when Redis evicts keys or cannot write to its disk, so feynman checks this every few seconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

NEARLY_FULL = 0.95
"""The share of maxmemory above which it is a problem."""
_FILES = {
    "aof_last_write_status": "its append-only file",
    "aof_last_bgrewrite_status": "a shorter append-only file",
    "rdb_last_bgsave_status": "its RDB",
}


@dataclass(frozen=True, slots=True)
class RedisReport:
    """What one INFO reports."""

    used: int
    """Bytes."""
    limit: int
    """`maxmemory`; 0 is none."""
    policy: str
    evicted: int
    """Keys evicted since the report before."""
    unwritten: tuple[str, ...]
    """Descriptions of the files that Redis could not write."""

    @property
    def problem(self) -> str | None:
        """What is wrong and what to do about it; None if nothing is."""
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
    """The last report, and the counter from which the next one is computed. The service has one."""

    def __init__(self) -> None:
        self._evicted: int | None = None
        self.report: RedisReport | None = None

    def take(self, info: Mapping[str, Any]) -> RedisReport:
        """Make a report from the server's INFO."""
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
