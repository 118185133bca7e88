"""A message is true where a stored state bears it out, by itself or by the way back from version to version."""

from collections.abc import Iterable

import pytest

from cottage.errors import InvalidMessage
from cottage.messages import MAX_BYTES
from cottage.state import PhysicsState
from cottage.version import Version
from services.recorder.confirmation import Confirmation, Confirmed, symbol_of_update
from tests.services.recorder.states import BEGINNING, EPOCH, forged, state

S = "SPY"


def begun(**settings: int) -> Confirmation:
    """One that has looked at all states: there were none."""
    confirmation = Confirmation(**settings)
    confirmation.begin_look()
    confirmation.looked_at_all()
    return confirmation


def hear(confirmation: Confirmation, *said: PhysicsState) -> None:
    for each in said:
        assert confirmation.heard(S, each.update(S), 0)


def look(
    confirmation: Confirmation, stored: PhysicsState | None, held: int | Version | None = None
) -> list[Confirmed]:
    """A look that has read this state. What is heard after `begin_look` may have come while Redis was asked."""
    confirmation.begin_look()
    return settle(confirmation, stored, held)


def settle(
    confirmation: Confirmation, stored: PhysicsState | None, held: int | Version | None = None
) -> list[Confirmed]:
    version = Version(EPOCH, held) if isinstance(held, int) else held
    return confirmation.settle(S, None if stored is None else stored.to_bytes(), version, BEGINNING)


def told(found: Iterable[Confirmed]) -> list[tuple[int, float, bool]]:
    """Of each version its tick, its price and whether it is healed."""
    return [(each.version.seq, each.said["price"], each.healed) for each in found]


def test_a_message_is_true_where_redis_has_what_it_says() -> None:
    confirmation = begun()
    hear(confirmation, state(1))
    (found,) = look(confirmation, state(1))
    assert (found.version, found.prev, found.stamped, found.healed) == (Version(EPOCH, 1), None, True, False)
    assert not confirmation.symbols
    assert confirmation.unborne == 0


def test_what_was_replaced_meanwhile_is_true_by_the_way_back() -> None:
    confirmation = begun()
    hear(confirmation, state(2, 1), state(3, 2), state(5, 3))
    found = look(confirmation, state(5, 3), held=1)
    assert told(found) == [(2, 450.5, False), (3, 450.75, False), (5, 451.25, False)]
    assert found[0].prev == Version(EPOCH, 1)


def test_a_hole_on_the_way_back_ends_it() -> None:
    confirmation = begun()
    hear(confirmation, state(2, 1), state(4, 3), state(5, 4))
    found = look(confirmation, state(5, 4), held=1)
    assert told(found) == [(4, 451.0, False), (5, 451.25, False)]
    assert found[0].prev == Version(EPOCH, 3)
    assert not found[0].contradicted


def test_a_state_whose_message_is_on_its_way_waits_for_it() -> None:
    confirmation = begun()
    hear(confirmation, state(2, 1))
    assert look(confirmation, state(3, 2), held=1) == []
    hear(confirmation, state(3, 2))
    assert told(look(confirmation, state(3, 2), held=1)) == [(2, 450.5, False), (3, 450.75, False)]


def test_it_is_certain_up_to_the_state_before_where_the_newest_is_always_on_its_way() -> None:
    confirmation = begun()
    hear(confirmation, state(1))
    assert look(confirmation, state(2, 1)) == []
    hear(confirmation, state(2, 1))
    assert told(look(confirmation, state(3, 2))) == [(1, 450.25, False), (2, 450.5, False)]


def test_a_state_whose_message_does_not_come_is_taken_as_it_is_stored() -> None:
    confirmation = begun()
    assert look(confirmation, state(1)) == []
    assert list(confirmation.symbols) == [S], "it is looked at again"
    assert told(look(confirmation, state(1))) == [(1, 450.25, True)]
    assert look(confirmation, state(1), held=1) == []
    assert not confirmation.symbols


def test_so_is_one_that_was_replaced_since_the_look_before() -> None:
    confirmation = begun()
    assert look(confirmation, state(1)) == []
    hear(confirmation, state(2, 1))
    assert told(look(confirmation, state(2, 1))) == [(1, 450.25, True), (2, 450.5, False)]


