"""`python -m deploy.run`, which is `make run`: Redis and all services in one terminal (docs/running.md).

The exit status is 0 if it was stopped, 1 if something could not be started, and 2 for a bad setting.
"""

from cottage.stop_signals import end_on_signals


def main() -> int:
    end_on_signals()  # while all else is imported, and nothing is started
    import asyncio
    import os
    import sys

    from common import logs, output, termination
    from cottage.errors import CottageError, SettingsError
    from deploy import suite
    from deploy.run_directory import only_run, run_folder
    from deploy.run_plan import check_settings, log_options, make_plan, misspelt

    output.own_streams()
    if sys.platform == "win32":
        sys.stderr.write("make run: Windows is served by Docker: run `docker compose up` instead\n")
        return 2
    try:
        level, style = log_options(os.environ)
        logs.configure("run", level, style)
        log = logs.get_logger()
        for each in misspelt(os.environ):
            log.warning("unknown_setting", variable=each.variable, nearest=each.nearest, note="it is ignored")
        check_settings()
        with only_run(run_folder()) as lock:
            asyncio.run(suite.run(make_plan(), run_folder(), lock, style))
    except CottageError as error:
        termination.report(str(error))
        sys.stderr.write(f"make run: {error}\n")
        return 2 if isinstance(error, SettingsError) else 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
