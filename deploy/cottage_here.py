"""`python -m deploy.cottage_here ARGUMENTS`: the command `cottage`, for the run of `make run` in this folder.

COTTAGE_URL and REDIS_URL win where they are set; without a run the command's own defaults hold.
"""

import os
import sys

from cottage.cli import main
from deploy.run_directory import read_urls, run_folder

VARIABLES = {"COTTAGE_URL": "WEBSOCKET_URL", "REDIS_URL": "REDIS_URL"}
"""The variable of the command, and the one in urls.env."""

if __name__ == "__main__":
    found = read_urls(run_folder()) or {}
    os.environ.update(
        {name: found[there] for name, there in VARIABLES.items() if there in found and not os.environ.get(name)}
    )
    sys.exit(main())