def test_a_state_without_a_stamp_is_taken_as_it_is_stored() -> None:
    confirmation = begun()
    plain = state(1, written=None)
    assert symbol_of_update(plain.update(S)) == S
    hear(confirmation, plain)
    assert list(confirmation.symbols) == [S]
    assert look(confirmation, plain) == []
    (found,) = look(confirmation, plain)
    assert (found.stamped, found.healed) == (False, True)


def test_a_forged_message_that_redis_has_not_is_dropped() -> None:
    confirmation = begun()
    hear(confirmation, state(2, 1), state(3, 2))
    assert told(look(confirmation, state(2, 1), held=1)) == [(2, 450.5, False)]
    assert not confirmation.symbols
    assert confirmation.unborne == 1


def test_what_came_while_redis_was_asked_waits_for_the_next_look() -> None:
    confirmation = begun()
    hear(confirmation, state(2, 1))
    confirmation.begin_look()
    hear(confirmation, state(3, 2))
    assert told(settle(confirmation, state(2, 1), held=1)) == [(2, 450.5, False)]
    assert told(look(confirmation, state(3, 2), held=2)) == [(3, 450.75, False)]


def test_a_forged_message_of_the_stored_version_is_not_taken_for_it() -> None:
    """Nobody knows beforehand at which microsecond Redis will write."""
    confirmation = begun()
    hear(confirmation, forged(state(2, 1, written=7)))
    assert look(confirmation, state(2, 1), held=1) == []
    hear(confirmation, state(2, 1))
    assert told(look(confirmation, state(2, 1), held=1)) == [(2, 450.5, False)]
    assert confirmation.unborne == 1


def test_what_the_stored_version_says_is_told_by_redis() -> None:
    confirmation = begun()
    hear(confirmation, forged(state(2, 1)))
    assert told(look(confirmation, state(2, 1), held=1)) == [(2, 450.5, False)]


def test_of_two_messages_of_a_version_that_was_replaced_none_is() -> None:
    confirmation = begun()
    hear(confirmation, state(2, 1), forged(state(2, 1)), state(3, 2))
    (found,) = look(confirmation, state(3, 2), held=1)
    assert (found.version.seq, found.contradicted) == (3, True)


def test_a_message_that_came_twice_is_one() -> None:
    confirmation = begun()
    hear(confirmation, state(2, 1), state(2, 1), state(3, 2))
    assert told(look(confirmation, state(3, 2), held=1)) == [(2, 450.5, False), (3, 450.75, False)]


def test_messages_of_before_a_break_prove_nothing_but_what_redis_has() -> None:
    """One that came before it may be forged, and the true one have been missed."""
    confirmation = begun()
    hear(confirmation, state(2, 1), state(3, 2))
    confirmation.interrupted()
    hear(confirmation, state(4, 3))
    found = look(confirmation, state(4, 3), held=1)
    assert told(found) == [(4, 451.0, False)]
    hear(confirmation, state(5, 4))
    confirmation.interrupted()
    assert told(look(confirmation, state(5, 4), held=4)) == [(5, 451.25, False)], "Redis has it still"


def test_what_was_missed_in_a_break_cannot_be_said_by_somebody_else() -> None:
    confirmation = begun()
    confirmation.interrupted()  # the true 2 is missed
    hear(confirmation, state(3, 2), forged(state(2, 1)))
    assert told(look(confirmation, state(3, 2), held=1)) == [(3, 450.75, False)]
    hear(confirmation, state(4, 3), state(5, 4))
    assert told(look(confirmation, state(5, 4), held=3)) == [(4, 451.0, False), (5, 451.25, False)]


def test_neither_can_what_was_before_the_first_look() -> None:
    confirmation = Confirmation()
    hear(confirmation, state(6, 5), forged(state(5, 1)))
    assert told(look(confirmation, state(6, 5))) == [(6, 451.5, False)]
    hear(confirmation, state(8, 6), forged(state(5, 1)), state(9, 8))
    assert told(look(confirmation, state(9, 8), held=6)) == [(8, 452.0, False), (9, 452.25, False)]


@pytest.mark.parametrize("later", [False, True])
def test_neither_can_that_for_which_there_was_no_room(later: bool) -> None:
    """`later`: while the states of a look are read."""
    confirmation = begun(most_bytes=600)
    if later:
        confirmation.begin_look()
    hear(confirmation, forged(state(2, 1)))
    for refused in (state(2, 1), state(3, 2)):
        assert not confirmation.heard(S, refused.update(S), 0)
    if later:
        assert settle(confirmation, state(1), held=1) == []
    look(confirmation, state(3, 2), held=1)
    assert told(look(confirmation, state(3, 2), held=1)) == [(3, 450.75, True)]
    hear(confirmation, state(4, 3))
    assert told(look(confirmation, state(4, 3), held=3)) == [(4, 451.0, False)]


