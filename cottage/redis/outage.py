"""What every process logs when Redis goes away and when it is back: the events `redis_lost` and `redis_back`."""

from collections.abc import Callable

from cottage.errors import RedisError
from cottage.log import get_logger

log = get_logger(__name__)


class RedisOutage:
    """Logs `redis_lost` once for each kind of error, and `redis_back` once nothing fails any more."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._kinds: set[str] = set()
        self._worked_at: float | None = None
        self._since: float | None = None
        self.errors: dict[str, str] = {}
        """The activities that fail at present, each with its last error."""

    @property
    def problem(self) -> str | None:
        """What fails at present, and why; None if nothing does."""
        return "; ".join(f"{activity}: {error}" for activity, error in self.errors.items()) or None

    def failed(self, error: RedisError, during: str) -> bool:
        """Take note of a failure. Returns whether the outage, or its kind, is new."""
        kind = type(error).__name__
        if self._since is None:
            self._since = self._monotonic() if self._worked_at is None else self._worked_at
        self.errors[during] = str(error)
        if kind in self._kinds:
            return False
        self._kinds.add(kind)
        log.warning("redis_lost", kind=kind, during=during, error=str(error))
        return True

    def works(self, *during: str) -> None:
        for each in during:
            self.errors.pop(each, None)
        if self.errors:
            return
        now = self._monotonic()
        if self._since is not None:
            log.info("redis_back", seconds=round(now - self._since, 1))
            self._since = None
            self._kinds.clear()
        self._worked_at = now
