"""What is done on one connection to Redis, whichever face of redis-py it is done by: commands, or listening.

`client.py` and `pubsub.py` do it by the public face, `fast_path.py` below it.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from cottage.redis.slots import Command

Exchange = Callable[[Sequence[Command]], Awaitable[list[Any]]]
"""The replies to some commands, errors among them."""


class Stream(ABC):
    """One subscriber's connection. Its errors are the library's."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        """That have come and were not taken."""
        self.confirmed = 0
        """Channels."""
        self.pongs = 0
        self.error: Exception | None = None
        """What has ended the connection."""

    @abstractmethod
    async def subscribe(self, *channels: str) -> None: ...

    @abstractmethod
    async def ping(self) -> None: ...

    @abstractmethod
    async def aclose(self) -> None: ...

    @abstractmethod
    async def _more(self, deadline: float) -> None:
        """Wait until something has come, until the deadline by the loop's clock at most."""

    async def until(self, condition: Callable[[], bool], timeout: float) -> bool:
        """Wait for a condition on what has come, at most `timeout` seconds; whether it holds. Raises what has ended
        the connection where nothing more can make it true."""
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
        messages, self.messages = self.messages, []
        return messages

    def fail(self, error: Exception) -> None:
        """Take note of an error, which ends the connection."""
        if str(error).startswith("MISCONF"):  # so a server whose disk is full answers even a PING: it hears
            self.pongs += 1
        else:  # such as one that forbids the channel
            self.error = self.error or error
