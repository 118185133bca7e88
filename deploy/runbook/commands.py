"""The commands of the runbook, one for each of its make targets.

Exit status 0: done; 1: it could not be done; 2: a wrong argument, or no Redis to work on.
"""

import argparse
import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path

from cottage import keys
from cottage.cli import exit_status
from cottage.cli.print_state import print_stored
from cottage.errors import SettingsError
from cottage.redis import COMMAND_SECONDS, BlockingClient, connect_blocking
from cottage.stop_signals import interrupt_on_signals
from deploy.runbook import inspection
from deploy.runbook.dump import check
from deploy.runbook.key_reader import all_keys
from deploy.runbook.target import InContainer, find_target
from deploy.runbook.transfer import READ_SECONDS, commands_of, export_to, import_from, say, whole_file

FOREVER_SECONDS = 1e6  # between two commands that MONITOR shows


def main(arguments: Sequence[str] | None = None) -> int:
    given = _parser().parse_args(arguments)
    return exit_status("runbook", lambda: _run(given))


def _run(given: argparse.Namespace) -> int:
    interrupt_on_signals()
    _check(given)
    target = find_target()
    say(f"target: {target}")
    if isinstance(target, InContainer):
        return _in_container(target, given)
    run: Command = given.run
    return run(target.url, given) or 0


Command = Callable[[str, argparse.Namespace], int | None]
"""Works on the Redis at a URL. It returns the exit status; None is 0."""


def _with_client(
    work: Callable[[BlockingClient, argparse.Namespace], int | None], timeout: float = COMMAND_SECONDS
) -> Command:
    """A command that works through one connection, on which an answer may take `timeout` seconds."""

    def run(url: str, given: argparse.Namespace) -> int | None:
        with connect_blocking(url, timeout=timeout) as client:
            return work(client, given)

    return run


def _state(url: str, given: argparse.Namespace) -> None:
    print_stored(url, [given.symbol])


def _watch(url: str, _given: argparse.Namespace) -> None:
    asyncio.run(inspection.watch(url, keys.STATE_UPDATE, _print_now))


def _keys(client: BlockingClient, given: argparse.Namespace) -> None:
    names = all_keys(client, given.pattern)
    for name in names:
        print(name.decode(errors="backslashreplace"))
    say(f"{len(names):,} keys")


def _monitor(client: BlockingClient, _given: argparse.Namespace) -> None:
    for line in inspection.commands(client):
        _print_now(line)


def _stats(client: BlockingClient, _given: argparse.Namespace) -> None:
    print(*inspection.stats(client), sep="\n")


def _slowlog(client: BlockingClient, _given: argparse.Namespace) -> None:
    lines = list(inspection.slow_commands(client))
    print(*lines or ["no command took longer than the server's slowlog-log-slower-than"], sep="\n")


def _delete(client: BlockingClient, given: argparse.Namespace) -> int:
    names = all_keys(client, given.pattern)
    say(f"{len(names):,} keys match {given.pattern}")
    if given.count or not names:
        return 0
    if not _agreed(given, f"delete these {len(names):,} keys"):
        return 1
    say(f"deleted {inspection.delete(client, names):,} keys")
    return 0


def _flush(client: BlockingClient, given: argparse.Namespace) -> int:
    count = inspection.count_all(client)
    say(f"it holds {count:,} keys")
    if given.count:
        return 0
    if not _agreed(given, f"delete all {count:,} keys"):
        return 1
    client.flushall()
    say("everything is deleted")
    return 0


def _export(client: BlockingClient, given: argparse.Namespace) -> int:
    to_stdout = given.file == "-"
    with nullcontext(sys.stdout.buffer) if to_stdout else whole_file(Path(given.file)) as file:
        summary, failed = export_to(client, file)
    where = "" if to_stdout else f" to {given.file}"
    say(f"exported {summary.keys:,} keys{where}, {failed:,} failed")
    return 1 if failed else 0


def _import(client: BlockingClient, given: argparse.Namespace) -> int:
    if given.file == "-":  # the other side has checked it, and its end is checked here
        result = import_from(client, sys.stdin.buffer)
    else:
        with commands_of(Path(given.file)) as (file, summary):
            result = import_from(client, file, summary.commands)
    say(f"imported {result.keys:,} keys with {result.commands:,} commands, {result.failed:,} of them failed")
    if result.missing:
        say(f"{result.missing:,} of them are not there now: their time was over, or somebody took them")
    if result.evicted:
        say(f"{result.evicted:,} keys were evicted meanwhile: maxmemory is too small for all")
    return 1 if result.failed else 0


