"""`python -m services.recorder` runs the recorder."""

from cottage.stop_signals import end_on_signals


def main() -> None:
    end_on_signals()  # while all else is imported, which takes some tenths of a second
    from common import runner
    from cottage.clock import SystemClock
    from services.recorder.service import NothingRecorded, StateRecorder
    from services.recorder.settings import RecorderSettings

    settings = RecorderSettings.load("recorder", "Writes all that passes to a record, from which it can be proven.")
    service = StateRecorder(settings, SystemClock()) if settings.on else NothingRecorded()
    runner.run("recorder", service, settings)


if __name__ == "__main__":
    main()
