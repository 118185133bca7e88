"""`make run FRESH=1` on a real Redis of each kind: what is deleted, and when nothing is."""

from pathlib import Path

import pytest

from cottage.errors import CottageError, RedisUnavailable
from cottage.redis import Client
from deploy import fresh_start
from deploy.fresh_start import begin_fresh
from deploy.redis_server import free_port

KEPT = {b"agent:state:a", b"queue:tasks", b"leaderboard:strategies", b"mine"}


async def leftovers(client: Client, folder: Path) -> None:
    await client.mset({f"physics:state:S{number}": "{}" for number in range(1200)})
    await client.mset({"physics:state:": "no symbol", "agent:state:a": "{}", "mine": "x", "market:feed:SIM": "{}"})
    await client.hset("market:snapshot:SPY", "price", "1")
    await client.set("market:warm:S1", "{}")
    await client.zadd("physics:retired", {"S1": 1})
    await client.rpush("physics:retire", "S1")
    await client.rpush("queue:tasks", "task")
    await client.zadd("leaderboard:strategies", {"s": 1})
    checkpoints(folder)


def checkpoints(folder: Path) -> None:
    folder.mkdir()
    for name in ("windows-0-of-1.npz", "windows-1-of-2.npz", "windows-0-of-1.npz.refused", "notes.txt"):
        (folder / name).touch()


async def test_it_deletes_what_earlier_runs_left_and_nothing_else(
    client: Client, redis_url: str, tmp_path: Path
) -> None:
    await leftovers(client, folder := tmp_path / "feynman")
    assert await begin_fresh(redis_url, folder) == (1206, 2)
    assert set(await client.keys("*")) == KEPT
    assert sorted(file.name for file in folder.iterdir()) == ["notes.txt", "windows-0-of-1.npz.refused"]
    assert await begin_fresh(redis_url, tmp_path / "not there yet") == (0, 0)


async def test_it_waits_for_the_lease_of_one_that_was_killed(client: Client, redis_url: str, tmp_path: Path) -> None:
    await leftovers(client, folder := tmp_path / "feynman")
    await client.set("physics:writer:0", "{}", px=500)
    await begin_fresh(redis_url, folder)
    assert set(await client.keys("*")) == KEPT


async def test_where_a_feynman_runs_it_deletes_nothing(
    client: Client, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fresh_start, "LEASE_SECONDS", 0.4)
    await leftovers(client, folder := tmp_path / "feynman")
    await client.set("physics:writer:3", "{}")
    before = len(await client.keys("*"))
    with pytest.raises(CottageError, match="a feynman runs on this Redis"):
        await begin_fresh(redis_url, folder)
    assert len(await client.keys("*")) == before
    assert (folder / "windows-0-of-1.npz").exists()


async def test_a_redis_that_is_away_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RedisUnavailable):
        await begin_fresh(f"redis://127.0.0.1:{free_port()}", tmp_path)
