"""`python -m services.broadcaster`: the only wiring of the broadcaster; with --probe it asks one that runs."""

import asyncio
import sys

from common import runner
from common.clock import SystemClock
from services.broadcaster.probe import Unhealthy, probe
from services.broadcaster.service import StateBroadcaster
from services.broadcaster.settings import BroadcasterSettings

PURPOSE = (
    "From the bridge to any number of WebSocket clients. "
    "With --probe: ask the broadcaster that runs at this host and port, as a client would; exit 0 where it greets "
    "clients, else 1 with one line. With --probe --full: exit 0 only where Feynman is heard through the whole chain."
)


def main() -> None:
    words = {word for word in sys.argv[1:] if word in ("--probe", "--full")}
    arguments = [word for word in sys.argv[1:] if word not in words]
    settings = BroadcasterSettings.load("broadcaster", PURPOSE, arguments)
    if "--probe" in words:
        sys.exit(_probe(settings, full="--full" in words))
    if words:
        sys.stderr.write("broadcaster: --full goes with --probe\n")
        sys.exit(2)
    runner.run("broadcaster", StateBroadcaster(settings, SystemClock()), settings)


def _probe(settings: BroadcasterSettings, *, full: bool) -> int:
    try:
        found = asyncio.run(probe(settings.host, settings.port, full=full))
    except Unhealthy as error:
        sys.stderr.write(f"broadcaster: {error}\n")
        return 1
    sys.stdout.write(f"{found}\n")
    return 0


if __name__ == "__main__":
    main()
