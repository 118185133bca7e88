"""`make run FRESH=1`: deletes what earlier runs left of markets and physics, before any service is started.

These are states, snapshots, announcements of feeds and checkpoints. What agents keep in Redis stays.
"""

import asyncio
from pathlib import Path

from cottage import keys
from cottage.errors import CottageError
from cottage.redis import connect
from cottage.store import SCAN_COUNT, scan

LEASE_SECONDS = 7.0
"""The lease of a feynman that was killed is gone by then, at its usual lifetime."""
POLL_SECONDS = 0.2

_PREFIXES = (keys.PHYSICS_STATE, keys.MARKET_SNAPSHOT, keys.MARKET_FEED, keys.MARKET_WARM)
PATTERNS = tuple(f"{prefix}*" for prefix in _PREFIXES)
CHECKPOINTS = "windows-*-of-*.npz"


async def begin_fresh(url: str, checkpoints: Path) -> tuple[int, int]:
    """Delete all that is left. Returns how many keys and files that were.

    Raises CottageError, and deletes nothing, where a feynman runs on this Redis; RedisError; OSError.
    """
    async with connect(url) as client:
        for _poll in range(round(LEASE_SECONDS / POLL_SECONDS)):
            if not (leases := await scan(client, keys.PHYSICS_WRITER)):
                break
            await asyncio.sleep(POLL_SECONDS)
        if leases:
            raise CottageError("FRESH=1: a feynman runs on this Redis, and would bring everything back: stop it")
        deleted = await client.delete(keys.PHYSICS_RETIRE) + await client.delete(keys.PHYSICS_RETIRED)
        for pattern in PATTERNS:
            found = [key async for key in client.scan_iter(match=pattern, count=SCAN_COUNT)]
            deleted += sum(await client.bulk(("DEL", key) for key in found))
    return deleted, await asyncio.to_thread(_delete_files, checkpoints)


def _delete_files(folder: Path) -> int:
    files = list(folder.glob(CHECKPOINTS))
    for file in files:
        file.unlink(missing_ok=True)
    return len(files)
