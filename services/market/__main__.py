"""`python -m services.market` runs the market service."""

from common import runner
from cottage.clock import SystemClock
from services.market.service import MarketService
from services.market.settings import MarketSettings


def main() -> None:
    settings = MarketSettings.load("market", "Writes market snapshots from a simulation or a recording to Redis.")
    runner.run("market", MarketService(settings, SystemClock()), settings)


if __name__ == "__main__":
    main()
