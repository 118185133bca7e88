"""The option `--token-file` of the commands that ask a server, how `--help` tells of it, and what is to be done
without a good token."""

import argparse

from cottage.token_file import FILE_VARIABLE, VARIABLE

TOKEN_VARIABLES = f"""\
  {VARIABLE}       the token, where the server asks for one and --token-file is not given. Every
                      program of this user can see it there; rather say, in
  {FILE_VARIABLE}  which file it is in. The file is read again before the token ends"""


def add_token(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--token-file",
        metavar="FILE",
        help=f"a file with a token, for a server that asks for one (default: {FILE_VARIABLE}, else {VARIABLE})",
    )


def next_step(token: object) -> str:
    """What to do where a server refuses `token`; None: where it was shown none."""
    return f"give {'one' if token is None else 'a new one'} with --token-file, {FILE_VARIABLE} or {VARIABLE}"
