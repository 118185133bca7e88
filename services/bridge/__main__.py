"""`python -m services.bridge` runs the bridge."""

from cottage.stop_signals import end_on_signals


def main() -> None:
    end_on_signals()  # while all else is imported, which takes some tenths of a second
    from common import runner
    from common.open_redis import RedisBacking
    from cottage.clock import SystemClock
    from services.bridge.service import RedisBridge
    from services.bridge.settings import BridgeSettings

    settings = BridgeSettings.load("bridge", "Subscribes to Redis and sends the newest states to broadcasters.")
    runner.run("bridge", RedisBridge(settings, SystemClock()), settings, RedisBacking(settings))


if __name__ == "__main__":
    main()