def _in_container(target: InContainer, given: argparse.Namespace) -> int:
    """The same command in a container; files and questions stay here."""
    name: str = given.command
    if name == "export":
        with whole_file(Path(given.file)) as file:
            command = target.command(["export", "-"])
            status = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=file, check=False).returncode
            file.seek(0)
            check(file)  # it came whole, or does not get its name
        return status
    if name == "import":
        with commands_of(Path(given.file)) as (commands, _summary):
            return subprocess.run(target.command(["import", "-"]), stdin=commands, check=False).returncode
    arguments = [name, *(getattr(given, option) for option in ("symbol", "pattern") if hasattr(given, option))]
    if name in ("delete", "flush"):
        if not given.yes:
            command = target.command([*arguments, "--count"])
            counted = subprocess.run(command, stdin=subprocess.DEVNULL, check=False).returncode
            if counted or not _agreed(given, "delete them"):
                return counted or 1
        arguments.append("--yes")
    if name in ("watch", "monitor"):
        # Nothing tells a process in a container that its caller is gone but the end of its input.
        arguments.append("--until-eof")
    with subprocess.Popen(target.command(arguments), stdin=subprocess.PIPE) as process:
        status = process.wait()
    return 0 if status == -signal.SIGPIPE else abs(status)  # `make stats | head`


def _agreed(given: argparse.Namespace, what: str) -> bool:
    if given.yes:
        return True
    sys.stderr.write(f"Type yes to {what}: ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() == "yes":
        return True
    say("nothing was deleted (YES=1 skips the question)")
    return False


def _print_now(line: str) -> None:
    print(line, flush=True)


def _end_with_input() -> None:
    with suppress(OSError):
        while sys.stdin.buffer.read(4096):
            pass
    os._exit(0)


def _check(given: argparse.Namespace) -> None:
    """What can be refused before a server is looked for."""
    if given.command == "state":
        if not given.symbol:
            raise SettingsError("which one? make state SYMBOL=SPY")
        keys.symbol(given.symbol)
    if given.command == "delete" and not given.pattern:
        raise SettingsError("which ones? make delete PATTERN='agent:state:*'")
    if given.command == "import" and not given.file:
        raise SettingsError("which file? make import FILE=dump.resp")
    if given.command == "export" and not given.file:
        given.file = time.strftime("dump.%Y%m%d-%H%M%S.resp")
    if given.command in ("watch", "monitor") and given.until_eof:
        threading.Thread(target=_end_with_input, daemon=True).start()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m deploy.runbook", description="Looks into the Redis of the suite, saves and restores it."
    )
    commands = parser.add_subparsers(dest="command", required=True)

    def add(name: str, run: Command, text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(run=run)
        return command

    add("state", _state, "the physics state of one symbol").add_argument("symbol", nargs="?", default="")
    add("keys", _with_client(_keys), "all keys that match").add_argument("pattern", nargs="?", default="*")
    watch = add("watch", _watch, "messages on state_update")
    monitor = add("monitor", _with_client(_monitor, FOREVER_SECONDS), "every command")
    for command in (watch, monitor):
        command.add_argument("--until-eof", action="store_true", help="end when standard input does")
    add("stats", _with_client(_stats), "memory, clients, operations, persistence")
    add("slowlog", _with_client(_slowlog), "the slowest commands")
    delete = add("delete", _with_client(_delete), "delete all keys that match")
    delete.add_argument("pattern", nargs="?", default="")
    flush = add("flush", _with_client(_flush, READ_SECONDS), "delete everything")
    for command in (delete, flush):
        command.add_argument("--yes", action="store_true", help="do not ask")
        command.add_argument("--count", action="store_true", help="only say how many there are")
    export = add("export", _with_client(_export, READ_SECONDS), "write all keys to a file")
    load = add("import", _with_client(_import, READ_SECONDS), "read keys from such a file, or from an RDB")
    for command in (export, load):
        command.add_argument("file", nargs="?", default="")
    return parser
