"""`python -m deploy.runbook COMMAND`: the make targets of the runbook."""

from cottage.stop_signals import end_on_signals

if __name__ == "__main__":
    end_on_signals()  # while all else is imported
    from deploy.runbook.commands import main

    status = main()
    end_on_signals(status)
    raise SystemExit(status)
