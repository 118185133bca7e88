"""`python -m services.feynman` runs feynman."""

from cottage.stop_signals import end_on_signals


def main() -> None:
    end_on_signals()  # while all else is imported, which takes some tenths of a second
    from common import runner
    from cottage.clock import SystemClock
    from services.feynman.service import FeynmanService
    from services.feynman.settings import FeynmanSettings

    settings = FeynmanSettings.load("feynman", "Computes physics states from market snapshots.")
    runner.run("feynman", FeynmanService(settings, SystemClock()), settings)


if __name__ == "__main__":
    main()
