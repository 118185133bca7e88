"""What is known of redis-py's versions, held against the installed one."""

import redis.asyncio

from cottage.redis import library
from cottage.redis.client import BlockingClient, Client


def test_the_locked_versions_are_those_that_the_fast_path_was_tested_with() -> None:
    assert library.FAST  # else every process would be several times as slow, and say nothing


def test_options_are_those_that_the_library_knows() -> None:
    for client in (Client, BlockingClient):
        options = library.connection_options(client)
        assert options["driver_info"] is None
        assert not options["maint_notifications_config"].enabled
        client(**options)

    class Older(redis.asyncio.Redis):
        def __init__(self, host: str = "localhost") -> None:
            super().__init__(host=host)

    assert library.connection_options(Older) == {}
