"""The common interface of both implementations of bulk commands and of subscriptions, each on one connection.

`client.py` and `pubsub.py` implement it with redis-py's public API, `fast_path.py` below that API.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from cottage.redis.slots import Command

Exchange = Callable[[Sequence[Command]], Awaitable[list[Any]]]
"""Sends some commands and returns their replies, in which errors are elements. `Client.bulk` uses one."""


class Stream(ABC):
    """The connection of one subscription, which ChannelSubscription reads from. It raises redis-py's exceptions."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        """The payloads that have arrived and were not taken yet."""
        self.confirmed = 0
        """How many channels the server has confirmed."""
        self.pongs = 0
        """How often the server has answered a PING."""
        self.error: Exception | None = None
        """What has ended the connection; None while it lasts."""

    @abstractmethod
    async def subscribe(self, *channels: str) -> None: ...

    @abstractmethod
    async def ping(self) -> None: ...

    @abstractmethod
    async def aclose(self) -> None: ...

    @abstractmethod
    async def _more(self, deadline: float) -> None:
        """Wait until something has arrived, but not past `deadline`, which is a time of the event loop's clock."""

    async def until(self, condition: Callable[[], bool], timeout: float) -> bool:
        """Wait at most `timeout` seconds for a condition on what has arrived, and return whether it holds. If the
        connection has ended and the condition does not hold, raises the error that has ended it."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        while not condition():
            if self.error is not None:
                raise self.error.with_traceback(None)
            if loop.time() >= deadline:
                return False
            await self._more(deadline)
        return True

    def take(self) -> list[bytes]:
        """Return the payloads that have arrived, and forget them."""
        messages, self.messages = self.messages, []
        return messages

    def fail(self, error: Exception) -> None:
        """Take note of an error reply or of a lost connection; either ends the subscription."""
        if str(error).startswith("MISCONF"):  # a server whose disk is full answers a PING like this: it is there
            self.pongs += 1
        else:  # such as NOPERM, which forbids the channel
            self.error = self.error or error
