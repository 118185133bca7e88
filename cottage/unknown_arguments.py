"""How a command line says that it does not know an argument: the command `cottage` and the services say it so."""

import re
from collections.abc import Iterable

_FLAG = re.compile(r"--[A-Za-z-]{1,40}(=\d{1,4}$|(?==|$))")
"""What is shown of a flag that there is not: a small number is no secret."""


def unknown_arguments(given: Iterable[str]) -> str:
    """What is wrong, with the flags alone: what stands behind one, such as `--token`, may be a secret."""
    flags = [match[0] for each in given if (match := _FLAG.match(each))]
    return f"unrecognized arguments: {' '.join(flags)}" if flags else "what is no flag is not taken"
