"""The command `cottage`: the market's physics state for a person at a terminal, or for a shell script.

    arguments.py         the command line: commands, options and --help
    record_arguments.py  those of the commands that ask about the record
    token_option.py      --token-file
    values.py            values of options; typed_times.py: times and lengths of time; pure
    print_state.py       `cottage state`: prints states from Redis
    print_record.py      `cottage history`, `changes` and `gaps`: print what the physics API answers from the record
    print_proof.py       `cottage proof`: prints whether a recorded state can be believed
    retire.py            `cottage retire`: has feynman forget symbols that are gone for good
    inspect.py           `cottage inspect`: prints what is understood of a recording
    compare_records.py   `cottage compare`: prints where two records differ
    verify_record.py     `cottage verify`: prints what in a record is not as it was written
    mint_token.py        `cottage token`: mints a token for development, or for a desk
    watch.py             `cottage watch`: follows a broadcaster, and shows its states on one of two displays
    terminal.py          the display for a terminal: a table that is redrawn in place
    table.py             the layout of that table; history_view.py, events_view.py: of what was recorded; pure
    text_chart.py        charts of text; texts.py: numbers and words in the cells of tables; pure
    lines.py             the display for pipes: JSON lines
    view.py              the rows and the messages that both displays show; pure
    screen.py            whether stdout is a terminal

Only terminal.py, table.py and the views need rich. Pure modules do no input or output.
"""

from __future__ import annotations

from cottage.stop_signals import end_on_signals, interrupt_on_signals

TYPE_CHECKING = False  # as in cottage/__init__.py
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Sequence
    from typing import NoReturn


def command() -> NoReturn:
    """The installed command, and `python -m cottage`."""
    end_on_signals()  # while all else is imported
    status = main()
    end_on_signals(status)
    raise SystemExit(status)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `cottage ARGUMENTS` and return its exit status."""
    import logging

    from cottage.cli.arguments import parse

    logging.getLogger("cottage").addHandler(logging.NullHandler())  # the command prints each problem once, by itself
    given = parse(arguments)
    return exit_status("cottage", lambda: _run(given))


def exit_status(program: str, run: Callable[[], int]) -> int:
    """Call `run` and return its exit status. An error is printed as one line; the status is then 2 if the request is
    wrong, and 1 if it could not be carried out. Ctrl-C and a closed pipe are a normal end. `run` may call
    `interrupt_on_signals`. `cottage` and the make targets of deploy/runbook use it."""
    import os
    import sys

    from cottage.errors import ApiRefused, CottageError, InvalidName, MissingExtra, SettingsError

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
        return 2 if isinstance(error, ApiRefused) and error.is_wrong else 1
    return status


def _run(given: Namespace) -> int:
    from cottage.cli.token_option import next_step
    from cottage.errors import ApiUnauthorized

    try:
        return _COMMANDS[given.command](given)
    except ApiUnauthorized as error:
        raise ApiUnauthorized(error.status, error.code, f"{error}; {next_step(given.token)}") from error


def _watch(given: Namespace) -> int:
    from cottage.cli.watch import watch

    watch(given)
    return 0


def _state(given: Namespace) -> int:
    from cottage.cli import print_state

    interrupt_on_signals()
    if given.stored:
        print_state.print_stored(given.redis_url, given.symbols)
    else:
        print_state.print_states(given.redis_url, given.symbols, given.max_age)
    return 0


def _history(given: Namespace) -> int:
    from cottage.cli.print_record import print_history

    interrupt_on_signals()
    print_history(given)
    return 0


def _events(given: Namespace) -> int:
    from cottage.cli.print_record import print_events

    interrupt_on_signals()
    print_events(given)
    return 0


def _proof(given: Namespace) -> int:
    from cottage.cli.print_proof import print_proof

    interrupt_on_signals()
    return 0 if print_proof(given) else 1


def _retire(given: Namespace) -> int:
    import asyncio

    from cottage.cli.retire import retire

    interrupt_on_signals()
    asyncio.run(retire(given.redis_url, given.patterns, dry_run=given.dry_run))
    return 0


def _probe(given: Namespace) -> int:
    import asyncio

    from cottage.probe import local_ops, probe

    interrupt_on_signals()
    print(asyncio.run(probe(given.url, full=given.full, token=given.token, ops=local_ops(given.url))))
    return 0


def _inspect(given: Namespace) -> int:
    from cottage.cli.inspect import inspect

    interrupt_on_signals()
    inspect(given)
    return 0


def _compare(given: Namespace) -> int:
    from cottage.cli.compare_records import compare

    interrupt_on_signals()
    return compare(given.a, given.b)


def _verify(given: Namespace) -> int:
    from cottage.cli.verify_record import verify_record

    interrupt_on_signals()
    return 0 if verify_record(given.folder, given.head) else 1


def _token(given: Namespace) -> int:
    from cottage.cli.mint_token import print_token

    interrupt_on_signals()
    print_token(given)
    return 0


_COMMANDS: dict[str, Callable[[Namespace], int]] = {
    "watch": _watch,
    "state": _state,
    "history": _history,
    "changes": _events,
    "gaps": _events,
    "proof": _proof,
    "retire": _retire,
    "probe": _probe,
    "inspect": _inspect,
    "compare": _compare,
    "verify": _verify,
    "token": _token,
}
