"""The Redis client. No other package imports redis-py; this one knows its defaults, versions and faults.

topology.py    parses a REDIS_URL: one server, Sentinel or a cluster
connecting.py  makes a client from a REDIS_URL
client.py      the client: single commands, pipelines, and thousands of commands in bulk
slots.py       to which node of a cluster a command goes
router.py      which commands a client of a cluster sends to which node
cluster.py     clients of a cluster, with the same methods as all others
stream.py      bulk commands and subscriptions on one connection: the common interface of both implementations
pubsub.py      subscriptions that report every gap
strangers.py   whether a server answers somebody without credentials
outage.py      what is logged when Redis goes away (`redis_lost`) and is back (`redis_back`)
library.py     differences between the versions of redis-py
fast_path.py   bulk and pub/sub below the library's public face, with the version that they were tested with
"""

from cottage.redis.client import BATCH, BlockingClient, Client, Script, translated
from cottage.redis.connecting import COMMAND_SECONDS, Asked, connect, connect_asking, connect_blocking
from cottage.redis.pubsub import ChannelSubscription, subscribe
from cottage.redis.slots import Command
from cottage.redis.strangers import Reception, receptions

__all__ = [
    "BATCH",
    "COMMAND_SECONDS",
    "Asked",
    "BlockingClient",
    "ChannelSubscription",
    "Client",
    "Command",
    "Reception",
    "Script",
    "connect",
    "connect_asking",
    "connect_blocking",
    "receptions",
    "subscribe",
    "translated",
]
