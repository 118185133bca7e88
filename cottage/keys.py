"""The names of all keys and channels in Redis, with the lifetimes of keys. No other module spells one.

A name is checked before it becomes part of a key, so no command is ever sent with a bad one.
"""

import re
import zlib
from functools import lru_cache

from cottage.errors import InvalidName

STATE_UPDATE = "state_update"
TRADE_SIGNALS = "trade_signals"
TASK_QUEUE = "queue:tasks"
STRATEGY_LEADERBOARD = "leaderboard:strategies"

PHYSICS_STATE = "physics:state:"
PHYSICS_WRITER = "physics:writer:"
PHYSICS_RETIRE = "physics:retire"  # a list of symbols that feynman is asked to forget
PHYSICS_RETIRED = "physics:retired"  # a sorted set of those that it has forgotten, by when
MARKET_SNAPSHOT = "market:snapshot:"
MARKET_FEED = "market:feed:"
AGENT_STATE = "agent:state:"

SNAPSHOT_TTL_SECONDS = 60  # a snapshot that is not written again expires
FEED_TTL_SECONDS = 5  # a feed renews it every second; gone after five missed
RETIRED_TTL_SECONDS = 86_400  # longer than any process or checkpoint remembers a symbol without a snapshot
MOST_RETIRED = 100_000  # the last so many are remembered
AGENT_STATE_TTL_SECONDS = 3600  # an agent's memory goes an hour after its last write

MOST_SHARDS = 999

_SYMBOLS = 2**14
"""The keys of so many symbols are held, more than feynman has places for by default. It uses all at each tick."""

_SYMBOL = re.compile(r"[A-Z0-9][A-Z0-9._-]{0,23}")
_AGENT_ID = re.compile(r"[a-z][a-z0-9_]{0,47}")
_SHARD = re.compile(r"(0|[1-9][0-9]{0,2})/([1-9][0-9]{0,2})")


def is_symbol(text: object) -> bool:
    return isinstance(text, str) and _SYMBOL.fullmatch(text) is not None


def symbol(text: object) -> str:
    """`text` itself if it may be a symbol; InvalidName otherwise."""
    if not isinstance(text, str) or _SYMBOL.fullmatch(text) is None:
        raise InvalidName(f"bad symbol {_shown(text)}: 1 to 24 of A-Z 0-9 . _ - and it starts with a letter or digit")
    return text


def agent_id(text: object) -> str:
    """`text` itself if it may be an agent's id; InvalidName otherwise."""
    if not isinstance(text, str) or _AGENT_ID.fullmatch(text) is None:
        raise InvalidName(f"bad agent id {_shown(text)}: 1 to 48 of a-z 0-9 _ and it starts with a letter")
    return text


def shard(text: str) -> tuple[int, int]:
    """(i, n) of "i/n", one of n shards counted from 0; InvalidName otherwise."""
    match = _SHARD.fullmatch(text)
    if match is None or int(match[1]) >= int(match[2]):
        raise InvalidName(f"bad shard {_shown(text)}: i/n with i from 0 to n-1, such as 0/1")
    return int(match[1]), int(match[2])


def shard_index(name: str, shards: int) -> int:
    """Which of so many shards a symbol belongs to, counted from 0; the same in every process and version."""
    return zlib.crc32(name.encode()) % shards if shards > 1 else 0


def in_shard(name: str, index: int, shards: int) -> bool:
    """Whether a symbol is the `index`-th shard's."""
    return shard_index(name, shards) == index


@lru_cache(_SYMBOLS)
def physics_state(name: str) -> str:
    return PHYSICS_STATE + symbol(name)


def physics_writer(shard_index: int) -> str:
    return f"{PHYSICS_WRITER}{shard_index}"


@lru_cache(_SYMBOLS)
def market_snapshot(name: str) -> str:
    return MARKET_SNAPSHOT + symbol(name)


def market_feed(feed_id: str) -> str:
    return MARKET_FEED + symbol(feed_id)  # a feed's id is an identifier like a symbol


def agent_state(name: str) -> str:
    return AGENT_STATE + agent_id(name)


def _shown(text: object) -> str:
    """At most 40 characters of it, printable: what a hostile client sent may end up in a log."""
    if not isinstance(text, str):
        return f"of type {type(text).__name__}"  # the repr of a list nested a thousand deep is a RecursionError
    shown = repr(text[:40])
    return shown if len(shown) <= 40 else shown[:37] + "..."
