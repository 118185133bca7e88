"""From when on a state is no longer trusted, whoever holds it: the contract's thresholds, in seconds."""

STALE_SECONDS = 10.0
"""Since its sample."""
EXPIRED_SECONDS = 60.0
"""Since its sample, or since a hop fell silent."""
SILENT_SECONDS = 3.0
"""How long a hop is silent before what came through it is stale."""
