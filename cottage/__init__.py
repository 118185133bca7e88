"""The library of Curiosity Cottage: the market's physics state from Python, with how far it may be trusted.

    from cottage import PhysicsReader, StateClient

`PhysicsReader` reads Redis, `StateClient` follows a broadcaster over a WebSocket. What is named here is imported when
it is first used: a program that only follows a WebSocket loads no Redis client.
"""

TYPE_CHECKING = False  # type checkers take it for true; `typing` costs more than all else that a command needs first
if TYPE_CHECKING:
    # `as` makes them names of this module, to a type checker too.
    from cottage.client.state_client import ClientClosed as ClientClosed
    from cottage.client.state_client import ClientRefused as ClientRefused
    from cottage.client.state_client import ClientUnauthorized as ClientUnauthorized
    from cottage.client.state_client import StateClient as StateClient
    from cottage.consumer import ChannelConsumer as ChannelConsumer
    from cottage.consumer import ChannelHandler as ChannelHandler
    from cottage.errors import ApiForbidden as ApiForbidden
    from cottage.errors import ApiRefused as ApiRefused
    from cottage.errors import ApiUnauthorized as ApiUnauthorized
    from cottage.errors import ApiUnavailable as ApiUnavailable
    from cottage.errors import CottageError as CottageError
    from cottage.errors import InvalidMessage as InvalidMessage
    from cottage.errors import InvalidName as InvalidName
    from cottage.errors import LeaseLost as LeaseLost
    from cottage.errors import MissingExtra as MissingExtra
    from cottage.errors import NoSuchState as NoSuchState
    from cottage.errors import RedisError as RedisError
    from cottage.errors import RedisFull as RedisFull
    from cottage.errors import RedisRefused as RedisRefused
    from cottage.errors import RedisUnavailable as RedisUnavailable
    from cottage.errors import SettingsError as SettingsError
    from cottage.errors import SourceError as SourceError
    from cottage.errors import StateUnavailable as StateUnavailable
    from cottage.errors import UnusableSource as UnusableSource
    from cottage.events import Event as Event
    from cottage.freshness import Freshness as Freshness
    from cottage.freshness import Thresholds as Thresholds
    from cottage.keys import symbol_of as symbol_of
    from cottage.lease import Lease as Lease
    from cottage.messages import Heartbeat as Heartbeat
    from cottage.messages import PhysicsUpdate as PhysicsUpdate
    from cottage.messages import TradeSignal as TradeSignal
    from cottage.reader.physics_reader import BlockingPhysicsReader as BlockingPhysicsReader
    from cottage.reader.physics_reader import PhysicsReader as PhysicsReader
    from cottage.reader.reading import Reading as Reading
    from cottage.reader.reading import Readings as Readings
    from cottage.record.answer_table import AnswerTable as AnswerTable
    from cottage.record.questions import changes as changes
    from cottage.record.questions import gaps as gaps
    from cottage.record.questions import history as history
    from cottage.redis import connect as connect
    from cottage.redis import connect_blocking as connect_blocking
    from cottage.redis import subscribe as subscribe
    from cottage.snapshot import MarketSnapshot as MarketSnapshot
    from cottage.state import FAIL_SAFE as FAIL_SAFE
    from cottage.state import PhysicsState as PhysicsState
    from cottage.store import AgentStates as AgentStates
    from cottage.store import MarketFeeds as MarketFeeds
    from cottage.store import MarketSnapshots as MarketSnapshots
    from cottage.store import PhysicsStates as PhysicsStates
    from cottage.store import StrategyLeaderboard as StrategyLeaderboard
    from cottage.store import TaskQueue as TaskQueue
    from cottage.token_file import TokenFile as TokenFile
    from cottage.version import Version as Version

__version__ = "0.1.0"

_HOME = {
    "cottage.client.state_client": "ClientClosed ClientRefused ClientUnauthorized StateClient",
    "cottage.consumer": "ChannelConsumer ChannelHandler",
    "cottage.errors": "ApiForbidden ApiRefused ApiUnauthorized ApiUnavailable CottageError InvalidMessage "
    "InvalidName LeaseLost MissingExtra "
    "NoSuchState RedisError RedisFull RedisRefused RedisUnavailable SettingsError SourceError StateUnavailable "
    "UnusableSource",
    "cottage.events": "Event",
    "cottage.freshness": "Freshness Thresholds",
    "cottage.keys": "symbol_of",
    "cottage.lease": "Lease",
    "cottage.messages": "Heartbeat PhysicsUpdate TradeSignal",
    "cottage.reader.physics_reader": "BlockingPhysicsReader PhysicsReader",
    "cottage.reader.reading": "Reading Readings",
    "cottage.record.answer_table": "AnswerTable",
    "cottage.record.questions": "changes gaps history",
    "cottage.redis": "connect connect_blocking subscribe",
    "cottage.snapshot": "MarketSnapshot",
    "cottage.state": "FAIL_SAFE PhysicsState",
    "cottage.store": "AgentStates MarketFeeds MarketSnapshots PhysicsStates StrategyLeaderboard TaskQueue",
    "cottage.token_file": "TokenFile",
    "cottage.version": "Version",
}
_MODULES = {name: module for module, names in _HOME.items() for name in names.split()}

__all__ = list(_MODULES)
__all__ += ["__version__"]


def __getattr__(name: str) -> object:
    import importlib

    if name not in _MODULES:
        raise AttributeError(f"module 'cottage' has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(_MODULES[name]), name)
    return value
