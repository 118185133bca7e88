"""`python -m services.bridge`: the only wiring of the bridge."""

from common import runner
from cottage.clock import SystemClock
from services.bridge.service import RedisBridge
from services.bridge.settings import BridgeSettings


def main() -> None:
    settings = BridgeSettings.load("bridge", "From Redis to broadcasters: subscribes, decides what is newest, heals.")
    runner.run("bridge", RedisBridge(settings, SystemClock()), settings)


if __name__ == "__main__":
    main()
