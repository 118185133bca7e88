"""A client of a broadcaster, over a WebSocket."""
