"""The command `cottage`: the market's physics state for a person at a terminal, or for a shell script.

    arguments.py    what may be asked, and --help
    print_state.py  `cottage state`
    watch.py        `cottage watch`: follows a broadcaster, and shows what it sends on one of two displays
    terminal.py     a table on a terminal, which is redrawn in place
    table.py        what it looks like; pure
    lines.py        JSON lines, for pipes
    view.py         what either shows of a client, in words; pure

Only terminal.py and table.py need rich.
"""

import asyncio
import logging
import os
import sys
from argparse import Namespace
from collections.abc import Callable, Sequence

from cottage.errors import CottageError, InvalidName, MissingExtra, SettingsError


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status of `cottage ARGUMENTS`."""
    from cottage.cli.arguments import parse

    logging.getLogger("cottage").addHandler(logging.NullHandler())  # what is wrong is said once, in a line of our own
    given = parse(arguments)
    return exit_status("cottage", lambda: _COMMANDS[given.command](given))


def exit_status(program: str, run: Callable[[], int]) -> int:
    """The status that `run` gives. An error becomes one line, and 2 where what was asked is wrong, 1 where it could
    not be done. Ctrl-C, and a pipe that nobody reads any more, are an end like any other."""
    try:
        status = run()
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python writes what is left when it ends
        return 0
    except KeyboardInterrupt:
        return 0
    except (SettingsError, InvalidName, MissingExtra) as error:
        print(f"{program}: {error}", file=sys.stderr)
        return 2
    except (CottageError, OSError) as error:
        print(f"{program}: {error}", file=sys.stderr)
        return 1
    return status


def _watch(given: Namespace) -> int:
    from cottage.cli.watch import watch

    watch(given)
    return 0


def _state(given: Namespace) -> int:
    from cottage.cli import print_state

    if given.stored:
        print_state.print_stored(given.redis_url, given.symbols)
    else:
        print_state.print_states(given.redis_url, given.symbols, given.max_age)
    return 0


def _probe(given: Namespace) -> int:
    from cottage.probe import probe

    print(asyncio.run(probe(given.url, full=given.full)))
    return 0


_COMMANDS: dict[str, Callable[[Namespace], int]] = {"watch": _watch, "state": _state, "probe": _probe}
