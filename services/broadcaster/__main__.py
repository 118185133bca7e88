"""`python -m services.broadcaster`: the only wiring of the broadcaster; with --probe it asks one that runs."""

import asyncio
import sys

from common import runner
from cottage.clock import SystemClock
from cottage.probe import Unhealthy, probe, url_of
from services.broadcaster.service import StateBroadcaster
from services.broadcaster.settings import BroadcasterSettings

WORDS = {
    "probe": "start none, but ask the one at this host and port as a client would: exit 0 where it greets, else 1",
    "full": "with --probe: exit 0 only where Feynman is heard through the whole chain",
}


def main() -> None:
    settings, words = BroadcasterSettings.load_with_words(
        "broadcaster", "From the bridge to any number of WebSocket clients.", WORDS
    )
    if "probe" in words:
        sys.exit(_probe(settings, full="full" in words))
    if words:
        sys.stderr.write("broadcaster: --full goes with --probe\n")
        sys.exit(2)
    runner.run("broadcaster", StateBroadcaster(settings, SystemClock()), settings)


def _probe(settings: BroadcasterSettings, *, full: bool) -> int:
    try:
        found = asyncio.run(probe(url_of(settings.host, settings.port), full=full))
    except Unhealthy as error:
        sys.stderr.write(f"broadcaster: {error}\n")
        return 1
    sys.stdout.write(f"{found}\n")
    return 0


if __name__ == "__main__":
    main()
