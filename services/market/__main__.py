"""`python -m services.market`: one market, simulated or replayed, into Redis."""

from common import runner
from services.market.service import MarketService
from services.market.settings import MarketSettings


def main() -> None:
    settings = MarketSettings.load("market", "Turns one source of market data into snapshots in Redis.")
    runner.run("market", MarketService(settings), settings)


if __name__ == "__main__":
    main()
