"""`python -m services.feynman` runs feynman."""

import gc

from cottage.stop_signals import end_on_signals

YOUNG = 200_000
"""Allocations before Python collects the youngest generation: more than a tick over 25,000 symbols holds. These end
with the tick by themselves, and looking through them for cycles would cost a tick over 10,000 symbols some 10 ms."""


def main() -> None:
    end_on_signals()  # while all else is imported, which takes some tenths of a second
    from common import runner
    from common.open_redis import RedisBacking
    from cottage.clock import SystemClock
    from services.feynman.service import FeynmanService
    from services.feynman.settings import FeynmanSettings

    settings = FeynmanSettings.load("feynman", "Computes physics states from market snapshots.")
    gc.set_threshold(YOUNG)
    runner.run("feynman", FeynmanService(settings, SystemClock()), settings, RedisBacking(settings))


if __name__ == "__main__":
    main()
