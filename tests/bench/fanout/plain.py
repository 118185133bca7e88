"""The usual server, as the reference: each message of the bridge goes to all clients by `websockets.broadcast()`.

python -m tests.bench.fanout.plain PORT BRIDGE_PORT
"""

import sys

import uvloop
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, broadcast, serve

clients: set[ServerConnection] = set()


async def client(connection: ServerConnection) -> None:
    clients.add(connection)
    try:
        await connection.wait_closed()
    finally:
        clients.discard(connection)


async def main(port: int, bridge_port: int) -> None:
    async with (
        serve(client, "127.0.0.1", port, compression=None),
        connect(f"ws://127.0.0.1:{bridge_port}/ws", compression=None, proxy=None, max_size=None) as bridge,
    ):
        print("listening", flush=True)
        async for message in bridge:
            broadcast(clients, message)


if __name__ == "__main__":
    port, bridge_port = map(int, sys.argv[1:])
    uvloop.run(main(port, bridge_port))
