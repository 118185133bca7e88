"""Clients of all kinds, and what each must never see.

A raw client knows nothing but the protocol: it trusts what it is told, and any version out of order within one
connection is a violation. A library client keeps its promise across connections. The reader asks the HTTP API.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import httpx
import orjson
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from cottage.client.replica import Phase, ReplicaState
from cottage.client.state_client import StateClient
from cottage.protocol import split_skipped, split_snapshot
from cottage.token_file import token_of
from cottage.version import Version
from tests.chaos.pace import Pace
from tests.chaos.samples import Samples, sample_time

MOST_KEPT = 200
FORGED = "forged"
"""The source of a state that nobody may ever be shown, and the agent of such an event."""
ROUNDING = 0.01
"""Seconds: timestamps have milliseconds."""
YOUNGER_SECONDS = 0.4
"""Two clocks are known to each other within less."""
READ_SECONDS = 10.0
"""A connection that brings nothing for so long is given up."""


@dataclass(slots=True)
class Violations:
    """What must not happen, and did."""

    on_new: Callable[[str, str], None]
    found: list[tuple[str, str]] = field(default_factory=list)
    """(kind, what)"""
    count: int = 0
    taking_back: bool = False
    """Versions are taken back: of REMOVED and the state after it, whoever asks only for the newest sees one."""

    def add(self, kind: str, what: str) -> None:
        self.count += 1
        if len(self.found) < MOST_KEPT:
            self.found.append((kind, what))
            self.on_new(kind, what)


class Held(Protocol):
    """What somebody holds of one symbol, and what he makes of it."""

    name: str

    @property
    def judges(self) -> bool:
        """Whether it reads as fast as it can, so that what it calls live says something."""

    @property
    def trusts_words(self) -> bool:
        """It looks at no timestamps, only at what it is told."""

    def wants(self, symbol: str) -> bool: ...

    def versions(self) -> dict[str, Version]: ...

    def payload(self, symbol: str) -> bytes | None:
        """The update as it was published, where that is known."""

    def live(self, symbol: str) -> bool:
        """Whether it would be shown as fresh just now."""

    def sampled(self, symbol: str) -> float | None:
        """The time that names the sample of the state that is held, in seconds since 1970."""

    def problem(self) -> str | None:
        """Why nothing can be expected of it now; None where it is connected."""


class RawClient:
    """`urls`: broadcasters, of which it dials any. `calm`: while it is set it neither dawdles nor leaves."""

    def __init__(
        self,
        name: str,
        urls: list[str],
        violations: Violations,
        pace: Pace,
        calm: asyncio.Event,
        *,
        symbols: Iterable[str] | None = None,
        batch: int = 0,
        dawdles: float = 0.0,
        leaves: float = 0.0,
        seed: int = 0,
    ) -> None:
        """`dawdles`: seconds that it stops reading now and then. `leaves`: after so many it connects anew."""
        self.name = name
        self._urls = urls
        self._violations = violations
        self._pace = pace
        self._calm = calm
        self._symbols = None if symbols is None else frozenset(symbols)
        self._batch = batch
        self._dawdles = dawdles
        self._leaves = leaves
        self._random = random.Random(f"{name} {seed}")
        self._held: dict[str, tuple[Version, bytes, float | None]] = {}
        self._whole: str = "live"
        self._apart: dict[str, str] = {}
        self._complete = False
        self._told = False
        """The HEARTBEAT has come that follows what is said of the SNAPSHOT's states."""
        self._heard_at = 0.0
        self.received = 0
        self.connections = 0

    @property
    def judges(self) -> bool:
        return not self._dawdles

    @property
    def trusts_words(self) -> bool:
        return True

    def wants(self, symbol: str) -> bool:
        return self._symbols is None or symbol in self._symbols

    def versions(self) -> dict[str, Version]:
        return {symbol: version for symbol, (version, _, _) in self._held.items()}

    def payload(self, symbol: str) -> bytes | None:
        held = self._held.get(symbol)
        return None if held is None else held[1]

    def sampled(self, symbol: str) -> float | None:
        held = self._held.get(symbol)
        return None if held is None else held[2]

    def problem(self) -> str | None:
        return None if self._complete else "not connected"

    def live(self, symbol: str) -> bool:
        """By the server's word alone, while it is heard."""
        silent = time.monotonic() - self._heard_at
        if (
            not self.judges
            or not (self._complete and self._told)
            or silent >= self._pace.thresholds.silent
            or symbol not in self._held
        ):
            return False
        return self._apart.get(symbol, self._whole) == "live"

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            with contextlib.suppress(OSError, WebSocketException, TimeoutError):
                await self._connection()
            self._forget()
            await asyncio.sleep(self._random.uniform(0, 2 * self._pace.tick))

    def _forget(self) -> None:
        self._held.clear()
        self._apart.clear()
        self._whole, self._complete, self._told = "live", False, False

    async def _connection(self) -> None:
        query = [] if self._symbols is None else [f"symbols={','.join(sorted(self._symbols))}"]
        query += [f"batch={self._batch}"] if self._batch else []
        url = f"{self._random.choice(self._urls)}?{'&'.join(query)}"
        leaves_at = time.monotonic() + self._leaves * self._random.uniform(0.5, 1.5) if self._leaves else None
        quiet: dict[str, Any] = {"proxy": None, "compression": None, "close_timeout": 0.2, "ping_interval": None}
        async with connect(url, additional_headers=shown(), **quiet) as connection:
            self.connections += 1
            try:
                while leaves_at is None or time.monotonic() < leaves_at or self._calm.is_set():
                    await self._frame(connection)
            finally:
                connection.transport.abort()

    async def _frame(self, connection: ClientConnection) -> None:
        async with asyncio.timeout(READ_SECONDS * self._pace.scale + 1):
            frame = await connection.recv(decode=False)
        self._heard_at = time.monotonic()
        fields = orjson.loads(frame)
        if isinstance(fields, list):
            for each in fields:
                self._take(orjson.dumps(each), each, exact=False)
        else:
            self._take(frame, fields, exact=True)
        if self._dawdles and not self._calm.is_set() and self._random.random() < 0.02:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._dawdles * self._random.random()):
                    await self._calm.wait()

    def _take(self, payload: bytes, fields: dict[str, Any], *, exact: bool) -> None:
        match fields["event"]:
            case "PHYSICS_UPDATE":
                self.received += 1
                skipped = fields.get("skipped", 0)
                self._update(split_skipped(payload, skipped) if skipped else payload, fields, exact=exact, new=True)
            case "SNAPSHOT":
                for update in split_snapshot(payload):
                    self._update(update, orjson.loads(update), exact=exact, new=False)
                self._complete = self._complete or fields["last"]
            case "REMOVED":
                self._held.pop(fields["symbol"], None)
                self._apart.pop(fields["symbol"], None)
            case "FRESHNESS":
                self._statement(fields)
            case "AGENT_UPDATE" if fields["agent_id"] == FORGED:
                self._violations.add("forged", f"{self.name}: an event of another database")
            case "HEARTBEAT":
                self._told = self._complete
                self._proof(fields.get("seqs"))

    def _update(self, payload: bytes, fields: dict[str, Any], *, exact: bool, new: bool) -> None:
        if "epoch" not in fields:
            return
        symbol, version = fields["symbol"], Version(fields["epoch"], fields["seq"])
        before = self._held.get(symbol)
        if not self.wants(symbol):
            self._violations.add("not_asked_for", f"{self.name}: {symbol}")
        if fields["data"].get("source") == FORGED:
            self._violations.add("forged", f"{self.name}: {symbol} {version}")
        if before is not None and (version < before[0] or (new and version == before[0])):
            self._violations.add("went_back", f"{self.name}: {symbol} from {before[0]} to {version}")
        self._held[symbol] = version, payload if exact else b"", sample_time(fields)

    def _statement(self, fields: dict[str, Any]) -> None:
        if "*" in fields["symbols"]:
            self._whole = fields["status"]
            self._apart.clear()
            return
        self._apart.update(dict.fromkeys(fields["symbols"], fields["status"]))

    def _proof(self, seqs: dict[str, list[int]] | None) -> None:
        """What the server says that this client was sent last must be what it holds."""
        if seqs is None or not self._complete:
            return
        held = {symbol: list(version) for symbol, version in self.versions().items()}
        if held != seqs:
            self._violations.add("proof", f"{self.name}: holds {held}, the server says {seqs}")


