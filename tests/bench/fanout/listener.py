"""A listener on `state_update` that does nothing with what it hears.

python -m tests.bench.fanout.listener REDIS_URL redis-py|ours
"""

import sys

import uvloop
from redis.asyncio import Redis

from cottage import keys
from cottage.redis import subscribe


async def plain(url: str) -> None:
    """The usual way, with the library's defaults."""
    pubsub = Redis.from_url(url).pubsub()
    await pubsub.subscribe(keys.STATE_UPDATE)
    print("listening", flush=True)
    async for _ in pubsub.listen():
        pass


async def ours(url: str) -> None:
    async with subscribe(url, keys.STATE_UPDATE) as subscription:
        print("listening", flush=True)
        while True:
            await subscription.messages(60)


if __name__ == "__main__":
    url, which = sys.argv[1:]
    uvloop.run(ours(url) if which == "ours" else plain(url))
