"""`python -m tests.chaos.onlooker URL STALE EXPIRED SILENT SYMBOL …`: a StateClient in a process of its own.

It says fifty times a second what it shows its user, so that the harness can stop it, as a machine that sleeps or an
event loop that hangs does, step its clock, and see what it calls live as it wakes.
"""

import asyncio
import contextlib
import logging
import math
import os
import sys
import time
from collections.abc import Mapping
from typing import Any

import orjson

from cottage.client.replica import Phase
from cottage.client.state_client import StateClient
from cottage.freshness import Thresholds
from cottage.log import LogEvent
from cottage.token_file import FILE_VARIABLE, token_of
from cottage.version import Version
from tests.chaos.suite import Member, Suite
from tests.chaos.watch import YOUNGER_SECONDS, sampled

SAYS_SECONDS = 0.02
LATELY_SECONDS = 0.3
SLACK_SECONDS = 0.1
"""What lies between a claim and the moment that it was made at."""


class Onlooker:
    """The harness's side: it reads what such a process says, and judges each claim by when it was made."""

    judges = False  # here, where every claim is seen
    trusts_words = False

    def __init__(self, suite: Suite, url: str, symbols: list[str]) -> None:
        self.name = "onlooker"
        thresholds = suite.pace.thresholds
        command = suite.command("tests.chaos.onlooker", url, *(f"{seconds:g}" for seconds in thresholds), *symbols)
        token = {name: os.environ[name] for name in (FILE_VARIABLE,) if name in os.environ}
        self.member = Member(self.name, self.name, {**suite.clock(self.name), **token}, command)
        self._symbols = frozenset(symbols)
        self._samples = suite.samples
        self._violations = suite.violations
        self._stale = thresholds.stale
        self._said: dict[str, Any] = {"at": 0.0, "phase": "silent", "shown": {}, "losses": 0}
        self._lied: set[str] = set()
        self.alone_since = math.inf
        """From when on, by our monotonic clock, no server answers it, so that it can know of nothing as live."""

    def wants(self, symbol: str) -> bool:
        return symbol in self._symbols

    def versions(self) -> dict[str, Version]:
        return {symbol: Version(*each["version"]) for symbol, each in self._shown.items()}

    def payload(self, _symbol: str) -> bytes | None:
        return None

    def live(self, symbol: str) -> bool:
        """What it said a while ago it says no more: it stands still."""
        lately = time.monotonic() - self._said["at"] < LATELY_SECONDS
        return lately and symbol in self._shown and bool(self._shown[symbol]["status"] == "live")

    def sampled(self, symbol: str) -> float | None:
        sampled: float | None = self._shown[symbol]["sample"] if symbol in self._shown else None
        return sampled

    def problem(self) -> str | None:
        if self.member.suspended or not self.member.alive:
            return "stands still" if self.member.suspended else "ended"
        phase: str = self._said["phase"]
        return None if phase == Phase.CONNECTED else phase

    @property
    def losses(self) -> int:
        """How many connections it has given up or lost."""
        return int(self._said["losses"])

    @property
    def _shown(self) -> dict[str, dict[str, Any]]:
        shown: dict[str, dict[str, Any]] = self._said["shown"]
        return shown

    async def run(self) -> None:
        """Until cancelled."""
        await self.member.start()
        try:
            while True:
                await asyncio.sleep(SAYS_SECONDS / 2)
                process = self.member.process
                assert process is not None
                lines = process.logs[:]
                process.logs.clear()
                process.logged_at.clear()
                for line in lines:
                    self._take(line)
        finally:
            await self.member.close()

    def trust_again(self) -> None:
        """What it lied about is told once a fault."""
        self._lied.clear()

    def _take(self, line: dict[str, Any]) -> None:
        self._said = line
        for symbol, each in self._shown.items():
            if each["sample"] is None or symbol in self._lied:
                continue
            if each["status"] == "live" and line["at"] > self.alone_since:
                self._lied.add(symbol)
                self._violations.add("believed", f"{self.name} calls {symbol} live, though nobody has answered it")
            age, shown = self._samples.age(symbol, each["sample"], line["at"]), each["age"]
            if age is None:
                continue
            unseen = self._samples.unseen(age, line["at"])
            if each["status"] == "live" and age > self._stale + SLACK_SECONDS + unseen:
                self._lied.add(symbol)
                self._violations.add(
                    "stale_as_fresh", f"{self.name} calls {symbol} live {shown} s, which is {age:.2f} s old"
                )
            elif shown is not None and age - shown > YOUNGER_SECONDS + unseen:
                self._lied.add(symbol)
                self._violations.add("younger", f"{self.name}: {symbol} is {age:.2f} s old, shown as {shown:.2f} s")


class _Losses(logging.Handler):
    """Counts what the library says of connections that it has lost."""

    count = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.count += isinstance(record.msg, LogEvent) and record.msg.name == "server_lost"


async def _follow(url: str, thresholds: Thresholds, symbols: list[str]) -> None:
    losses = _Losses()
    logging.getLogger("cottage").addHandler(losses)
    async with StateClient.connect(url, symbols=symbols, thresholds=thresholds, token=token_of()) as client:
        while True:
            said = {"at": time.monotonic(), "phase": client.phase, "losses": losses.count, "shown": _shown(client)}
            sys.stdout.buffer.write(orjson.dumps(said) + b"\n")
            sys.stdout.buffer.flush()
            await asyncio.sleep(SAYS_SECONDS)


def _shown(client: StateClient) -> Mapping[str, Any]:
    return {
        symbol: {
            "version": list(state.version or (0, 0)),
            "sample": sampled(state),
            "status": client.freshness(symbol),
            "age": client.age(symbol),
        }
        for symbol, state in client.states.items()
    }


def main() -> None:
    url, stale, expired, silent, *symbols = sys.argv[1:]
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_follow(url, Thresholds(float(stale), float(expired), float(silent)), symbols))


if __name__ == "__main__":
    main()
