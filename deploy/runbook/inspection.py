"""Inspection of a server, and deletion of keys: the functions behind several commands of the runbook."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import NoReturn

from cottage.redis import BlockingClient, subscribe, translated
from cottage.store import batches

METRICS: dict[str, Sequence[str]] = {
    "stats": ("total_commands_processed", "instantaneous_ops_per_sec"),
    "memory": ("used_memory_human", "maxmemory_human", "maxmemory_policy"),
    "clients": ("connected_clients", "blocked_clients"),
    "server": ("redis_version", "valkey_version", "uptime_in_seconds"),
    "traffic": ("total_net_output_bytes", "pubsub_channels", "keyspace_hits", "keyspace_misses"),
    "losses": ("expired_keys", "evicted_keys", "rejected_connections", "client_output_buffer_limit_disconnections"),
    "persistence": (
        "loading",
        "rdb_last_bgsave_status",
        "rdb_last_save_time",
        "rdb_changes_since_last_save",
        "aof_enabled",
        "aof_last_write_status",
        "aof_last_bgrewrite_status",
        "aof_current_size",
    ),
}


def stats(client: BlockingClient) -> Iterator[str]:
    """The most useful values of INFO and the number of keys, as `name: value` lines."""
    info = client.info("everything")
    for names in METRICS.values():
        yield from (f"{name}: {info[name]}" for name in names if name in info)
    yield f"keys: {client.dbsize()}"


def slow_commands(client: BlockingClient, count: int = 10) -> Iterator[str]:
    """The newest entries of the server's slow log, one line each."""
    for entry in client.slowlog_get(count):
        moment = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(entry["start_time"]))
        command = _text(entry["command"])
        client_address = _text(entry["client_address"])
        yield f"{moment}  {entry['duration'] / 1000:>9.1f} ms  {client_address}  {command[:200]}"


async def watch(url: str, channel: str, show: Callable[[str], None]) -> NoReturn:
    """Call `show` with every message of the channel, for ever."""
    async with subscribe(url, channel) as subscription:
        while True:
            for message in await subscription.messages(timeout=3600.0):
                show(_text(message))


def commands(client: BlockingClient) -> Iterator[str]:
    """Every command that the server receives (MONITOR), one line each, for ever."""
    with translated(client.connection_pool), client.monitor() as monitor:  # type: ignore[no-untyped-call]
        while True:
            yield _text(monitor.connection.read_response())


def count_all(client: BlockingClient) -> int:
    """The number of keys in all databases, which FLUSHALL would delete."""
    return sum(database["keys"] for name, database in client.info("keyspace").items() if name.startswith("db"))


def delete(client: BlockingClient, names: Sequence[bytes]) -> int:
    """Delete keys with UNLINK, which does not block the server. Returns how many existed."""
    return sum(int(client.unlink(*part)) for part in batches(names))


def _text(data: bytes | str) -> str:
    return data if isinstance(data, str) else data.decode(errors="backslashreplace")
