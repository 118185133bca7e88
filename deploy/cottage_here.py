"""`python -m deploy.cottage_here ARGUMENTS`: the command `cottage` with the URLs of `make run`. The Makefile uses it.

COTTAGE_URL, COTTAGE_API_URL and REDIS_URL take precedence if they are set. If nothing runs here, the command uses its
own defaults.
"""

import os

from cottage.cli import command
from cottage.stop_signals import end_on_signals
from cottage.variables import value_of

VARIABLES = {"COTTAGE_URL": "WEBSOCKET_URL", "COTTAGE_API_URL": "API_URL", "REDIS_URL": "REDIS_URL"}
"""The environment variables of the command, and the variables of urls.env that they are set from."""

if __name__ == "__main__":
    end_on_signals()
    from deploy.run_directory import read_urls, run_folder

    found = read_urls(run_folder()) or {}
    os.environ.update(
        {name: found[there] for name, there in VARIABLES.items() if there in found and not value_of(os.environ, name)}
    )
    command()
