"""`python -m cottage`: the command `cottage`."""

import sys

from cottage.cli import main

if __name__ == "__main__":
    sys.exit(main())
