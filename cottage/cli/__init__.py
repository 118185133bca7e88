"""The command `cottage`: the market's physics state for a person at a terminal, or for a shell script.

    arguments.py    the command line: commands, options and --help
    print_state.py  `cottage state`: prints states from Redis
    retire.py       `cottage retire`: has feynman forget symbols that are gone for good
    watch.py        `cottage watch`: follows a broadcaster, and shows its states on one of two displays
    terminal.py     the display for a terminal: a table that is redrawn in place
    table.py        the layout of that table; pure
    lines.py        the display for pipes: JSON lines
    view.py         the rows and the messages that both displays show; pure

Only terminal.py and table.py need rich. Pure modules do no input or output.
"""

import asyncio
import logging
import os
import sys
from argparse import Namespace
from collections.abc import Callable, Sequence

from cottage.errors import CottageError, InvalidName, MissingExtra, SettingsError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `cottage ARGUMENTS` and return its exit status. The installed command and `python -m cottage` call it."""
    from cottage.cli.arguments import parse

    logging.getLogger("cottage").addHandler(logging.NullHandler())  # the command prints each problem once, by itself
    given = parse(arguments)
    return exit_status("cottage", lambda: _COMMANDS[given.command](given))


def exit_status(program: str, run: Callable[[], int]) -> int:
    """Call `run` and return its exit status. An error is printed as one line; the status is then 2 if the request is
    wrong, and 1 if it could not be carried out. Ctrl-C and a closed pipe are a normal end. `cottage` and the make
    targets of deploy/runbook use it."""
    try:
        status = run()
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # at its exit Python flushes what is buffered
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


def _retire(given: Namespace) -> int:
    from cottage.cli.retire import retire

    asyncio.run(retire(given.redis_url, given.patterns, dry_run=given.dry_run))
    return 0


def _probe(given: Namespace) -> int:
    from cottage.probe import probe

    print(asyncio.run(probe(given.url, full=given.full)))
    return 0


_COMMANDS: dict[str, Callable[[Namespace], int]] = {
    "watch": _watch,
    "state": _state,
    "retire": _retire,
    "probe": _probe,
}
