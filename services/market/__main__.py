"""`python -m services.market` runs the market service."""

from cottage.stop_signals import end_on_signals


def main() -> None:
    end_on_signals()  # while all else is imported, which takes some tenths of a second
    from common import runner
    from common.open_redis import RedisBacking
    from cottage.clock import SystemClock
    from services.market.service import MarketService
    from services.market.settings import MarketSettings

    settings = MarketSettings.load("market", "Writes market snapshots from a simulation or a recording to Redis.")
    runner.run("market", MarketService(settings, SystemClock()), settings, RedisBacking(settings))


if __name__ == "__main__":
    main()
