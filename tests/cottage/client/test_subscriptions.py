"""What a client wants, and what it asks for. The same for cottage.js is in tests/transcripts."""

from itertools import count
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.fanout.limits import bucket
from cottage.client.subscriptions import NAMES_A_REQUEST, NAMES_IN_URL, Subscriptions, symbol_names
from cottage.errors import InvalidName
from cottage.grant import ALL, MAX_NAMED_SYMBOLS
from cottage.keys import LONGEST_SYMBOL
from cottage.protocol import MAX_REQUEST_BYTES, parse_request
from services.broadcaster.settings import BroadcasterSettings


def asked(subscriptions: Subscriptions, now: float = 0.0) -> list[tuple[str, list[str]]]:
    return [(each["action"], each["symbols"]) for each in subscriptions.due(now)]


@pytest.mark.parametrize(
    ("given", "error"), [("SPY", TypeError), (b"SPY", TypeError), (None, TypeError), (7, TypeError)]
)
def test_what_is_no_list_of_names_is_refused(given: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="list such as"):
        symbol_names(given)


def test_a_wrong_name_is_refused_and_named() -> None:
    with pytest.raises(InvalidName, match="spy"):
        symbol_names(["QQQ", "spy"])
    with pytest.raises(TypeError, match="text"):
        symbol_names(["QQQ", 7])  # type: ignore[list-item]
    assert symbol_names(name for name in ("A", "*", "A")) == {"A", "*"}


def test_more_names_than_a_server_takes_are_refused_and_nothing_of_them_is_wanted() -> None:
    names = {f"S{number}" for number in range(MAX_NAMED_SYMBOLS)}
    with pytest.raises(ValueError, match="4097 symbols are too many"):
        Subscriptions({*names, "ONE-MORE"}, count(1))
    subscriptions = Subscriptions(set(names), count(1))
    with pytest.raises(ValueError, match="too many"):
        subscriptions.add({"ONE-MORE"})
    assert subscriptions.wanted == names
    subscriptions.add({ALL})
    assert subscriptions.wanted is None


def test_a_handshake_that_may_have_been_refused_for_its_names_is_followed_by_one_without() -> None:
    subscriptions = Subscriptions({"A"}, count(1))
    assert subscriptions.dialled() == {"A"}
    assert subscriptions.dialled() == set()
    subscriptions.accepted()
    assert asked(subscriptions) == [("subscribe", ["A"])]
    assert subscriptions.dialled() == {"A"}
    many = Subscriptions({f"S{number}" for number in range(NAMES_IN_URL + 1)}, count(1))
    assert many.dialled() == set()


def test_what_is_refused_is_wanted_no_more_and_the_rest_stays() -> None:
    subscriptions = Subscriptions({"A"}, count(1))
    subscriptions.dialled()
    subscriptions.add({"B", "C"})
    (request,) = subscriptions.due(0.0)
    assert not subscriptions.settled
    assert subscriptions.refused("1") == subscriptions.refused([1]) == subscriptions.refused(None) == set()
    assert subscriptions.refused(request["id"]) == {"B", "C"}
    assert subscriptions.wanted == {"A"}
    assert subscriptions.settled
    subscriptions.add({"B"})
    assert asked(subscriptions) == [("subscribe", ["B"])]


Calls = st.lists(st.tuples(st.sampled_from(["add", "drop", "again", "due"]), st.sets(st.sampled_from("ABC*"))))


@given(st.sampled_from([None, set(), {"A"}, {"A", "B"}]), Calls)
def test_whatever_is_called_the_server_comes_to_send_what_is_wanted(
    wanted: set[str] | None, calls: list[tuple[str, set[str]]]
) -> None:
    subscriptions = Subscriptions(None if wanted is None else set(wanted), count(1))
    sends = subscriptions.dialled()
    everything, named = sends is None, set(sends or ())

    def answer() -> None:
        nonlocal everything, named
        for action, names in asked(subscriptions, answer.now):  # type: ignore[attr-defined]
            if action == "subscribe":
                everything, named = everything or ALL in names, named | set(names)
            elif ALL in names:
                everything, named = False, set()
            else:
                assert not everything, "a server refuses it"
                named -= set(names)
        answer.now += 100.0  # type: ignore[attr-defined]

    answer.now = 0.0  # type: ignore[attr-defined]
    for action, names in calls:
        if action == "due":
            answer()
        elif action != "drop" or ALL in names or subscriptions.wanted is not None:
            getattr(subscriptions, action)(names)
    answer()
    assert (None if everything else named) == subscriptions.wanted


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.floats(0.0, 1.0), st.integers(0, MAX_NAMED_SYMBOLS - 1)), max_size=12))
def test_no_client_ever_asks_more_than_a_server_allows(steps: list[tuple[float, int]]) -> None:
    """By the limits that a broadcaster has by default, and whatever is wanted when."""
    limits = BroadcasterSettings().limits().grant
    requests, size = bucket(limits.requests_per_second), bucket(limits.bytes_per_second)
    assert requests is not None
    assert size is not None
    names = [f"{number:0{LONGEST_SYMBOL}d}" for number in range(MAX_NAMED_SYMBOLS)]
    subscriptions, now = Subscriptions(set(), count(1)), 0.0
    subscriptions.dialled()
    for pause, number in steps:
        now += pause
        subscriptions.drop({ALL})
        subscriptions.add(set(names[:number]))
        for request in subscriptions.due(now):
            frame = orjson.dumps(request)
            assert requests.take(1, now)
            assert size.take(len(frame) + 14, now)


def test_the_longest_request_is_one_that_a_server_takes() -> None:
    names = {f"S{number}".ljust(LONGEST_SYMBOL, "X") for number in range(MAX_NAMED_SYMBOLS)}
    subscriptions = Subscriptions(names, count(10**6))
    subscriptions.dialled()
    for request in subscriptions.due(0.0):
        frame = orjson.dumps(request).decode()
        assert parse_request(frame).subscription.named <= names
    assert NAMES_A_REQUEST * (LONGEST_SYMBOL + 3) + 100 < MAX_REQUEST_BYTES
