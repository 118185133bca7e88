"""The only package that imports redis-py: it knows that library's defaults, versions and faults.

topology.py    what a REDIS_URL speaks of: one server, Sentinel, a cluster
connecting.py  from a REDIS_URL to a client
client.py      commands, one by one, in pipelines, thousands in bulk
slots.py       where in a cluster a command goes
router.py      what a client of a cluster asks which node
cluster.py     clients of a cluster, with the face of any other
stream.py      what is done on one connection, by either face of the library
pubsub.py      subscriptions that never hide a gap
outage.py      the log events of a Redis that is lost and back
library.py     what is known of redis-py's versions
fast_path.py   bulk and pub/sub below the library's public face, with the version that they were tested with
"""

from cottage.redis.client import BATCH, BlockingClient, Client, Script, translated
from cottage.redis.connecting import COMMAND_SECONDS, Asked, connect, connect_asking, connect_blocking
from cottage.redis.pubsub import ChannelSubscription, subscribe
from cottage.redis.slots import Command

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
    "translated",
]
