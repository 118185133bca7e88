"""How fresh what comes from the bridge is."""

from cottage.freshness import Freshness, Thresholds
from services.broadcaster.link_status import LinkStatus


def test_before_the_first_link_the_bridge_is_down() -> None:
    state = LinkStatus(100.0, Thresholds())
    assert state.upstream(101.0) == Freshness("stale", "bridge_down", None)
    assert state.upstream(160.0) == Freshness("expired", "bridge_down", None)


def test_what_the_bridge_states_is_aged_by_our_own_clock() -> None:
    state = LinkStatus(100.0, Thresholds(), linked=True)
    state.state(Freshness("live", None, 0.2), 110.0)
    assert state.upstream(110.0) == Freshness("live", None, 0.2)
    assert state.upstream(112.5) == Freshness("live", None, 2.7)
    state.state(Freshness("stale", "writer_down", None), 113.0)
    assert state.upstream(113.5) == Freshness("stale", "writer_down", None)


def test_a_statement_counts_once_the_snapshot_has_come() -> None:
    state = LinkStatus(100.0, Thresholds())
    state.state(Freshness("live", None, 0.0), 101.0)
    assert state.upstream(101.0).cause == "bridge_down"
    state.linked = True
    assert state.upstream(101.0).cause is None


def test_a_lost_link_is_the_nearest_broken_hop_and_the_age_goes_on() -> None:
    state = LinkStatus(100.0, Thresholds(), linked=True)
    state.state(Freshness("stale", "redis_down", 5.0), 110.0)
    state.lost()
    assert state.upstream(111.0) == Freshness("stale", "bridge_down", 6.0)
    assert state.upstream(170.0) == Freshness("expired", "bridge_down", 65.0)


def test_what_an_earlier_link_stated_says_nothing_of_the_new_one() -> None:
    state = LinkStatus(100.0, Thresholds(), linked=True)
    state.state(Freshness("live", None, 0.0), 110.0)
    state.lost()
    state.linked = True
    assert state.upstream(140.0) == Freshness("stale", "bridge_down", 30.0)
    state.state(Freshness("live", None, 0.1), 140.5)
    assert state.upstream(140.5) == Freshness("live", None, 0.1)
