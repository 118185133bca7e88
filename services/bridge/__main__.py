"""`python -m services.bridge` runs the bridge."""

from common import runner
from cottage.clock import SystemClock
from services.bridge.service import RedisBridge
from services.bridge.settings import BridgeSettings


def main() -> None:
    settings = BridgeSettings.load("bridge", "Subscribes to Redis and sends the newest states to broadcasters.")
    runner.run("bridge", RedisBridge(settings, SystemClock()), settings)


if __name__ == "__main__":
    main()
