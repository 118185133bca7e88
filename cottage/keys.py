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
MARKET_MARK = "market:mark"  # a channel: what a feed that runs in lock-step has written (cottage/lock_step.py)
MARKET_MARK_TAKEN = "market:mark:taken"  # a channel: a writer has ticked on that

PHYSICS_STATE = "physics:state:"
PHYSICS_WRITER = "physics:writer:"
PHYSICS_RETIRE = "physics:retire"  # a list of symbols that feynman is asked to forget
PHYSICS_RETIRED = "physics:retired"  # a sorted set of those that it has forgotten, by when
MARKET_SNAPSHOT = "market:snapshot:"
MARKET_FILL = "market:fill:"
MARKET_WARM = "market:warm:"
MARKET_FEED = "market:feed:"
AGENT_STATE = "agent:state:"

SNAPSHOT_TTL_SECONDS = 60  # a snapshot that is not written again expires
FILL_TTL_SECONDS = 60  # samples that a snapshot alone does not hand over; who missed them for so long has a hole
WARM_TTL_SECONDS = 60  # samples from the record; who has not taken them by then is asked again, or wants none
FEED_TTL_SECONDS = 5  # a feed renews it every second; gone after five missed
RETIRED_TTL_SECONDS = 86_400  # longer than any process or checkpoint remembers a symbol without a snapshot
MOST_RETIRED = 100_000  # the last so many are remembered
AGENT_STATE_TTL_SECONDS = 3600  # an agent's memory goes an hour after its last write

MOST_SHARDS = 999

_SYMBOLS = 2**14
"""The keys of so many symbols are held, more than feynman has places for by default. It uses all at each tick."""

LONGEST_SYMBOL = 32
SYMBOL_PATTERN = rf"[A-Z0-9][A-Z0-9._-]{{0,{LONGEST_SYMBOL - 1}}}"
SYMBOL_RULE = f"1 to {LONGEST_SYMBOL} of A-Z 0-9 . _ - and first a letter or digit"
LONGEST_NATIVE = 64
"""Characters of a symbol as its venue spells it."""

_SYMBOL = re.compile(SYMBOL_PATTERN)
_AGENT_ID = re.compile(r"[a-z][a-z0-9_]{0,47}")
_SHARD = re.compile(r"(0|[1-9][0-9]{0,2})/([1-9][0-9]{0,2})")


def is_symbol(text: object) -> bool:
    return isinstance(text, str) and _SYMBOL.fullmatch(text) is not None


def symbol(text: object) -> str:
    """`text` itself if it may be a symbol; InvalidName otherwise, which says what `symbol_of` makes of it."""
    if not isinstance(text, str) or _SYMBOL.fullmatch(text) is None:
        raise InvalidName(f"bad symbol {_shown(text)}: {SYMBOL_RULE}{_instead(text)}")
    return text


def symbol_of(native: str) -> str:
    """The symbol for a name as its venue spells it. Every feed of the suite uses it, and so should any other feed.

    =====================================  =====================  ====================================================
    in the native name                     becomes                such as
    =====================================  =====================  ====================================================
    a symbol                               itself                 `BRK.B`, `BTC-PERP`, `7203.T`
    blanks around it                       nothing
    `a` to `z`                             capitals               `brk.b` is `BRK.B`
    `/`                                    `-`                    `BTC/USD` is `BTC-USD`
    `:`, `=`, or blanks, however many      `_`                    `BTC/USDT:USDT` is `BTC-USDT_USDT`, `ES=F` is `ES_F`
    `^` in front, which marks an index     `I_`                   `^GSPC` is `I_GSPC`
    any other character                    `_` and its code       `M&M.NS` is `M_26M.NS`, `ES1!` is `ES1_21`
    what then begins with `.`, `-` or `_`  `X` in front           `.SPX` is `X.SPX`, `/ES` is `X-ES`
    what is then longer than 32            its beginning          23 characters, `_`, and the CRC-32 of the name
    =====================================  =====================  ====================================================

    The code of a character and the CRC are hexadecimal, the latter that of the name in UTF-8. The same name gives the
    same symbol in every process and version. Two names may give the same one, such as `BRK/B` and `BRK-B`: whoever
    writes snapshots refuses the second of them by name. Raises InvalidName for what is empty, longer than 64
    characters, or not printable.
    """
    name = native.strip() if isinstance(native, str) else ""
    if _SYMBOL.fullmatch(name):
        return name
    if not (0 < len(name) <= LONGEST_NATIVE and name.isprintable()):
        raise InvalidName(f"bad native symbol {_shown(native)}: 1 to {LONGEST_NATIVE} printable characters")
    return _made_of(name)


@lru_cache(_SYMBOLS)
def _made_of(name: str) -> str:
    made = ("I_" + name[1:] if name.startswith("^") else name).translate(_NATIVE_CHARACTERS)
    made = re.sub(r" +", "_", made)
    made = made if made[0].isalnum() else "X" + made
    if len(made) > LONGEST_SYMBOL:
        made = f"{made[: LONGEST_SYMBOL - 9]}_{zlib.crc32(name.encode()):08X}"
    return made


class _NativeCharacters(dict[int, str]):
    """What `symbol_of` makes of each character, for str.translate."""

    def __missing__(self, code: int) -> str:
        return f"_{code:X}"


_NATIVE_CHARACTERS = _NativeCharacters(
    {ord(each): each.upper() for each in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._- "}
    | {ord("/"): "-", ord(":"): "_", ord("="): "_"}
)


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


@lru_cache(_SYMBOLS)
def market_fill(name: str) -> str:
    return MARKET_FILL + symbol(name)


@lru_cache(_SYMBOLS)
def market_warm(name: str) -> str:
    return MARKET_WARM + symbol(name)


def market_feed(feed_id: str) -> str:
    return MARKET_FEED + symbol(feed_id)  # a feed's id is an identifier like a symbol


def agent_state(name: str) -> str:
    return AGENT_STATE + agent_id(name)


def _instead(text: object) -> str:
    """What may be used instead of this as a symbol, for the end of an error message."""
    try:
        return f"; use {symbol_of(text)}" if isinstance(text, str) else ""
    except InvalidName:
        return ""


def _shown(text: object) -> str:
    """At most 40 characters of it, printable: what a hostile client sent may end up in a log."""
    if not isinstance(text, str):
        return f"of type {type(text).__name__}"  # the repr of a list nested a thousand deep is a RecursionError
    shown = repr(text[:40])
    return shown if len(shown) <= 40 else shown[:37] + "..."