def test_a_flood_of_names_is_an_interruption(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.recorder.confirmation.MOST_DOUBTED", 3)
    confirmation = begun(most_bytes=0)
    hear(confirmation, state(2, 1))
    for i in range(10):
        assert not confirmation.heard(f"X{i}", state(1).update(f"X{i}"), 0)
    assert set(confirmation.symbols) == {S, "X0", "X1", "X2"}
    assert not confirmation.heard(S, state(3, 2).update(S), 0)
    look(confirmation, state(3, 2), held=1)
    assert told(look(confirmation, state(3, 2), held=1)) == [(3, 450.75, True)]


def test_a_symbol_that_has_no_state_yet_is_known_from_its_first_message_on() -> None:
    """Even if somebody said something of it before, for which there was no room."""
    confirmation = begun(most_bytes=0)
    hear(confirmation, state(9, 8))
    assert not confirmation.heard(S, state(8, 7).update(S), 0)
    assert look(confirmation, None) == []
    hear(confirmation, state(1))
    confirmation._most_bytes = 10_000
    hear(confirmation, state(2, 1), state(3, 2))
    assert [seq for seq, _, _ in told(look(confirmation, state(3, 2)))] == [1, 2, 3]


def test_what_is_held_already_is_not_recorded_twice() -> None:
    confirmation = begun()
    hear(confirmation, state(2, 1), forged(state(1)))
    assert look(confirmation, state(2, 1), held=2) == []
    assert not confirmation.symbols
    assert confirmation.unborne == 0


def test_a_writer_that_goes_on_below_what_is_held_is_followed() -> None:
    """After Redis lost its data and its clock was set back, say. An old state that comes back is not."""
    confirmation = begun()
    held = Version(EPOCH + 5, 9)
    assert look(confirmation, state(1), held) == []
    assert look(confirmation, state(1), held) == []
    hear(confirmation, state(2, 1))
    assert told(look(confirmation, state(2, 1), held)) == [(2, 450.5, False)]


def test_a_message_of_another_database_is_none_of_ours() -> None:
    confirmation = begun()
    assert confirmation.heard(S, state(1).update(S, 3), 0)
    assert not confirmation.symbols
    assert confirmation.heard(S, state(1).update(S, 3), 3)
    assert told(look(confirmation, state(1))) == [(1, 450.25, False)]


def test_there_is_room_for_so_much_only() -> None:
    confirmation = begun(most_bytes=1000)
    hear(confirmation, state(1))
    heard = [confirmation.heard(S, state(seq, seq - 1).update(S), 0) for seq in range(2, 6)]
    assert heard == [True, False, False, False]
    look(confirmation, state(2, 1))
    hear(confirmation, state(6, 5))


def test_a_state_that_nobody_believes_lets_nothing_wait() -> None:
    confirmation = begun()
    ahead = state(1, epoch=EPOCH + 3 * 86_400_000)
    hear(confirmation, ahead)
    with pytest.raises(InvalidMessage, match="two days ahead"):
        look(confirmation, ahead)
    assert not confirmation.symbols
    for wrong in (b"[]", b"{}", state(1).to_bytes() + b" " * MAX_BYTES):
        hear(confirmation, state(1))
        confirmation.begin_look()
        with pytest.raises(InvalidMessage):
            confirmation.settle(S, wrong, None, BEGINNING)
        assert not confirmation.symbols


@pytest.mark.parametrize(
    "payload",
    [
        b'{"event":"HEARTBEAT","symbol":"SPY"}',
        b'{"event":"PHYSICS_UPDATE","symbol":"no symbol"}',
        b'{"event":"PHYSICS_UPDATE","symbol":"\xff"}',
        b'{"event":"PHYSICS_UPDATE"}',
        b'{"event":"PHYSICS_UPDATE","symbol":"SPY"}' + b" " * MAX_BYTES,
        b"",
    ],
)
def test_other_messages_are_none_of_ours(payload: bytes) -> None:
    assert symbol_of_update(payload) is None
