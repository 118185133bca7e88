"""Reads market data from files: recordings of trades or bars as CSV. The market service replays them."""
