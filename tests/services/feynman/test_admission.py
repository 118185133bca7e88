"""Who gets a place in the symbol table when there are more symbols than places, on a real Redis."""

import pytest
import structlog
from prometheus_client import REGISTRY

from cottage.errors import InvalidMessage
from cottage.redis import Client
from cottage.store import PhysicsStates
from services.feynman.admission import SymbolAdmission
from services.feynman.symbol_table import SymbolTable


def refuse(name: str, error: InvalidMessage) -> None:
    raise AssertionError(f"{name}: {error}")


def table_of(most: int, *symbols: str) -> SymbolTable:
    table = SymbolTable(10, 3600.0, most)
    table.add(symbols)
    return table


async def snapshots(client: Client, *symbols: str) -> None:
    await client.bulk(("HSET", f"market:snapshot:{name}", "price", "1") for name in symbols)


def flood(number: int) -> list[str]:
    return [f"A{each:05}" for each in range(number)]


async def test_known_symbols_keep_their_places_in_a_flood(client: Client) -> None:
    await snapshots(client, "SPY", "QQQ")
    table = table_of(100)
    admission = SymbolAdmission(table, (0, 1))
    await admission.search(client, refuse)
    assert sorted(table) == ["QQQ", "SPY"]
    assert admission.left_out == 0
    await snapshots(client, *flood(5000))
    for _search in range(2):
        await admission.search(client, refuse)
        assert sorted(table) == [*flood(98), "QQQ", "SPY"]
        assert admission.left_out == 4902
        assert REGISTRY.get_sample_value("cottage_feynman_symbols_left_out") == 4902
    assert table.room == 0


async def test_after_a_restart_those_come_first_that_had_a_place_before(client: Client) -> None:
    await snapshots(client, *flood(5000), "SPY", "QQQ")
    await client.mset({"physics:state:SPY": b"{}", "physics:state:QQQ": b"{}"})
    table = table_of(3)
    await SymbolAdmission(table, (0, 1)).search(client, refuse)
    assert sorted(table) == ["A00000", "QQQ", "SPY"]
    assert await PhysicsStates(client).many(["A00000"]) == {}, "it only reads"


async def test_what_is_left_out_is_said_once_and_so_is_its_end(client: Client) -> None:
    await snapshots(client, *flood(30))
    table = table_of(20)
    admission = SymbolAdmission(table, (0, 1))
    with structlog.testing.capture_logs() as lines:
        for _search in range(3):
            await admission.search(client, refuse)
    (said,) = [line for line in lines if line["event"] == "symbols_left_out"]
    assert (said["log_level"], said["symbols"], said["limit"]) == ("warning", 10, 20)
    assert said["first"] == flood(30)[20:]
    await client.delete(*(f"market:snapshot:{name}" for name in flood(30)[20:]))
    with structlog.testing.capture_logs() as lines:
        for _search in range(2):
            await admission.search(client, refuse)
    assert [line["event"] for line in lines] == ["symbols_admitted"]
    assert admission.left_out == 0


async def test_only_the_symbols_of_the_shard_need_a_place(client: Client) -> None:
    await snapshots(client, *flood(1000))
    tables = [table_of(600), table_of(600)]
    for index, table in enumerate(tables):
        admission = SymbolAdmission(table, (index, 2))
        await admission.search(client, refuse)
        assert admission.left_out == 0
    assert sorted([*tables[0], *tables[1]]) == flood(1000)


async def test_the_symbols_that_are_set_have_the_same_bound(client: Client) -> None:
    table = table_of(2)
    admission = SymbolAdmission(table, (0, 1), ["C", "B", "A"])
    await admission.search(client, refuse)
    assert (sorted(table), admission.left_out) == (["A", "B"], 1)


@pytest.mark.parametrize("most", [1, 2, 5])
def test_a_checkpoint_brings_no_more_symbols_than_there_is_room_for(most: int) -> None:
    full = SymbolTable(10, 3600.0)
    names = ["A", "B", "C"]
    full.add(names)
    row = [b"100", b"1000", b"1", b"1", b"live", *[None] * 12]
    full.take(((name, row) for name in names), 1000.0, 0.0)
    table = SymbolTable(10, 3600.0, most)
    assert table.restore(full.saved(names)) == min(most, 3)
    assert list(table) == names[:most]
