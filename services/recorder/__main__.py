"""`python -m services.recorder` runs the recorder."""

import gc

from cottage.stop_signals import end_on_signals

YOUNG = 500_000
"""Allocations before Python collects the youngest generation: more than two seconds of 10,000 symbols hold. These end
by themselves, and looking through them for cycles would cost an eighth of a core."""


def main() -> None:
    end_on_signals()  # while all else is imported, which takes some tenths of a second
    from common import runner
    from common.open_redis import RedisBacking
    from cottage.clock import SystemClock
    from cottage.record.hidden_pandas import hide_pandas
    from services.recorder.service import NothingRecorded, StateRecorder
    from services.recorder.settings import RecorderSettings

    settings = RecorderSettings.load("recorder", "Writes all that passes to a record, from which it can be proven.")
    service = StateRecorder(settings, SystemClock()) if settings.on else NothingRecorded()
    gc.set_threshold(YOUNG)
    hide_pandas()
    runner.run("recorder", service, settings, RedisBacking(settings) if settings.on else None)


if __name__ == "__main__":
    main()
