"""What feynman says of what it refuses."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import structlog
from prometheus_client import REGISTRY

from common.refusal_tally import GATHERED_SECONDS, MOST_LINES
from cottage.clock import SystemClock
from cottage.errors import InvalidMessage
from services.feynman.admission import NAMED
from services.feynman.refusals import Refusals
from services.feynman.symbol_table import RefusedSnapshot

PRICE, VOLUME = InvalidMessage("price", "missing"), InvalidMessage("volume", "negative")


class Said(SystemClock):
    """A clock that stands still, and Refusals on it."""

    def __init__(self, shard: tuple[int, int] = (0, 1)) -> None:
        self.now = 0.0
        self.refusals = Refusals(shard, self)

    def monotonic(self) -> float:
        return self.now

    def tick(
        self, refused: Mapping[str, tuple[InvalidMessage, ...]], new: Sequence[str] = ()
    ) -> list[dict[str, Any]]:
        """What is logged at a tick at which so much is refused, of which this is `new`."""
        with structlog.testing.capture_logs() as lines:
            self.refusals.snapshots([RefusedSnapshot(name, refused[name]) for name in new], refused)
        return [dict(line) for line in lines]

    def search(self, *names: str) -> list[str]:
        """The names that are logged at a search that finds these."""
        with structlog.testing.capture_logs() as lines:
            self.refusals.searching()
            for name in names:
                self.refusals.bad_name(name, InvalidMessage("symbol", f"bad symbol {name[:8]!r}"))
            self.refusals.searched()
        return [line["symbol"] for line in lines]


def test_each_field_of_each_symbol_has_a_line_then_all_are_counted_and_the_end_is_said() -> None:
    said = Said()
    refused = {"SPY": (PRICE, VOLUME), "QQQ": (PRICE,)}
    lines = said.tick(refused, ("SPY", "QQQ"))
    assert [(line["symbol"], line["reason"]) for line in lines] == [
        ("SPY", "price"),
        ("SPY", "volume"),
        ("QQQ", "price"),
    ]
    report = said.refusals.report()
    assert (report["symbols"], report["fields"]) == (2, {"price": 2, "volume": 1})
    assert report["first"] == {"SPY": "price: missing; volume: negative", "QQQ": "price: missing"}
    said.now += GATHERED_SECONDS
    (summary,) = said.tick(refused)
    assert (summary["event"], summary["refused"]) == ("snapshots_dropped", 3)
    assert (summary["reasons"], summary["first"]) == ({"price": 2, "volume": 1}, ["SPY", "QQQ"])
    assert said.tick({}) == []
    said.now += GATHERED_SECONDS
    assert [line["event"] for line in said.tick({})] == ["snapshots_accepted"]
    said.now += GATHERED_SECONDS
    assert said.tick({}) == []


def test_a_flood_of_symbols_does_not_flood_the_log() -> None:
    said = Said()
    refused = {f"S{number}": (PRICE,) for number in range(10_000)}
    assert len(said.tick(refused, tuple(refused))) == MOST_LINES
    said.now += GATHERED_SECONDS
    (summary,) = said.tick(refused)
    assert (summary["refused"], summary["symbols"], len(summary["first"])) == (10_000, 10_000, NAMED)
    assert len(said.refusals.report()["first"]) == NAMED


def test_a_name_is_said_once_and_is_gone_when_its_key_is() -> None:
    said = Said()
    assert said.search("brk/b", "brk/b", "x" * 1000) == ["brk/b", "x" * 40]
    assert said.search("brk/b") == []
    assert said.refusals.report()["bad_names"] == {"names": 1, "first": {"brk/b": "bad symbol 'brk/b'"}}
    assert said.search() == []
    assert said.refusals.report()["bad_names"] == {"names": 0, "first": {}}
    said.now += 60.0
    assert said.search("brk/b") == ["brk/b"], "it came again"


def test_many_names_are_counted_and_some_are_listed() -> None:
    said = Said()
    assert len(said.search(*(f"s{number}" for number in range(1000)))) == MOST_LINES
    report = said.refusals.report()["bad_names"]
    assert (report["names"], len(report["first"])) == (1000, NAMED)


def test_a_search_that_ended_early_takes_no_name_away() -> None:
    said = Said()
    said.search("brk/b", "spy")
    said.refusals.searching()
    said.refusals.bad_name("spy", InvalidMessage("symbol", ""))
    assert said.refusals.report()["bad_names"]["names"] == 2
    said.search("brk/b")
    assert said.refusals.report()["bad_names"]["names"] == 1


@pytest.mark.parametrize("shards", [2, 5])
def test_of_several_shards_one_tells_of_a_name(shards: int) -> None:
    told = [Said((index, shards)).search("brk/b") for index in range(shards)]
    assert sorted(told) == [*[[]] * (shards - 1), ["brk/b"]]


def test_clients_are_told_while_there_are_any_and_once_that_there_are_none() -> None:
    said = Said()
    told = []
    for names in ((), ("spy",), ("spy",), (), ()):
        said.search(*names)
        told.append(said.refusals.message("0/1", "T", 0) is not None)
    assert told == [False, True, True, True, False]


def test_a_field_that_is_left_out_is_counted_once_while_it_stays_so_and_said_now_and_then() -> None:
    said, tick = Said(), InvalidMessage("tick", "0.0 is not above 0")

    def left_out(**doubtful: Sequence[InvalidMessage]) -> list[dict[str, Any]]:
        with structlog.testing.capture_logs() as lines:
            said.refusals.fields(doubtful)
        return [dict(line) for line in lines]

    def counted() -> float:
        name = "cottage_feynman_snapshot_fields_left_out_total"
        return REGISTRY.get_sample_value(name, {"field": "tick"}) or 0.0

    before = counted()
    (line,) = left_out(SPY=[tick])
    assert (line["event"], line["symbol"], line["field"]) == ("field_left_out", "SPY", "tick")
    assert line["error"] == "0.0 is not above 0"
    assert left_out(SPY=[InvalidMessage("tick", "0.0 is not above 0")]) == []
    assert counted() == before + 1
    assert left_out(SPY=[InvalidMessage("tick", "-1.0 is not above 0")], QQQ=[tick]) == []
    assert counted() == before + 3
    assert left_out() == []
    said.now += 10.0
    (line,) = left_out(SPY=[tick])
    assert (line["symbol"], line["times"]) == ("SPY", 3)
    assert counted() == before + 4
