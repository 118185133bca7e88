"""The only package that imports redis-py: it knows that library's defaults and faults.

    client.py        commands, one by one, in pipelines, thousands in bulk
    subscription.py  pub/sub, read and parsed below the library's public face

pyproject.toml bounds the library's version, and the tests of this package fail when what it leans on moves: a
connection's `_reader`, `_writer` and `_parser.parse_error`, and the pool's `get_connection` and `release`.
"""

from common.redis.client import (
    BATCH,
    COMMAND_SECONDS,
    BlockingClient,
    Client,
    Command,
    connect,
    connect_blocking,
    translated,
)
from common.redis.subscription import Subscription, subscribe

__all__ = [
    "BATCH",
    "COMMAND_SECONDS",
    "BlockingClient",
    "Client",
    "Command",
    "Subscription",
    "connect",
    "connect_blocking",
    "subscribe",
    "translated",
]
