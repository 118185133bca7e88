"""Physics states out of Redis, for agents and risk checks, with how far each may be trusted."""
