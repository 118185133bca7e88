"""What the tests of the bridge share: it does in tenths of a second what it does in seconds."""

import pytest

from cottage import consumer
from deploy.redis_server import free_port
from services.bridge import reconciler


@pytest.fixture
def impatient_bridge(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumer, "PING_SECONDS", 0.3)
    monkeypatch.setattr(consumer, "RECONCILE_PAUSE_SECONDS", 0.3)
    monkeypatch.setattr(reconciler, "SHARE_SECONDS", 0.1)
    monkeypatch.setattr(reconciler, "AGAIN_SECONDS", 0.1)
    monkeypatch.setattr(reconciler, "LOOKS_APART_SECONDS", 0.5)


@pytest.fixture
def port() -> int:
    """A free one, for a bridge."""
    return free_port()
