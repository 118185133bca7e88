"""Which messages of the channel are true: those that Redis bears out. Pure.

Anybody can publish, so a message waits until a look at the stored states confirms it. A script of feynman's stores a
state and publishes its message as one, and messages come in order. So where the message of a stored version has come,
which bears the microsecond at which Redis wrote it, all true ones before it have; and each version says by `prev`
which one it replaced. What is on this way back from a stored state is true. What is not, though it came before Redis
was asked, Redis does not bear out. What a stored version says is taken from the state itself.

A version on this way that is stored no more is known by its only message, and that proves it where the true message
has come for certain, since a forged one would be the second. That is so above the symbol's anchor: the version that
was stored when the symbol was first looked at since messages have come without a break. What is below is missed.
"""

import re
from collections.abc import Collection, Iterable
from functools import lru_cache
from typing import Any, NamedTuple

from cottage import fields, keys
from cottage.errors import InvalidMessage
from cottage.messages import MAX_BYTES
from cottage.record.state_rows import said_by_stored, said_by_update
from cottage.version import Version, check_epoch
from services.recorder import metrics

MOST_WAITING_BYTES = 72 * 1024**2
"""Messages that wait for the next look; what comes beyond that is missed."""
MOST_DOUBTED = 20_000
_NOTHING = Version(-1, 0)
"""Below all versions: the anchor of a symbol that had no state."""
_UNKNOWN = Version(2**64, 0)
"""Above all versions: the anchor of a symbol that was not looked at."""
_OVERHEAD = 600
"""What a message takes beside its bytes."""

_HEAD = re.compile(rb'\{"event":"PHYSICS_UPDATE","symbol":"([^"\\]*)"')
_ENDING = 160
_END_BEGINS = b',"epoch":'
_END = re.compile(
    rb',"epoch":(\d{1,16}),"seq":(\d{1,16})(?:,"db":(\d{1,9}))?'
    rb',"prev":(?:null|\[(\d{1,16}),(\d{1,16})\]),"written":(\d{1,19})\}\Z'
)


class _End(NamedTuple):
    """What the end of a message or of a stored state says."""

    database: int
    version: Version
    prev: Version | None
    written: int


class Stamped(NamedTuple):
    """A message or a stored state, and what its end says."""

    version: Version
    prev: Version | None
    written: int | None
    """When Redis wrote it; None where its writer does not say so, as only feynman does."""
    payload: bytes
    look: int = 0
    """A message's: which look comes next when it came."""


class Confirmed(NamedTuple):
    """A version that Redis has shown."""

    version: Version
    prev: Version | None
    said: dict[str, Any]
    """For cottage.record.state_rows."""
    stamped: bool
    """Whether it says what it replaced; only feynman's states do."""
    healed: bool
    """Whether it is from the stored state, since its message did not come."""
    contradicted: bool = False
    """Whether of the version that it replaced several messages came, of which nobody can tell the true one."""


def symbol_of_update(payload: bytes) -> str | None:
    """The symbol of a PHYSICS_UPDATE; None for any other message, and for one that is too large to be true."""
    head = _HEAD.match(payload)
    if head is None or len(payload) > MAX_BYTES:
        return None
    symbol = head[1].decode(errors="replace")
    return symbol if keys.is_symbol(symbol) else None


def _end_of(payload: bytes) -> _End | None:
    """None where it does not say at its very end when Redis wrote it."""
    begins = payload.rfind(_END_BEGINS, max(0, len(payload) - _ENDING))
    return None if begins < 0 else _end(payload[begins:])


@lru_cache(4096)  # one script writes many symbols, all with the same end
def _end(text: bytes) -> _End | None:
    found = _END.match(text)
    if found is None:
        return None
    epoch, seq, database, prev_epoch, prev_seq, written = found.groups()
    prev = None if prev_epoch is None else Version(int(prev_epoch), int(prev_seq))
    return _End(int(database or 0), Version(int(epoch), int(seq)), prev, int(written))


