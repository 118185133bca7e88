"""A seeded series of faults: inject, cure, wait until all is well again; and what must hold at every moment.

Each fault has a random generator of its own, made of the seed and its number: `FIRST=57 N=1` does the 57th alone.
"""

import asyncio
import math
import random
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import httpx

from cottage.cancellation import background
from cottage.clock import AHEAD_SECONDS, from_iso
from cottage.errors import RedisError
from cottage.version import Version
from tests.chaos.faults import KINDS, Fault
from tests.chaos.onlooker import Onlooker
from tests.chaos.report import Outcome
from tests.chaos.samples import FOREIGN
from tests.chaos.suite import NOISE_SECONDS, Member, Suite
from tests.chaos.truth import Truth
from tests.chaos.watch import ApiReader, Held, LibraryClient, RawClient, Violations, library_client

PAIRS = 0.2
"""Of the faults come as two at once."""
DATED_SECONDS = 0.5
"""Between a sample's age by its timestamp and by when we saw it first."""
PROCESS_SECONDS = 5.0
"""A Python process to be there again, on a busy machine."""
AGAIN_SECONDS = 1.0
"""A tick, which is no setting: then the bridge asks Redis again for a state that it lacks though it was announced."""
TAKEN_BACK_SECONDS = 5.0
"""Five ticks, each of a second at any pace: the time between the bridge's two looks is no setting."""
HOPS, RETRY_SECONDS = 3, 1.0
REREAD, TIMEOUT = 30.0, 5.0
"""At real time."""
CONNECTED = {
    "starting",
    "listening",
    "subscribed",
    "linked",
    "lease_acquired",
    "redis_back",
    "symbols_found",
}
"""What a process says once it is connected again."""
BEGIN_SECONDS = 60.0
SETTLED_READS = 3
MOST_GROWTH = 64 * 2**20
MOST_TASKS = 40
"""More than at the beginning: each connection takes a few."""


@dataclass(slots=True)
class Crowd:
    """Everybody who watches."""

    raw: list[RawClient] = field(default_factory=list)
    library: list[LibraryClient] = field(default_factory=list)
    readers: list[ApiReader] = field(default_factory=list)
    onlookers: list[Onlooker] = field(default_factory=list)
    calm: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def holders(self) -> list[Held]:
        return [*self.raw, *self.library, *self.onlookers]


@asynccontextmanager
async def crowd(suite: Suite, symbols: int, seed: int) -> AsyncIterator[Crowd]:
    """A dozen clients, following until the block ends: fast, slow, subscribed in part, in batches, restless."""
    made = Crowd()
    pace, violations, urls = suite.pace, suite.violations, suite.urls
    some = [f"S{number:03}" for number in range(0, symbols, 7)][:8] + list(FOREIGN[:3])
    one, other = urls

    def raw(name: str, at: list[str], **options: Any) -> RawClient:
        return RawClient(name, at, violations, pace, made.calm, seed=seed, **options)

    made.raw += [
        raw("fast-1", [one]),
        raw("fast-2", [other]),
        raw("fast-3", urls),
        raw("slow-1", [one], dawdles=30 * pace.tick),
        raw("slow-2", [other], dawdles=60 * pace.tick),
        raw("part-1", [one], symbols=some),
        raw("part-2", [other], symbols=[*some[::2], "GONE1"]),
        raw("batch", urls, batch=100),
        raw("restless-1", urls, leaves=10 * pace.tick),
        raw("restless-2", urls, symbols=some, leaves=20 * pace.tick),
    ]
    onlooker = Onlooker(suite, one, [*some[:3], *FOREIGN])
    suite.onlooker = onlooker
    made.onlookers.append(onlooker)
    async with AsyncExitStack() as stack:
        for name, url, wanted in (("library-1", one, None), ("library-2", other, some)):
            client = await stack.enter_async_context(library_client(name, url, violations, pace, wanted))
            made.library.append(client)
        made.readers.append(ApiReader(suite.api_url, ["S000", "S001", *FOREIGN[:2]], suite.samples, violations, pace))
        everybody: list[RawClient | LibraryClient | ApiReader | Onlooker]
        everybody = [*made.raw, *made.library, *made.readers, onlooker]
        async with background(*(each.run() for each in everybody)):
            yield made


