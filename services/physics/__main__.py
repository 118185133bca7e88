"""`python -m services.physics` runs the physics API."""

from cottage.stop_signals import end_on_signals


def main() -> None:
    end_on_signals()  # while all else is imported, which takes some tenths of a second
    from common import runner
    from common.open_redis import RedisBacking
    from cottage.clock import SystemClock
    from services.physics.service import PhysicsService
    from services.physics.settings import PhysicsSettings

    settings = PhysicsSettings.load("physics", "Serves physics states, regimes and market snapshots over HTTP.")
    runner.run("physics", PhysicsService(settings, SystemClock()), settings, RedisBacking(settings))


if __name__ == "__main__":
    main()
