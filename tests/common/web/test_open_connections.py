"""Connections counted from accept on: who is cut off where there are too many, and who never is."""

import resource

import pytest

from common.web.open_connections import SPARE_FILES, ConnectionLimits, OpenConnections


class Port:
    """A port's connections, named by numbers, and which of them were cut off."""

    def __init__(self, in_all: int = 0, by_address: int = 0, proxy: str = "none") -> None:
        self.cut: list[object] = []
        self.open = OpenConnections(ConnectionLimits(in_all, by_address), lambda address: address == proxy)

    def accept(self, number: int, address: str = "192.0.2.1") -> None:
        self.open.accepted(number, address, lambda: self.cut.append(number))


def test_the_oldest_that_has_not_asked_is_cut_off() -> None:
    port = Port(in_all=3)
    for number in range(3):
        port.accept(number)
    port.open.asked(0)
    port.accept(3, "192.0.2.2")
    assert port.cut == [1]
    port.open.gone(1)
    assert (len(port.open), port.open.half_open) == (3, 2)


def test_where_all_have_asked_the_new_one_is_cut_off() -> None:
    port = Port(in_all=2)
    for number in range(2):
        port.accept(number)
        port.open.asked(number)
    port.accept(2)
    assert port.cut == [2]
    port.open.answered(0)
    port.accept(3)
    assert port.cut == [2, 0], "one that waits for another request may be displaced"


def test_an_address_displaces_its_own_alone() -> None:
    port = Port(by_address=2)
    port.accept(0, "198.51.100.1")
    for number in range(1, 5):
        port.accept(number)
    assert port.cut == [1, 2]
    for each in port.cut:
        port.open.gone(each)
    port.accept(5, "::ffff:192.0.2.1")
    assert port.cut == [1, 2, 3]


def test_an_ipv6_network_is_one_address() -> None:
    port = Port(by_address=1)
    port.accept(0, "2001:db8::1")
    port.accept(1, "2001:db8::2")
    port.accept(2, "2001:db8:0:1::1")
    assert port.cut == [0]


def test_a_trusted_proxy_is_no_address() -> None:
    port = Port(by_address=1, proxy="192.0.2.1")
    for number in range(10):
        port.accept(number)
    assert port.cut == []


def test_nothing_is_kept_of_those_that_are_gone() -> None:
    port = Port(in_all=3, by_address=2)
    for number in range(100):
        port.accept(number, f"192.0.2.{number % 5}")
        port.open.asked(number)
        port.open.answered(number)
    for number in range(100):
        port.open.gone(number)
        port.open.gone(number)
        port.open.asked(number)
        port.open.answered(number)
    assert (len(port.open), port.open.half_open) == (0, 0)
    assert (port.open._by_address, port.open._half_open_by_address) == ({}, {})


def test_a_port_that_closes_ends_one_kind_of_those_that_have_not_asked() -> None:
    port = Port()
    port.accept(0)
    port.accept(1)
    port.open.accepted("another kind", "192.0.2.1", lambda: port.cut.append("another kind"))
    port.open.asked(1)
    port.open.cut_off_half_open(int)
    assert port.cut == [0]


@pytest.mark.parametrize("asked", [0, 10**6])
def test_no_limit_is_above_what_files_may_be_open(asked: int) -> None:
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY:
        pytest.skip("this machine has no limit")
    limited = ConnectionLimits(asked, 7).within_files()
    assert limited == ConnectionLimits(min(asked or files, files - SPARE_FILES), 7)
    assert ConnectionLimits(5).within_files() == ConnectionLimits(5)