def sampled(state: ReplicaState) -> float | None:
    """The time that names its sample. Its own time changes with each step, and may be the name of a later sample."""
    return state.time if state.feed_time is None else state.feed_time


class LibraryClient:
    """The suite's own client: no symbol goes back, across connections and servers."""

    def __init__(self, name: str, client: StateClient, violations: Violations) -> None:
        self.name = name
        self.client = client
        self._violations = violations
        self._newest: dict[str, Version] = {}

    @property
    def judges(self) -> bool:
        return True

    @property
    def trusts_words(self) -> bool:
        return False

    def wants(self, symbol: str) -> bool:
        return self.client._replica.subscriptions.wants(symbol)

    def versions(self) -> dict[str, Version]:
        return {symbol: state.version for symbol, state in self.client.states.items() if state.version is not None}

    def payload(self, _symbol: str) -> bytes | None:
        return None

    def sampled(self, symbol: str) -> float | None:
        state = self.client.states.get(symbol)
        return None if state is None else sampled(state)

    def live(self, symbol: str) -> bool:
        return self.client.freshness(symbol) == "live"

    def problem(self) -> str | None:
        return None if self.client.phase is Phase.CONNECTED else self.client.phase

    async def run(self) -> None:
        """Until cancelled."""
        async for symbol, state in self.client.changes():
            if state is None:
                self._newest.pop(symbol, None)
                continue
            before, version = self._newest.get(symbol), state.version
            assert version is not None
            if state.data.get("source") == FORGED:
                self._violations.add("forged", f"{self.name}: {symbol} {version}")
            if before is not None and version < before and not self._violations.taking_back:
                self._violations.add("went_back", f"{self.name}: {symbol} from {before} to {version}")
            self._newest[symbol] = version


