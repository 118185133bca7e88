"""The client of a cluster without one; with one in tests/integration/test_cluster.py."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from cottage.errors import RedisError, RedisUnavailable
from cottage.redis import Client, connect
from deploy.redis_server import free_port


async def listen(client: Client) -> None:
    await client.pubsub().subscribe("state_update")


async def monitor(client: Client) -> None:
    async with client.monitor():
        pytest.fail("it monitors something")


@pytest.mark.parametrize("use", [listen, monitor])
async def test_what_would_need_a_connection_of_its_own_says_what_to_do_instead(
    use: Callable[[Any], Awaitable[None]],
) -> None:
    """It went to localhost:6379, whatever was there."""
    async with connect(f"redis+cluster://127.0.0.1:{free_port()}", timeout=1.0) as client:
        with pytest.raises(RedisError, match=r"cottage\.redis\.subscribe"):
            await use(client)
        with pytest.raises(RedisUnavailable):
            await client.ping()
