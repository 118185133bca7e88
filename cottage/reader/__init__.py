"""The reader: physics states from Redis with their freshness, for agents, risk checks and the HTTP API."""
