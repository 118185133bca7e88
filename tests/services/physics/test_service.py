from cottage.clock import SystemClock
from services.physics.service import PhysicsService
from services.physics.settings import PhysicsSettings


def test_before_it_runs_it_is_not_ready_and_tells_no_password() -> None:
    settings = PhysicsSettings(REDIS_URL="redis://user:secret@localhost:1")
    service = PhysicsService(settings, SystemClock())
    assert service.not_ready() == "Redis was not asked yet"
    status = service.status()
    assert status["redis"]["url"] == "redis://user:***@localhost:1"
    assert (status["writer"], status["feeds"], status["remembered"]) == (None, None, 0)
