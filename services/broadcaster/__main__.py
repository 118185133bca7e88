"""`python -m services.broadcaster`: the only wiring of the broadcaster."""

from common import runner
from common.clock import SystemClock
from services.broadcaster.service import StateBroadcaster
from services.broadcaster.settings import BroadcasterSettings


def main() -> None:
    settings = BroadcasterSettings.load("broadcaster", "From the bridge to any number of WebSocket clients.")
    runner.run("broadcaster", StateBroadcaster(settings, SystemClock()), settings)


if __name__ == "__main__":
    main()
