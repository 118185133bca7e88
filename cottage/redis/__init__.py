"""The only package that imports redis-py: it knows that library's defaults and faults.

    topology.py          what a REDIS_URL speaks of: one server, Sentinel, a cluster
    connecting.py        from a REDIS_URL to a client
    client.py            commands, one by one, in pipelines, thousands in bulk
    routes.py            where in a cluster a command goes
    cluster.py           a client of a cluster, with the face of any other
    blocking_cluster.py  what a reader without an event loop asks of one
    subscription.py      pub/sub, read and parsed below the library's public face

pyproject.toml bounds the library's version, and the tests of this package fail when what it leans on moves: a
connection's `_reader`, `_writer` and `_parser.parse_error`, and the pool's `get_connection` and `release`.
"""

from cottage.redis.client import BATCH, BlockingClient, Client, Script, translated
from cottage.redis.connecting import COMMAND_SECONDS, Asked, connect, connect_asking, connect_blocking
from cottage.redis.pubsub import ChannelSubscription, subscribe
from cottage.redis.slots import Command
from cottage.redis.topology import topology

__all__ = [
    "BATCH",
    "COMMAND_SECONDS",
    "Asked",
    "BlockingClient",
    "ChannelSubscription",
    "Client",
    "Command",
    "Script",
    "connect",
    "connect_asking",
    "connect_blocking",
    "subscribe",
    "topology",
    "translated",
]
