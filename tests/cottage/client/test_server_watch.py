"""When a server is asked, believed and given up. tests/transcripts/ tries it in both clients and the link."""

import pytest

from cottage.client.server_watch import ServerWatch

TIME = 1_766_318_400.0


@pytest.fixture
def watch() -> ServerWatch:
    """It was dialled at 100, told its time at once, and is silent since."""
    made = ServerWatch(3.0)
    made.connected(100.0, 100.0)
    made.arrived(100.0)
    made.told(TIME, 100.0)
    return made


def test_a_silent_server_is_asked_once_and_given_up_where_nothing_comes(watch: ServerWatch) -> None:
    assert watch.ping(101.9) is None
    ping = watch.ping(102.0)
    assert ping is not None
    assert watch.ping(103.0) is None, "it is under way"
    assert [watch.given_up(now) for now in (105.9, 106.0)] == [False, True]


def test_whatever_comes_after_a_ping_keeps_the_connection(watch: ServerWatch) -> None:
    watch.ping(102.0)
    watch.arrived(105.0)
    assert [watch.given_up(now) for now in (106.0, 110.9, 111.0)] == [False, False, True]


def test_a_gap_asks_anew_and_gives_it_time_to_answer(watch: ServerWatch) -> None:
    old = watch.ping(102.0)
    watch.doubt()
    assert not watch.given_up(131.0)
    new = watch.ping(131.0)
    assert old is not None
    assert new is not None
    assert old["id"] != new["id"]
    assert [watch.given_up(now) for now in (134.9, 135.0)] == [False, True]


@pytest.mark.parametrize(("ping", "believed"), [("new", True), ("old", False), (None, False), ("x", False)])
def test_only_the_answer_to_the_new_ping_ends_the_doubt(watch: ServerWatch, ping: str | None, believed: bool) -> None:
    old = watch.ping(102.0)
    watch.doubt(5.0)
    new = watch.ping(110.0)
    assert old is not None
    assert new is not None
    watch.arrived(110.1)
    assert watch.silence(110.1) == pytest.approx(15.1)
    watch.answered({"new": new["id"], "old": old["id"]}.get(ping or "", ping), TIME + 10.1, 110.1)
    assert watch.doubted is not believed
    assert watch.silence(110.2) == pytest.approx(0.2 if believed else 15.2)


@pytest.mark.parametrize(
    ("late", "asked", "doubted"), [(0.9, False, False), (1.5, True, False), (3.5, True, True), (-1.5, True, True)]
)
def test_a_time_that_cannot_be_is_asked_for(watch: ServerWatch, late: float, asked: bool, doubted: bool) -> None:
    """A message that is late by less than the silence that is bearable is of the present all the same."""
    watch.arrived(101.0)
    watch.told(TIME + 1.0 - late, 101.0)
    assert (watch.ping(101.0) is not None, watch.doubted) == (asked, doubted)
