"""`python -m services.feynman`: the only wiring of feynman."""

from common import runner
from cottage.clock import SystemClock
from services.feynman.service import FeynmanService
from services.feynman.settings import FeynmanSettings


def main() -> None:
    settings = FeynmanSettings.load("feynman", "From market snapshots to physics states, once a second.")
    runner.run("feynman", FeynmanService(settings, SystemClock()), settings)


if __name__ == "__main__":
    main()
