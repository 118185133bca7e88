"""All exceptions that the library raises on purpose.

CottageError
 ├── SettingsError
 ├── SourceError
 │    └── UnusableSource   also a SettingsError
 ├── InvalidName          also a ValueError
 ├── InvalidMessage       also a ValueError
 ├── MissingExtra         also an ImportError
 ├── HistoryRefusal       also a ValueError
 ├── StateUnavailable
 │    └── NoSuchState
 ├── ApiUnavailable
 ├── ApiRefused
 │    ├── ApiUnauthorized
 │    └── ApiForbidden
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


class UnusableSource(SourceError, SettingsError):
    """A feed cannot be used as it is set: no try helps until somebody changes the setting or the file."""


class InvalidName(CottageError, ValueError):
    """A symbol, an agent's id or an entity that no key may contain."""


class InvalidMessage(CottageError, ValueError):
    """Untrusted bytes are not a valid message. `reason` is one of a few words, for counting; `detail` says more."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class MissingExtra(CottageError, ImportError):
    """A package that an extra of this library brings is not installed. The message says which extra."""


class HistoryRefusal(CottageError, ValueError):
    """A question to the record that has no answer. `code` is a word for programs, such as `not_recorded`; the message
    says why, and what to do."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


class StateUnavailable(CottageError):
    """There is no state as fresh as requested, and no fallback was given. The message says why."""


class NoSuchState(StateUnavailable):
    """Redis answers, and has no state of this symbol at all: waiting does not help, unlike in an outage."""


class ApiUnavailable(CottageError):
    """The physics API is not there, does not answer in time, or cannot answer now: trying again may help."""


class ApiRefused(CottageError):
    """The physics API answers that it cannot answer this, such as a wrong parameter or a time that is not recorded.
    `status` is HTTP's, and `code` the API's word for programs, such as `bad_parameter`; the message says more."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code

    @property
    def is_wrong(self) -> bool:
        """Whether the request is wrong, whatever there is."""
        return self.status in (400, 422)


class ApiUnauthorized(ApiRefused):
    """The physics API wants a token, or another one than it was shown (401). `code` is its word for why, if it says
    so, such as `expired`."""


class ApiForbidden(ApiRefused):
    """The token that the physics API was shown does not allow what was asked (403)."""


class RedisError(CottageError):
    """The parent of all errors of Redis: a command failed."""


class RedisUnavailable(RedisError):
    """No connection, no answer in time, or a server that is still loading: trying again may help."""


class RedisRefused(RedisError):
    """A wrong password, or a command that is not allowed: trying again soon does not help."""


class RedisFull(RedisError):
    """Redis has no memory left, or cannot write to its disk."""


class LeaseLost(RedisError):
    """The lease is not held any more; nothing of the call was done."""


def leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    """The exceptions in a group of groups, in order."""
    flat: list[BaseException] = []
    for error in group.exceptions:
        flat += leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return flat
