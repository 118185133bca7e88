"""The library of Curiosity Cottage: the market's physics state from Python, with how far it may be trusted.

    from cottage import PhysicsReader, StateClient

`PhysicsReader` reads Redis, `StateClient` follows a broadcaster over a WebSocket. What is named here is imported when
it is first used: a program that only follows a WebSocket loads no Redis client.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cottage.client.state_client import ClientRefused, StateClient
    from cottage.consumer import ChannelConsumer, ChannelHandler
    from cottage.errors import (
        CottageError,
        InvalidMessage,
        InvalidName,
        LeaseLost,
        MissingExtra,
        RedisError,
        RedisFull,
        RedisRefused,
        RedisUnavailable,
        SettingsError,
        SourceError,
        StateUnavailable,
    )
    from cottage.events import Event
    from cottage.freshness import Freshness, Thresholds
    from cottage.lease import Lease
    from cottage.messages import Heartbeat, PhysicsUpdate, TradeSignal
    from cottage.reader.physics_reader import BlockingPhysicsReader, PhysicsReader
    from cottage.reader.reading import Reading, Readings
    from cottage.redis import connect, connect_blocking, subscribe
    from cottage.snapshot import MarketSnapshot
    from cottage.state import FAIL_SAFE, PhysicsState
    from cottage.store import AgentStates, MarketFeeds, MarketSnapshots, PhysicsStates, StrategyLeaderboard, TaskQueue
    from cottage.version import Version

__version__ = "0.1.0"

_HOME = {
    "cottage.client.state_client": "ClientRefused StateClient",
    "cottage.consumer": "ChannelConsumer ChannelHandler",
    "cottage.errors": "CottageError InvalidMessage InvalidName LeaseLost MissingExtra RedisError RedisFull "
    "RedisRefused RedisUnavailable SettingsError SourceError StateUnavailable",
    "cottage.events": "Event",
    "cottage.freshness": "Freshness Thresholds",
    "cottage.lease": "Lease",
    "cottage.messages": "Heartbeat PhysicsUpdate TradeSignal",
    "cottage.reader.physics_reader": "BlockingPhysicsReader PhysicsReader",
    "cottage.reader.reading": "Reading Readings",
    "cottage.redis": "connect connect_blocking subscribe",
    "cottage.snapshot": "MarketSnapshot",
    "cottage.state": "FAIL_SAFE PhysicsState",
    "cottage.store": "AgentStates MarketFeeds MarketSnapshots PhysicsStates StrategyLeaderboard TaskQueue",
    "cottage.version": "Version",
}
_MODULES = {name: module for module, names in _HOME.items() for name in names.split()}

__all__ = [
    "FAIL_SAFE",
    "AgentStates",
    "BlockingPhysicsReader",
    "ChannelConsumer",
    "ChannelHandler",
    "ClientRefused",
    "CottageError",
    "Event",
    "Freshness",
    "Heartbeat",
    "InvalidMessage",
    "InvalidName",
    "Lease",
    "LeaseLost",
    "MarketFeeds",
    "MarketSnapshot",
    "MarketSnapshots",
    "MissingExtra",
    "PhysicsReader",
    "PhysicsState",
    "PhysicsStates",
    "PhysicsUpdate",
    "Reading",
    "Readings",
    "RedisError",
    "RedisFull",
    "RedisRefused",
    "RedisUnavailable",
    "SettingsError",
    "SourceError",
    "StateClient",
    "StateUnavailable",
    "StrategyLeaderboard",
    "TaskQueue",
    "Thresholds",
    "TradeSignal",
    "Version",
    "__version__",
    "connect",
    "connect_blocking",
    "subscribe",
]


def __getattr__(name: str) -> Any:
    import importlib

    if name not in _MODULES:
        raise AttributeError(f"module 'cottage' has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(_MODULES[name]), name)
    return value
