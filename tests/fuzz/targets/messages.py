"""Messages of Redis's channels: whoever may PUBLISH can send anything."""

import random
from collections.abc import Callable, Iterable

from tests.fuzz.mutation import of_json
from tests.fuzz.target import Run, Target, Unnamed

NOW = 1_795_694_400.0
"""2026-11-26T12:00:00Z"""


def _prepare() -> Run:
    from cottage.errors import InvalidMessage
    from cottage.lock_step import Mark, Taken
    from cottage.messages import PhysicsUpdate, parse_state_update, parse_trade_signal
    from services.recorder.confirmation import symbol_of_update

    parsers: tuple[Callable[[bytes], object], ...] = (
        lambda payload: parse_state_update(payload, NOW),
        lambda payload: parse_state_update(payload, None, 3),
        parse_trade_signal,
        Mark.from_bytes,
        Taken.from_bytes,
    )

    def run(data: bytes) -> str:
        outcome = ""
        for parse in parsers:
            try:
                parsed = parse(data)
            except InvalidMessage as error:
                if not error.reason.isidentifier() or len(error.reason) > 20:
                    raise Unnamed(f"{error.reason!r}: {error}") from error
                outcome = outcome or error.reason
            else:
                outcome = "taken"
                if isinstance(parsed, PhysicsUpdate) and parsed.payload != data:
                    raise Unnamed("other bytes than were published")
        symbol_of_update(data)
        return outcome

    return run


def _seeds() -> Iterable[bytes]:
    from cottage.lock_step import Mark, Taken
    from cottage.messages import Heartbeat, TradeSignal, agent_update, feed_refusals
    from cottage.state import PhysicsState, TakenSample
    from cottage.version import Version

    time = "2026-11-26T11:59:58.123Z"
    state = PhysicsState(0.5, -0.3, 0.5, 0.7, 0.1, "Gaussian", 3.5)
    yield state.update("SPY")
    taken = (TakenSample(100.5, time, 5, 2, 100.4, 100.6, time, time, "open", ("jump",), True),)
    yield PhysicsState(
        *(0.5, -0.3, 0.5, 0.7, 0.1, "Critical", 1.5, 1.2, 1.9, 100.5, 1000, 900, "live", 5e6, 3e4, 100.4, 100.6),
        received=time, tick=0.01, interval=60.0, session="open", grid=0.01, votes=3,
        regime_since=time, event_time=time, step=1.0, holes=2, snapped=4, timestamp=time,
        feed_time=time, lag_ms=1500, notes=("jump",), void=("mass",), native="spy.N",
        said=("auction",), lost=True, taken=taken, feed="MKT-1",
        version=Version(1_795_694_300_000, 17), prev=Version(1_795_694_300_000, 16), written=1_795_694_399_000_000,
    ).update("BTC-USD", 3)  # fmt: skip
    yield Heartbeat(Version(1_795_694_300_000, 17), NOW, "0/1", 5, 3, 17, 1000, 2).to_bytes(time)
    yield agent_update("agent_1", time, {"mood": "calm", "list": [1, 2, {"a": None}]}).payload
    yield feed_refusals("0/1", time, {"feeds": []}).payload
    yield TradeSignal("SPY", time, "s-1", "BUY", 0.9, "momentum").to_bytes()
    yield Mark("REPLAY", 4711, ("ES", "NQ"), "saved-1764162000000000-0-of-1").to_bytes(3)
    yield Taken("REPLAY", 4711, "0/1").to_bytes()


def mutate(data: bytes, source: random.Random) -> bytes:
    return of_json(data, source)


TARGET = Target(
    name="messages",
    about="the channels state_update, trade_signals, market:mark and market:mark:taken",
    prepare=_prepare,
    seeds=_seeds,
    covered=("cottage",),
    words=tuple(
        b'"%b"' % word.encode()
        for word in (
            "event",
            "symbol",
            "epoch",
            "seq",
            "data",
            "PHYSICS_UPDATE",
            "HEARTBEAT",
            "AGENT_UPDATE",
            "FEED_REFUSALS",
            "TRADE_SIGNAL",
            "taken",
            "notes",
            "prev",
            "skipped",
            "db",
        )
    ),
    mutate=mutate,
    longest=80 * 1024,
)
