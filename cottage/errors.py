"""Every error that the suite raises on purpose.

CottageError
 ├── SettingsError        a setting is wrong; the message names it
 ├── SourceError          a feed cannot be used; the message says why and what to do
 ├── InvalidName          a symbol, agent id or entity that no key may contain (also a ValueError)
 ├── InvalidMessage       bytes from outside that are no such message; `reason` is one of a few words, for counting
 ├── MissingExtra         a package that only an extra brings is not there; the message says what to install
 ├── StateUnavailable     the reader has no state fresh enough, and no fallback was allowed
 └── RedisError           a command did not do its work
      ├── RedisUnavailable   no connection, no answer in time, or a server still loading: try again
      ├── RedisRefused       wrong password or a forbidden command: trying again soon is useless
      ├── RedisFull          out of memory, or of disk for what it must persist
      └── LeaseLost          another holds the lease, or nobody: nothing of the call was done

Exceptions of libraries are translated where the library is used, with the cause chained.
"""


class CottageError(Exception):
    pass


class SettingsError(CottageError):
    pass


class SourceError(CottageError):
    pass


class InvalidName(CottageError, ValueError):
    pass


class InvalidMessage(CottageError, ValueError):
    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class MissingExtra(CottageError):
    pass


class StateUnavailable(CottageError):
    pass


class RedisError(CottageError):
    pass


class RedisUnavailable(RedisError):
    pass


class RedisRefused(RedisError):
    pass


class RedisFull(RedisError):
    pass


class LeaseLost(RedisError):
    pass


def leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    """The exceptions that a group of groups holds, in order."""
    flat: list[BaseException] = []
    for error in group.exceptions:
        flat += leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return flat
