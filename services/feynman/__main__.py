"""`python -m services.feynman` runs feynman."""

from common import runner
from cottage.clock import SystemClock
from services.feynman.service import FeynmanService
from services.feynman.settings import FeynmanSettings


def main() -> None:
    settings = FeynmanSettings.load("feynman", "Computes physics states from market snapshots.")
    runner.run("feynman", FeynmanService(settings, SystemClock()), settings)


if __name__ == "__main__":
    main()
