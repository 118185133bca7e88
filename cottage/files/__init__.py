"""Market data in files: recordings of trades or bars as CSV. The market service replays them."""
