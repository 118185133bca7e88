"""`python -m services.physics` runs the physics API."""

from common import runner
from cottage.clock import SystemClock
from services.physics.service import PhysicsService
from services.physics.settings import PhysicsSettings


def main() -> None:
    settings = PhysicsSettings.load("physics", "Serves physics states, regimes and market snapshots over HTTP.")
    runner.run("physics", PhysicsService(settings, SystemClock()), settings)


if __name__ == "__main__":
    main()