class Course:
    """One run. `tell` is given a line for each thing worth one."""

    def __init__(
        self,
        suite: Suite,
        watchers: Crowd,
        symbols: int,
        seed: int,
        tell: Callable[[str], None],
        kinds: Sequence[str] = (),
    ) -> None:
        """`kinds` of faults, no others and one at a time; all of them without."""
        self._suite = suite
        self._crowd = watchers
        self._symbols = suite.symbols
        self._seed = seed
        self._tell = tell
        self._kinds = kinds
        self._pace = suite.pace
        self._violations = suite.violations
        self.truth = Truth(suite.direct, self._pace.tick / 2, suite.samples, suite.violations)
        self.outcomes: list[Outcome] = []
        self.stop_early = False
        """With the first violation."""
        self.judgements = 0
        """Times that somebody's `live` was checked."""
        self._connected_at = 0.0
        """When some client was last found without its connection."""
        self._last_trouble = ""
        self._stale_ones: set[tuple[str, str]] = set()
        self._suspects: set[tuple[str, str]] = set()
        """(who, symbol) that the look under way found stale and called live; `_suspected`: the look before."""
        self._suspected: set[tuple[str, str]] = set()
        self._memory: dict[str, int] = {}
        self._tasks: dict[str, int] = {}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """The harness's own work, until the block ends."""
        async with background(self.truth.follow(), self._feed(), self._judge()):
            yield

    async def begin(self) -> None:
        """Wait until everything works, and remember how large it is then."""
        self._crowd.calm.set()
        if await self._converged(BEGIN_SECONDS) is None:
            raise AssertionError(f"it did not even begin: {await self._trouble()}")
        self.truth.data_stays()
        await asyncio.sleep(10 * self._pace.tick)
        await self._measure(remember=True)

    async def faults(self, first: int, number: int, every: float = 0.0) -> None:
        """Faults `first` to `first + number - 1`; ends early where the suite did not come back. One after the other,
        or each `every` seconds."""
        began = time.monotonic()
        for index in range(first, first + number):
            await asyncio.sleep(began + (index - first) * every - time.monotonic())
            outcome = await self._one(index)
            self.outcomes.append(outcome)
            found = f"{outcome.seconds:5.2f} s" if outcome.seconds is not None else "NEVER"
            self._tell(f"{index:4}  {' + '.join(outcome.kinds):50} {found}")
            if outcome.seconds is None or (self.stop_early and self._violations.count):
                return
            if index % 10 == 9:  # a figure of each process every ten faults
                await self._measure(remember=False)

    def chosen(self, index: int) -> tuple[random.Random, list[Fault]]:
        """The fault of that number, or two: every kind comes up in each round."""
        names = sorted(self._kinds or KINDS)
        turn, place = divmod(index, len(names))
        random.Random(f"{self._seed} round {turn}").shuffle(names)
        rng = random.Random(f"{self._seed} fault {index}")
        faults = [KINDS[names[place]]]
        if not (self._kinds or faults[0].alone) and rng.random() < PAIRS:
            faults.append(
                rng.choice([fault for fault in KINDS.values() if not fault.alone and fault is not faults[0]])
            )
        return rng, faults

    async def _one(self, index: int) -> Outcome:
        rng, faults = self.chosen(index)
        kinds = tuple(fault.kind for fault in faults)
        self._crowd.calm.clear()
        self._stale_ones.clear()
        for onlooker in self._crowd.onlookers:
            onlooker.trust_again()
        if any(fault.undates for fault in faults):
            self._suite.samples.undated_until = math.inf
        self._violations.taking_back = self._takes_back(faults)
        if any(fault.lossy for fault in faults):
            self.truth.data_may_go()
        async with AsyncExitStack() as stack:
            for fault in faults:
                await stack.enter_async_context(fault.breaking(self._suite, rng))
            await asyncio.sleep(rng.uniform(0.5, 20) * self._pace.tick)
        self._crowd.calm.set()
        cured = time.monotonic()
        seconds = await self._converged(self._patience(faults))
        self.truth.data_stays()
        promised = self._promised(faults)
        self._violations.taking_back = False
        if self._suite.samples.undated_until == math.inf:
            self._suite.samples.undated_until = time.monotonic()
        if seconds is None:
            self._violations.add("not_converged", f"fault {index} {kinds}: {await self._trouble()}")
            return Outcome(index, kinds, None)
        connected = max(
            cured, self._connected_at, *(each.last_said(CONNECTED) for each in self._suite.members.values())
        )
        after = max(0.0, cured + seconds - connected)
        if after > promised:
            what = f"fault {index} {kinds}: {after:.2f} s after the last hop was connected; then {self._last_trouble}"
            self._violations.add("late", what)
        return Outcome(index, kinds, seconds, after)

    def _takes_back(self, faults: Sequence[Fault]) -> bool:
        """Whether versions are taken back: also where data is lost of before the clock went back."""
        if any(fault.takes_back for fault in faults):
            return True
        return any(fault.lossy for fault in faults) and self.truth.epochs_ahead(time.monotonic())

    def _promised(self, faults: Sequence[Fault]) -> float:
        """Seconds from the last hop on: two ticks, and for what is deleted two full reads."""
        rereads = 2 * REREAD * self._pace.scale if any(fault.deletes for fault in faults) else 0.0
        back = TAKEN_BACK_SECONDS if self._violations.taking_back else 0.0
        again = AGAIN_SECONDS if any(fault.lossy for fault in faults) else 0.0
        healing = max(back, again, *(fault.healing for fault in faults))
        return 2 * self._pace.tick + rereads + healing + NOISE_SECONDS

    def _patience(self, faults: Sequence[Fault]) -> float:
        """Seconds in which all must be well again: a new process, three hops that each wait up to a second between
        tries, a lease, a full read for what nobody publishes, and what a fault takes besides."""
        usual = (
            3.0 + 3 * 1.0 + 2 * self._pace.lease + self._pace.deaf + 2 * 30.0 * self._pace.scale + 2 * NOISE_SECONDS
        )
        more = TAKEN_BACK_SECONDS + sum(fault.patience + fault.healing for fault in faults)
        return usual + more + 2 * 5.0 * self._pace.scale

    async def _converged(self, within: float) -> float | None:
        """Seconds until every client holds what Redis holds, and everything says that it is live."""
        began = time.monotonic()
        while time.monotonic() - began < within:
            trouble = await self._trouble(since=began)
            if trouble is None:
                return time.monotonic() - began
            self._last_trouble = trouble
            await asyncio.sleep(0.02)
        return None

    async def _trouble(self, since: float = 0.0) -> str | None:
        """Why it is not converged; None where it is."""
        truth = self.truth
        expected = {symbol: course.version for symbol, course in truth.courses.items()}
        if not truth.answers or truth.read_at < since:
            return "Redis does not answer"
        absent = [symbol for symbol in self._symbols if symbol not in expected]
        if absent:
            return f"Redis lacks {len(absent)} states, such as {absent[0]}"
        for symbol in self._symbols:
            age = self._age(symbol, truth.courses[symbol].sampled)
            if age is None or age > 5 * self._pace.tick + NOISE_SECONDS / 4:
                return f"nothing new of {symbol} is written"
        misdated = self._misdated()
        if misdated is not None:
            return misdated
        # What Redis holds now must be with everybody as soon as it has had the time to arrive.
        deadline = time.monotonic() + 2 * self._pace.tick + NOISE_SECONDS
        while (problem := self._behind(expected)) is not None:
            if time.monotonic() >= deadline:
                return problem
            await asyncio.sleep(0.01)
        for reader in self._crowd.readers:
            if reader.apart:
                self._connected_at = time.monotonic()
            if reader.answered_at < since or self._symbols[0] not in reader.live:
                return f"the API does not call {self._symbols[0]} live"
        held = {holder.name: holder.versions() for holder in self._crowd.holders}
        try:
            await truth.read_again(truth.reads + SETTLED_READS)
        except TimeoutError:
            return "Redis answers too slowly"
        return self._beyond(held) or self._ahead()

    def _beyond(self, held: Mapping[str, Mapping[str, Version]]) -> str | None:
        """Nobody held, some reads ago, a version that Redis has not even now."""
        for name, versions in held.items():
            for symbol, version in versions.items():
                course = self.truth.courses.get(symbol)
                if course is not None and version > course.version:
                    return f"{name} holds {version} of {symbol}, which Redis never had: {course.version}"
        return None

    def _age(self, symbol: str, sampled: float | None) -> float | None:
        """How old that sample really is."""
        return None if sampled is None else self._suite.samples.age(symbol, sampled, time.monotonic())

    def _misdated(self) -> str | None:
        """By Redis's clock each state is as old as its sample is."""
        for symbol in (*self._symbols, *FOREIGN):
            course = self.truth.courses.get(symbol)
            if course is None or course.state is None or course.sampled is None:
                continue
            age = self._age(symbol, course.sampled)
            if age is None:
                return f"Redis holds a sample of {symbol} that nobody wrote"
            shown = self.truth.ahead + time.monotonic() - from_iso(course.state.timestamp)
            if symbol in FOREIGN and not -AHEAD_SECONDS <= shown <= age and self._undatable(age):
                continue  # older than it is, or expired, until a newer one comes
            most = DATED_SECONDS + 5 * self._pace.tick + self._suite.samples.unseen(age, time.monotonic())
            if abs(shown - age) > most:
                return f"{symbol} is {age:.2f} s old and by its timestamp {shown:.2f} s"
        return None

    def _undatable(self, age: float) -> bool:
        """Whether nobody can know a sample's age: it was written just before a step, and seen after it; or who knew
        it was not there."""
        written = time.monotonic() - age
        near = (-5 * self._pace.tick <= written - at <= DATED_SECONDS for at in self._suite.stepped_at)
        return written <= self._suite.samples.undated_until or any(near)

    def _behind(self, expected: Mapping[str, Version]) -> str | None:
        for holder in self._crowd.holders:
            problem = holder.problem()
            if problem is not None:
                self._connected_at = time.monotonic()
                return f"{holder.name}: {problem}"
            held = holder.versions()
            for symbol, version in expected.items():
                if holder.wants(symbol) and not (symbol in held and held[symbol] >= version):
                    return f"{holder.name} holds {held.get(symbol)} of {symbol}, Redis {version}"
            for symbol in held:
                if symbol not in expected and symbol not in self.truth.courses:
                    return f"{holder.name} holds {symbol}, which Redis does not"
            ticking = next(symbol for symbol in self._symbols if holder.wants(symbol))
            if holder.judges and not holder.live(ticking):
                return f"{holder.name} does not call {ticking} live"
        return None

    def _ahead(self) -> str | None:
        """Nobody holds what Redis does not: the same version is the same bytes."""
        for holder in self._crowd.holders:
            for symbol, version in holder.versions().items():
                course = self.truth.courses.get(symbol)
                if course is None or course.state is None or course.version != version:
                    continue
                payload = holder.payload(symbol)
                if payload and payload != course.state.update(symbol):
                    return f"{holder.name} holds other bytes of {symbol} {version} than Redis"
        return None

    async def _feed(self) -> None:
        """The foreign feed: a snapshot of one symbol now and then, with the lifetime that all have."""
        rng = random.Random(f"{self._seed} feed")
        price = dict.fromkeys(FOREIGN, 100.0)
        while True:
            await asyncio.sleep(rng.uniform(0.5, 8) * self._pace.tick)
            symbol = rng.choice(FOREIGN)
            price[symbol] *= 1 + rng.uniform(-0.01, 0.01)
            with suppress(RedisError, TimeoutError):
                if symbol not in self._suite.quiet:
                    await self._suite.write(symbol, price[symbol])

    async def _judge(self) -> None:
        """Nobody may call a state live that is old, or that Redis has long replaced."""
        pace, thresholds = self._pace, self._pace.thresholds
        pause = pace.tick
        while True:
            self._suspected, self._suspects = self._suspects, set()
            began = time.monotonic()
            await asyncio.sleep(pause)
            late = time.monotonic() - began - pause
            if late > NOISE_SECONDS / 4:
                continue  # we were not served ourselves: what came is not read yet
            now = time.monotonic()
            oldest = thresholds.stale + thresholds.silent + NOISE_SECONDS / 2 + late
            replaced = pace.deaf + thresholds.silent + NOISE_SECONDS + late
            for holder in self._crowd.holders:
                for symbol, version in holder.versions().items():
                    if not holder.live(symbol):
                        continue
                    self.judgements += 1
                    age = self._age(symbol, holder.sampled(symbol))
                    if age is not None and age > oldest + self._suite.samples.unseen(age, now):
                        self._stale(holder, symbol, f"is {age:.2f} s old")
                    course = self.truth.courses.get(symbol)
                    since = None if course is None else course.superseded_at(version)
                    if since is not None and now - since > replaced:
                        self._stale(holder, symbol, f"{version} was replaced {now - since:.2f} s ago")

    def _stale(self, holder: Held, symbol: str, why: str) -> None:
        """Once a fault. A server that slept says old things as it wakes, and the next moment that they are: who looks
        at no timestamps may believe it for one look, and not for two."""
        self._suspects.add((holder.name, symbol))
        if holder.trusts_words and (holder.name, symbol) not in self._suspected:
            return
        if (holder.name, symbol) not in self._stale_ones:
            self._stale_ones.add((holder.name, symbol))
            self._violations.add("stale_as_fresh", f"{holder.name} calls {symbol} live, which {why}")

    async def _measure(self, *, remember: bool) -> None:
        """Memory and tasks of each process, against what they were at the beginning."""
        for member in self._suite.members.values():
            resident = member.resident()
            with suppress(httpx.HTTPError, TimeoutError, AssertionError):
                async with asyncio.timeout(5):
                    await self._compare(member, resident, await member.tasks(), remember=remember)

    async def _compare(self, member: Member, resident: int | None, tasks: int | None, *, remember: bool) -> None:
        if resident is None or tasks is None:
            return
        if remember:
            self._memory[member.name], self._tasks[member.name] = resident, tasks
            return
        if resident > self._memory[member.name] + MOST_GROWTH:
            self._violations.add(
                "memory", f"{member.name}: {resident >> 20} MiB, {self._memory[member.name] >> 20} at the beginning"
            )
        if tasks > self._tasks[member.name] + MOST_TASKS:
            self._violations.add("tasks", f"{member.name}: {tasks}, {self._tasks[member.name]} at the beginning")


__all__ = ["Course", "Crowd", "Violations", "crowd"]
