"""`python -m deploy.cottage_here ARGUMENTS`: the command `cottage` with the URLs of `make run`. The Makefile uses it.

COTTAGE_URL, COTTAGE_API_URL and REDIS_URL (or REDIS_URL_FILE) take precedence if they are set. If nothing runs here,
the command uses its own defaults.
"""

import os
from collections.abc import Mapping

from cottage.cli import command
from cottage.redis_login import PASSWORD, URL, USERNAME
from cottage.redis_tls import OPTIONS
from cottage.secret_values import file_variable, is_set
from cottage.stop_signals import end_on_signals

VARIABLES = {"COTTAGE_URL": "WEBSOCKET_URL", "COTTAGE_API_URL": "API_URL", "REDIS_URL": "REDIS_URL"}
"""The environment variables of the command, and the variables of urls.env that they are set from."""


def settings_here(environment: Mapping[str, str], found: Mapping[str, str]) -> dict[str, str]:
    """The environment of the command, with what is `found` in urls.env where it says nothing else."""
    missing = {
        name: found[there] for name, there in VARIABLES.items() if there in found and not is_set(environment, name)
    }
    login: set[str] = set()
    if URL in missing:  # it is whole, with the user, the password and the files of TLS that the run was given
        login = {USERNAME, PASSWORD, file_variable(PASSWORD), *OPTIONS}
    return {name: value for name, value in environment.items() if name.upper() not in login} | missing


if __name__ == "__main__":
    end_on_signals()
    from deploy.run_directory import read_urls, run_folder

    here = settings_here(os.environ, read_urls(run_folder()) or {})
    os.environ.clear()
    os.environ.update(here)
    command()
