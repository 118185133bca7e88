"""A service that does what its first argument says, for test_runner to run as a real process."""

import asyncio
import logging
import sys
import time
import warnings
from typing import Any

from pydantic_settings import SettingsConfigDict

from common import runner
from common.logs import get_logger
from common.settings import ServiceSettings
from cottage.errors import SettingsError, SourceError

log = get_logger()


class TinySettings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="TINY_")


class Tiny:
    def __init__(self, what: str) -> None:
        self._what = what

    def not_ready(self) -> str | None:
        return None

    def status(self) -> dict[str, Any]:
        return {"what": self._what}

    async def run(self, stopping: asyncio.Event) -> None:
        log.info("running", loop=type(asyncio.get_running_loop()).__module__)
        await getattr(self, self._what)(stopping)

    async def drains(self, stopping: asyncio.Event) -> None:
        await stopping.wait()
        log.info("drained")

    async def drains_slowly(self, stopping: asyncio.Event) -> None:
        await stopping.wait()
        await asyncio.sleep(0.5)
        log.info("drained")

    async def ends(self, _stopping: asyncio.Event) -> None:
        """Its work is done."""

    async def never_drains(self, _stopping: asyncio.Event) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            log.info("closed")

    async def never_closes(self, _stopping: asyncio.Event) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.Event().wait()

    async def has_a_stuck_thread(self, stopping: asyncio.Event) -> None:
        stuck = asyncio.get_running_loop().run_in_executor(None, time.sleep, 600)
        await stopping.wait()
        stuck.cancel()

    async def crashes(self, _stopping: asyncio.Event) -> None:
        password = "".join(["s3cret", "word"])  # whole only in this variable, not in the source line
        raise ValueError(f"a password of {len(password)} characters")

    async def crashes_in_a_task(self, stopping: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self.drains(stopping))
            group.create_task(self.crashes(stopping))

    async def crashes_while_draining(self, stopping: asyncio.Event) -> None:
        await stopping.wait()
        await self.crashes(stopping)

    async def has_no_source(self, _stopping: asyncio.Event) -> None:
        raise SourceError("no file /nowhere; set TINY_FILE to another one")

    async def has_a_bad_setting(self, _stopping: asyncio.Event) -> None:
        raise SettingsError("TINY_PORT: taken")

    async def talks_through_others(self, _stopping: asyncio.Event) -> None:
        logging.getLogger("library").warning("half of %s", "it", extra={"peer": "127.0.0.1"})
        logging.getLogger("library").info("chatter")
        try:
            raise RuntimeError("broken")
        except RuntimeError:
            logging.getLogger("library").exception("gave up")
        warnings.warn("old-fashioned", stacklevel=1)


if __name__ == "__main__":
    what = sys.argv.pop(1)
    runner.run("tiny", Tiny(what), TinySettings.load("tiny", "does what it is told"))
