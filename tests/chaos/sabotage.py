"""`python -m tests.chaos.sabotage WHAT MODULE …`: a process of the suite with one promise taken out of it.

The harness must notice each: else it proves nothing.
"""

import importlib
import sys
from collections.abc import Callable, Iterable
from typing import Any


def no_healing() -> None:
    """The bridge trusts the channel alone, once it has a symbol."""
    from cottage.redis import Client
    from services.bridge.reconciler import Reconciler

    honest = Reconciler._look

    async def look(self: Reconciler, client: Client, symbols: Iterable[str]) -> set[str]:
        return await honest(self, client, [symbol for symbol in symbols if symbol not in self._held])

    Reconciler._look = look  # type: ignore[method-assign]
    messages_believed()


def newer_or_equal() -> None:
    """A version that is held already is taken again."""
    from common.fanout.last_value_cache import Entry, LastValueCache

    def offer(self: Any, symbol: str, version: Any, payload: bytes) -> bool:
        current = self._entries.get(symbol)
        if current is not None and current.version is not None and (version is None or version < current.version):
            return False
        self._entries[symbol] = Entry(version, payload)
        return True

    LastValueCache.offer = offer  # type: ignore[method-assign]


def lease_ignored() -> None:
    """Whoever had the lease once goes on writing."""
    from cottage import lease

    fence = "if held ~= ARGV[1] then"
    assert fence in lease.FENCE
    lease.FENCE = lease.FENCE.replace(fence, "if false then")


def removed_never_sent() -> None:
    """What is gone from Redis stays with the clients."""
    from common.fanout.hub import Hub

    Hub.remove = lambda self, symbol: None  # type: ignore[method-assign]


def always_live() -> None:
    """The bridge says that all is well."""
    from cottage.freshness import Freshness
    from services.bridge.freshness_monitor import FreshnessMonitor
    from services.bridge.liveness import WriterLiveness

    WriterLiveness.upstream = lambda self, now: Freshness("live", None, 0.0)  # type: ignore[method-assign]
    FreshnessMonitor.publish = lambda self, hub: None  # type: ignore[method-assign]


def floors_off() -> None:
    """A sample is as old as its timestamp says, whatever is known of it."""
    from cottage.clock import RemoteClock
    from cottage.sample_age import SampleAge

    def age(self: SampleAge, clock: RemoteClock, now: float) -> float | None:
        redis_now = clock.now(now)
        return None if redis_now is None else max(0.0, redis_now - self.timestamp)

    SampleAge.age = age  # type: ignore[method-assign]


def messages_set_clocks() -> None:
    """Whatever time a message tells is taken for now, however long it lay in a queue."""
    from cottage.clock import RemoteClock

    def heard(self: RemoteClock, time: float, now: float) -> bool:
        self._set(time - now, time - now, now, asked=False)
        return False

    RemoteClock.heard = heard  # type: ignore[method-assign]


def outlived_never_found() -> None:
    """A lease is held for as long as Redis keeps it."""
    from cottage.expiry import OutlivingKeys

    OutlivingKeys.dead = lambda self, looks, now: frozenset()  # type: ignore[method-assign]


def databases_mixed_up() -> None:
    """What was published from another database counts like one's own."""
    from cottage import fields

    fields.check_database = lambda *_: None


def never_in_doubt() -> None:
    """Who stood still goes on as if nothing had been."""
    from cottage.client.server_watch import ServerWatch

    ServerWatch.doubt = lambda self, missed=0.0: None  # type: ignore[method-assign]


def steps_ignored() -> None:
    """Feynman leaves its states as they are when Redis's clock is set."""
    from services.feynman.symbol_table import SymbolTable

    SymbolTable.clock_stepped = lambda self, step, redis_now, now: None  # type: ignore[method-assign]


def messages_believed() -> None:
    """The bridge takes a message's word for its version."""
    from services.bridge.leases import LivingLeases

    LivingLeases.believes = lambda self, symbol, version: True  # type: ignore[method-assign]


def any_epoch() -> None:
    """No epoch is too far ahead to count."""
    from cottage import version

    version.FARTHEST_AHEAD_SECONDS = 2.0**53


def nobody_owns() -> None:
    """A feed writes whatever symbol it likes."""
    from cottage import store

    refused = "not mine and refusal(key, found, seen)"
    assert refused in store.WRITE_SNAPSHOTS
    store.WRITE_SNAPSHOTS = store.WRITE_SNAPSHOTS.replace(refused, "nil")


def gaps_hidden() -> None:
    """The recorder does not say what it missed."""
    from services.recorder.keeper import Keeper

    Keeper._note_gaps = lambda self, symbol, confirmed, held, rows: None  # type: ignore[method-assign]


def rows_dropped() -> None:
    """Of the recorder's versions each tenth is lost without a word."""
    from services.recorder.keeper import Keeper

    honest = Keeper.keep

    def keep(self: Keeper, *arguments: Any, **options: Any) -> bool:
        kept, before = honest(self, *arguments, **options), len(self._samples)
        if arguments[1].version.seq % 10 == 5 and before:
            del self._samples[-1]
        return kept

    Keeper.keep = keep  # type: ignore[method-assign]


def rows_doubled() -> None:
    """Each tenth is recorded twice."""
    from services.recorder.keeper import Keeper

    honest = Keeper.keep

    def keep(self: Keeper, *arguments: Any, **options: Any) -> bool:
        kept = honest(self, *arguments, **options)
        if arguments[1].version.seq % 10 == 5:
            self._samples += self._samples[-1:]
        return kept

    Keeper.keep = keep  # type: ignore[method-assign]


SABOTAGES: dict[str, Callable[[], None]] = {
    function.__name__: function
    for function in (
        *(no_healing, newer_or_equal, lease_ignored, removed_never_sent, always_live),
        *(floors_off, messages_set_clocks, never_in_doubt, steps_ignored, outlived_never_found),
        *(databases_mixed_up, messages_believed, any_epoch, nobody_owns),
        *(gaps_hidden, rows_dropped, rows_doubled),
    )
}


def main() -> None:
    what, *sys.argv = sys.argv[1:]
    SABOTAGES[what]()
    importlib.import_module(sys.argv[0]).main()


if __name__ == "__main__":
    main()
