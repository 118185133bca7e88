"""Whether a person looks at what a command prints, and what its tables need."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from cottage.errors import MissingExtra


def is_terminal() -> bool:
    """Whether stdout is a terminal that can show a table."""
    return sys.stdout.isatty() and os.environ.get("TERM") not in ("dumb", "unknown")


@contextmanager
def needing_rich() -> Iterator[None]:
    """Around the import of a module that draws: MissingExtra where rich is not installed."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingExtra(
            f"the table needs {error.name}: pip install 'curiosity-cottage[terminal]' (--json does without)"
        ) from error


def print_rich(render: Callable[[int, int], Any]) -> None:
    """Print what `render` makes with rich for a width and a height, those of the terminal."""
    from rich.console import Console

    console = Console(highlight=False)
    with console.capture() as drawn:
        console.print(render(*console.size))
    print(drawn.get(), end="")  # rich would end the program itself where a pipe is closed