class Confirmation:
    """The messages that Redis has not borne out yet, and the stored states whose messages may be on their way."""

    def __init__(self, most_bytes: int = MOST_WAITING_BYTES) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        self._messages: dict[str, dict[Version, list[Stamped]]] = {}
        """By symbol and version; more than one of a version where they say different things."""
        self._shown: dict[str, Stamped] = {}
        """Stored states without their messages, at the last look."""
        self.look = 0
        """The number of looks that have begun."""
        self._anchors: dict[str, Version] = {}
        """The version that was stored at a look since which all messages of the symbol have come: the lowest, for
        somebody may go on below."""
        self._others = _UNKNOWN
        """The anchor of all other symbols."""
        self._refused: set[str] = set()
        """Symbols of which there was no room for a message since the last look began."""
        self._doubted: set[str] = set()
        """Symbols of which somebody said something that proves nothing."""
        self.unborne = 0
        """Messages that Redis did not bear out."""

    @property
    def symbols(self) -> Collection[str]:
        """Of which something waits for a look."""
        return self._messages.keys() | self._shown.keys() | self._doubted | self._refused

    def begin_look(self) -> None:
        """Redis is asked for states from now on."""
        self.look += 1
        self._doubted.clear()
        self._refused.clear()

    def looked_at_all(self) -> None:
        """All states that there were at the last look are settled: the other symbols had none."""
        self._others = _NOTHING

    def interrupted(self) -> None:
        """Messages are missed, the true ones too, until a look begins. None is going on."""
        self._anchors.clear()
        self._others = _UNKNOWN

    def doubt(self, symbol: str) -> bool:
        """Have a symbol looked at. Returns whether there was room for it."""
        room = len(self._doubted) < MOST_DOUBTED
        if room:
            self._doubted.add(symbol)
        return room

    def heard(self, symbol: str, payload: bytes, database: int) -> bool:
        """A PHYSICS_UPDATE has come. Returns whether there was room for it. `database`: the subscriber's."""
        end = _end_of(payload)
        if end is None:
            return self.doubt(symbol)
        if end.database != database:
            return True
        message = Stamped(end.version, end.prev, end.written, payload, self.look)
        versions = self._messages.get(symbol)
        same = None if versions is None else versions.get(message.version)
        if same is not None and any(message.payload == each.payload for each in same):
            return True
        if self._bytes > self._most_bytes:
            self._refuse(symbol)
            return False
        self._bytes += len(message.payload) + _OVERHEAD
        if versions is None:
            self._messages[symbol] = {message.version: [message]}
        elif same is None:
            versions[message.version] = [message]
        else:
            same.append(message)
        return True

    def _refuse(self, symbol: str) -> None:
        """The true message may be the one for which there is no room."""
        if symbol in self._refused or len(self._refused) < MOST_DOUBTED:
            self._refused.add(symbol)
            self._anchors[symbol] = _UNKNOWN
        else:
            self.interrupted()

    def _anchor(self, symbol: str, stored: Version | None) -> None:
        """The symbol had this state at the last look."""
        if symbol in self._refused:
            return
        if stored is None:
            self._anchors.pop(symbol, None)
        elif stored < self._anchors.get(symbol, self._others):
            self._anchors[symbol] = stored

    def settle(self, symbol: str, stored: bytes | None, held: Version | None, redis_now: float) -> list[Confirmed]:
        """The versions above `held` that this stored state bears out, in order. It was read since the last look
        began. Raises InvalidMessage for what is no state."""
        before = self._shown.pop(symbol, None)
        found: list[Confirmed] = []
        try:
            if stored is None:
                self._anchor(symbol, None)
            else:
                shown = _stamp_of_state(stored)
                check_epoch(shown.version.epoch, redis_now)
                self._anchor(symbol, shown.version)
                if held is not None and _goes_on_below(before, shown, held):
                    # Redis has lost what was above it, and its writer does not know of that. The state of the look
                    # before may be one that came back, and is in the record.
                    held = before = None
                for state in (shown,) if before is None else (before, shown):
                    if held is None or state.version > held:
                        found += self._back_from(symbol, state, before, held)
                        held = found[-1].version if found else held
                if held != shown.version:
                    self._shown[symbol] = shown
        finally:
            self._forget(symbol, held)
        return found

    def _back_from(
        self, symbol: str, state: Stamped, before: Stamped | None, held: Version | None
    ) -> list[Confirmed]:
        """The versions from a stored state back to the held one, oldest first, as far as they are here; none as long
        as the message of that state may be on its way. `before`: the state at the look before."""
        versions, anchor = self._messages.get(symbol, {}), self._anchors.get(symbol, self._others)
        came = _came(versions.get(state.version, ()), state)
        if not came and (before is None or before.version != state.version):
            return []
        chain = [_confirmed_by(state, came=came)]
        while (prev := chain[-1].prev) is not None and (held is None or prev > held) and prev < chain[-1].version:
            messages = versions.get(prev, [])
            if before is not None and before.version == prev:
                chain.append(_confirmed_by(before, came=_came(messages, before)))
            elif len(messages) == 1 and prev > anchor:
                chain.append(_from_message(messages[0]))
            else:
                chain[-1] = chain[-1]._replace(contradicted=len(messages) > 1)
                break
        chain.reverse()
        return chain

    def _forget(self, symbol: str, held: Version | None) -> None:
        """Forget what is settled, and what Redis would have shown if it were true."""
        versions = self._messages.get(symbol)
        if versions is None:
            return
        shown = self._shown.get(symbol)
        for version in list(versions):
            settled = held is not None and version <= held
            waits = not settled and shown is not None and version <= shown.version
            messages = versions[version]
            if waits or (not settled and messages[-1].look >= self.look):
                continue
            if unborne := len(messages) - settled:  # of a settled version one message is the true one
                self.unborne += unborne
                metrics.UNBORNE.inc(unborne)
            self._bytes -= sum([len(message.payload) + _OVERHEAD for message in messages])
            del versions[version]
        if not versions:
            del self._messages[symbol]


def _goes_on_below(before: Stamped | None, shown: Stamped, held: Version) -> bool:
    """Whether somebody goes on writing below what is held: the state of the look before was below it too, and an
    older one."""
    return before is not None and before.version < shown.version < held


def _stamp_of_state(stored: bytes) -> Stamped:
    """Raises InvalidMessage."""
    if len(stored) > MAX_BYTES:
        raise InvalidMessage("size", f"{len(stored)} bytes, at most {MAX_BYTES} are allowed")
    end = _end_of(stored)
    if end is not None:
        return Stamped(end.version, end.prev, end.written, stored)
    said = fields.load_object(stored)
    version = fields.version(said)
    if version is None:
        raise InvalidMessage("version", "a state without epoch and seq")
    return Stamped(version, fields.previous(said), fields.optional_count(said, "written"), stored)


def _came(messages: Iterable[Stamped], state: Stamped) -> bool:
    """Whether the message of this state is among these, of its version."""
    return state.written is not None and state[1:3] in [each[1:3] for each in messages]


def _from_message(message: Stamped) -> Confirmed:
    said = said_by_update(fields.load_object(message.payload))
    return Confirmed(message.version, message.prev, said, True, False)


def _confirmed_by(state: Stamped, *, came: bool) -> Confirmed:
    """`came`: whether its message has come."""
    said = said_by_stored(fields.load_object(state.payload))
    return Confirmed(state.version, state.prev, said, state.written is not None, not came)
