"""Every error that the suite raises on purpose.

CottageError
 ├── SettingsError
 ├── SourceError
 ├── InvalidName          also a ValueError
 ├── InvalidMessage       also a ValueError
 ├── MissingExtra         also an ImportError
 ├── StateUnavailable
 └── RedisError
      ├── RedisUnavailable
      ├── RedisRefused
      ├── RedisFull
      └── LeaseLost

Exceptions of libraries are translated where the library is used, with the cause chained.
"""


class CottageError(Exception):
    """The parent of every error that this library raises on purpose."""


class SettingsError(CottageError):
    """A setting, such as a URL, is wrong. The text names it, and shows no secret."""


class SourceError(CottageError):
    """A feed cannot be used. The text says why, and what to do."""


class InvalidName(CottageError, ValueError):
    """A symbol, an agent's id or an entity that no key may contain."""


class InvalidMessage(CottageError, ValueError):
    """Bytes from outside are no such message. `reason` is one of a few words, for counting; `detail` says more."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class MissingExtra(CottageError, ImportError):
    """A package that only an extra of this library brings is not there. The text says what to install."""


class StateUnavailable(CottageError):
    """There is no state as fresh as was asked for, and no fallback was given. The text says why."""


class RedisError(CottageError):
    """A command did not do its work."""


class RedisUnavailable(RedisError):
    """No connection, no answer in time, or a server that is still loading: try again."""


class RedisRefused(RedisError):
    """A wrong password, or a command that is not allowed: trying again soon is of no use."""


class RedisFull(RedisError):
    """Redis is out of memory, or of disk for what it must persist."""


class LeaseLost(RedisError):
    """Another holds the lease, or nobody does: nothing of the call was done."""


def leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    """The exceptions that a group of groups holds, in order."""
    flat: list[BaseException] = []
    for error in group.exceptions:
        flat += leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return flat
