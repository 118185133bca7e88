"""What clients may take."""

import pytest

from common.fanout.limits import Admission, Limits, bucket


def test_no_limit_is_no_bucket() -> None:
    grant = Limits().grant
    unlimited = (grant.requests_per_second, grant.bytes_per_second, Limits().handshakes_per_second)
    assert [bucket(each) for each in unlimited] == [None, None, None]
    small = bucket(0.05)
    assert small is not None
    assert small.take(1, 0.0), "one is always allowed"


def test_handshakes_come_at_a_rate_and_are_told_when_to_come_back() -> None:
    door = Admission(Limits(handshakes_per_second=5))
    answers = [door.handshake(0.0) for _ in range(6)]
    assert answers[:5] == [None] * 5
    assert answers[5] is not None
    assert (answers[5].why, answers[5].retry_after) == ("too many handshakes at once", 1)
    assert door.handshake(0.3) is None


def test_connections_are_counted_in_all_and_by_address_until_they_leave() -> None:
    door = Admission(Limits(connections=3, connections_per_address=2))
    assert [door.connection("10.0.0.1") for _ in range(2)] == [None, None]
    full = door.connection("10.0.0.1")
    assert full is not None
    assert full.why == "too many connections from this address"
    assert door.connection("10.0.0.2") is None
    full = door.connection("10.0.0.3")
    assert full is not None
    assert full.why == "no room for more connections"
    door.left("10.0.0.1")
    assert door.connection("10.0.0.3") is None
    for address in ("10.0.0.1", "10.0.0.2", "10.0.0.3"):
        door.left(address)
    assert not door._by_address, "who has left costs nothing"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("::ffff:10.0.0.1", "10.0.0.1", True),
        ("10.0.0.1", "10.0.0.2", False),
        ("unknown", "unknown", True),
        ("fe80::1%eth0", "fe80::2%eth0", True),
    ],
)
def test_a_network_of_ipv6_is_one_address(one: str, other: str, same: bool) -> None:
    door = Admission(Limits(connections_per_address=1))
    assert door.connection(one) is None
    assert (door.connection(other) is not None) is same