class ApiReader:
    """Asks the HTTP API, and believes what it says of freshness."""

    def __init__(self, url: str, symbols: list[str], samples: Samples, violations: Violations, pace: Pace) -> None:
        self._url = url
        self._symbols = symbols
        self._samples = samples
        self._violations = violations
        self._pace = pace
        self.answers = 0
        self.answered_at = 0.0
        """When its last question was asked, monotonic."""
        self.live: set[str] = set()
        """Symbols that its last answer called live."""
        self.apart = False
        """Its last answer said that Redis does not answer the API."""

    async def run(self) -> None:
        """Until cancelled."""
        timeout = 5 * self._pace.scale + 1
        async with httpx.AsyncClient(trust_env=False, timeout=timeout, headers=shown()) as http:
            while True:
                with contextlib.suppress(httpx.HTTPError):
                    await self._ask(http)
                await asyncio.sleep(min(0.5, 2 * self._pace.tick))

    async def _ask(self, http: httpx.AsyncClient) -> None:
        asked = time.monotonic()
        answer = await http.get(f"{self._url}/v1/physics?symbols={','.join(self._symbols)}")
        strict = await http.get(f"{self._url}/v1/physics/{self._symbols[0]}?max_age_ms={self._most * 1000:.0f}")
        self.live.clear()
        if answer.status_code == httpx.codes.OK:
            self.answers, self.answered_at, states = self.answers + 1, asked, answer.json()["states"]
            self.apart = any(state["freshness"]["cause"] == "redis_down" for state in states.values())
            for symbol, state in states.items():
                self._judge(symbol, state, asked, self._pace.thresholds.stale)
        if strict.status_code == httpx.codes.OK:
            self._judge(self._symbols[0], strict.json(), asked, self._most)

    @property
    def _most(self) -> float:
        return 3.0 * self._pace.scale

    def _judge(self, symbol: str, state: dict[str, Any], asked: float, most: float) -> None:
        if state.get("source") == FORGED:
            self._violations.add("forged", f"API: {symbol}")
        sampled, freshness = sample_time(state), state["freshness"]
        age = None if sampled is None else self._samples.age_at(symbol, sampled, asked, time.monotonic())
        unseen = 0.0 if age is None else self._samples.unseen(age, asked)
        if freshness["status"] == "live":
            self.live.add(symbol)
            if age is not None and age > most + ROUNDING + unseen:
                self._violations.add("stale_as_fresh", f"API: {symbol} is {age:.2f} s old and called live")
        shown = freshness["age_ms"]
        if age is not None and shown is not None and age - shown / 1000 > YOUNGER_SECONDS + unseen:
            self._violations.add("younger", f"API: {symbol} is {age:.2f} s old and shown as {shown / 1000:.2f} s")


def shown() -> dict[str, str]:
    """The header that shows the token of --token-file, where one was given."""
    token = token_of()
    text = token() if callable(token) else token
    return {"Authorization": f"Bearer {text}"} if text else {}


@asynccontextmanager
async def library_client(
    name: str, url: str, violations: Violations, pace: Pace, symbols: Iterable[str] | None = None
) -> AsyncIterator[LibraryClient]:
    async with StateClient.connect(url, symbols=symbols, thresholds=pace.thresholds, token=token_of()) as client:
        yield LibraryClient(name, client, violations)
