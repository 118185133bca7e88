"""What servers of every kind do with somebody who shows no credentials, as the production switch finds out."""

import asyncio
from pathlib import Path

import pytest

from common.open_redis import RedisBacking, redis_findings
from common.settings import RedisSettings
from cottage.errors import RedisError, SettingsError
from cottage.redis import Reception, connect, receptions
from deploy.redis_server import Server, free_port
from tests.integration.redises import cluster, sentinels
from tests.support import OwnRedis, eventually

USER = "user feynman on >feynmans-own-password ~* &* +@all"
ALONE = "redis://feynman:feynmans-own-password@127.0.0.1:{port}"


async def look(url: str) -> list[Reception]:
    async with connect(url, timeout=3.0) as client:
        return await receptions(client)


async def ruled(own: OwnRedis, *commands: tuple[str, ...]) -> None:
    async with connect(own.url) as client:
        await client.bulk(commands)


async def test_a_server_without_a_password_takes_any_that_a_url_has(own_redis: OwnRedis) -> None:
    url = f"redis://feynman:a-password-that-it-never-asked-for@127.0.0.1:{own_redis.port}"
    (found,) = await look(url)
    assert found == Reception(f"127.0.0.1:{own_redis.port}", True)
    (line,) = redis_findings([found])
    assert line.startswith(f"REDIS_URL: 127.0.0.1:{own_redis.port} answers commands on a connection without")


async def test_a_server_that_asks_everybody(own_redis: OwnRedis) -> None:
    own_redis.restart("--requirepass", "a-password-of-its-own")
    found = await look(f"redis://:a-password-of-its-own@127.0.0.1:{own_redis.port}")
    assert found == [Reception(f"127.0.0.1:{own_redis.port}", False)], "a requirepass alone is allowed: no ACL file"
    assert redis_findings(found) == []


def with_acl(own: OwnRedis, *lines: str) -> None:
    file = own.folder / "users.acl"
    file.write_text("\n".join((*lines, "")))
    own.restart("--aclfile", str(file))


async def test_an_acl_file_with_default_off_is_as_it_should_be(own_redis: OwnRedis) -> None:
    with_acl(own_redis, "user default off", USER)
    found = await look(ALONE.format(port=own_redis.port))
    assert redis_findings(found) == []
    assert [each.admits for each in found] == [False]
    async with connect(ALONE.format(port=own_redis.port)) as client:
        assert await client.bulk([("ACL", "LOG")]) == [[]], "asking leaves no trace"


async def test_an_acl_file_that_forgets_default_lets_everybody_in(own_redis: OwnRedis) -> None:
    with_acl(own_redis, USER)
    (line,) = redis_findings(await look(ALONE.format(port=own_redis.port)))
    assert "answers commands on a connection without credentials" in line


@pytest.mark.parametrize("rule", ["nopass ~* +get", "nopass -@all", "nopass ~public:* +@read"])
async def test_default_that_may_do_little_is_let_in_all_the_same(own_redis: OwnRedis, rule: str) -> None:
    with_acl(own_redis, f"user default on {rule}", USER)
    found = await look(ALONE.format(port=own_redis.port))
    assert [each.admits for each in found] == [True], "PING is refused, and something else is not"


@pytest.mark.parametrize("who", ["", "default"])
@pytest.mark.parametrize("may", ["+@all", "+@all -config", "+ping +get"])
async def test_default_beside_an_acl_file_is_found(own_redis: OwnRedis, who: str, may: str) -> None:
    with_acl(own_redis, f"user default on >a-password-of-default ~* &* {may}", USER)
    found = await look(f"redis://{who}:a-password-of-default@127.0.0.1:{own_redis.port}")
    (line,) = redis_findings(found)
    assert "used as `default`" in line
    assert "a-password-of-default" not in line


async def test_a_file_as_a_socket(own_redis: OwnRedis, tmp_path: Path) -> None:
    path = tmp_path / "redis.sock"
    own_redis.restart("--unixsocket", str(path))
    assert await look(f"unix://{path}") == [Reception(str(path), True)]
    own_redis.restart("--unixsocket", str(path), "--requirepass", "a-password-of-its-own")
    assert await look(f"unix://:a-password-of-its-own@{path}") == [Reception(str(path), False)]


async def test_nobody_there_is_said_and_is_no_finding() -> None:
    port = free_port()
    found = await look(f"redis://127.0.0.1:{port}")
    assert found == [Reception(f"127.0.0.1:{port}", None)]
    assert redis_findings(found) == []
    (unknown,) = await look(f"redis+cluster://127.0.0.1:{port}")
    assert unknown.admits is None


async def test_who_is_away_is_asked_again_and_ends_the_service_when_it_comes_back_open(own_redis: OwnRedis) -> None:
    own_redis.kill()
    backing = RedisBacking(RedisSettings(REDIS_URL=f"redis://127.0.0.1:{own_redis.port}"))
    assert await backing.findings() == []
    watching = asyncio.create_task(backing.watch())
    await asyncio.sleep(0.3)
    assert not watching.done()
    own_redis.start()
    with pytest.raises(SettingsError, match="without credentials"):
        await asyncio.wait_for(watching, 20)
    own_redis.restart("--requirepass", "a-password-of-its-own")
    await asyncio.wait_for(backing.watch(), 20)


async def test_every_sentinel_and_its_master_are_asked(server_binaries: dict[str, Server], tmp_path: Path) -> None:
    async with sentinels(server_binaries["valkey"], tmp_path) as watched:
        found = await look(watched.url)
        assert len(found) == 4
        assert [each.admits for each in found] == [True] * 4
        master = await watched.master()
        assert found[-1].server == f"127.0.0.1:{master.port}"
        async with connect(master.url) as client:
            await client.bulk([("CONFIG", "SET", "requirepass", "a-password-of-its-own")])
        closed = await look(watched.url.replace("://", "://:a-password-of-its-own@"))
        assert [each.admits for each in closed] == [True] * 3 + [False]


async def test_every_master_of_a_cluster_is_asked(server_binaries: dict[str, Server], tmp_path: Path) -> None:
    async with cluster(server_binaries["valkey"], tmp_path) as nodes:
        found = await look(nodes.url)
        assert {each.server for each in found} == {f"127.0.0.1:{node.port}" for node in nodes.nodes[:3]}
        assert all(each.admits for each in found)
        for node in nodes.nodes:
            async with connect(node.url) as client:
                await client.bulk(
                    [
                        ("CONFIG", "SET", "masterauth", "word-of-theirs"),
                        ("CONFIG", "SET", "requirepass", "word-of-theirs"),
                    ]
                )

        async def all_closed() -> bool:
            try:
                now = await look(nodes.url.replace("://", "://:word-of-theirs@"))
            except RedisError:
                return False
            return len(now) == 3 and all(each.admits is False for each in now)

        assert await eventually(all_closed, 20)
