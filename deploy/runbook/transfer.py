"""Export and import of all keys: the functions behind `make export` and `make import` (docs/backup.md)."""

import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from cottage.errors import SettingsError
from cottage.redis import BlockingClient, connect_blocking
from cottage.store import batches
from deploy.redis_server import Server, ServerError, find_servers, free_port, start
from deploy.runbook.dump import BadDump, Command, Reader, Summary, check, write
from deploy.runbook.key_reader import KeyReader

COMMANDS_AT_ONCE = 500
BYTES_AT_ONCE = 1_000_000
SHOWN_ERRORS = 5
RDB_MAGIC = (b"REDIS", b"VALKEY")
READ_SECONDS = 60.0  # one answer; a list of millions takes its time


def say(text: str) -> None:
    """Print a message to stderr, since stdout may be the export itself."""
    print(text, file=sys.stderr, flush=True)


class Progress:
    """Prints the progress, at most one line per second."""

    def __init__(self, verb: str, noun: str) -> None:
        self._verb, self._noun = verb, noun
        self._reported_at = time.monotonic()

    def __call__(self, done: int, total: int | None) -> None:
        if time.monotonic() - self._reported_at >= 1.0:
            self._reported_at = time.monotonic()
            say(f"{self._verb} {done:,}{'' if total is None else f' of {total:,}'} {self._noun}")


def export_to(client: BlockingClient, file: BinaryIO) -> tuple[Summary, int]:
    """Write all keys to a file. Returns what was written, and how many keys could not be exported."""
    reading = KeyReader(client, Progress("exported", "keys"))
    summary = write(reading.commands(), file)
    _list_errors(reading.failed)
    return summary, len(reading.failed)


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file that gets its name only when it is complete and on the disk; after an error nothing of it is left.
    Raises SettingsError where something else has the name, such as /dev/null, which it would take the place of."""
    if path.exists() and not path.is_file():
        raise SettingsError(f"{path} is no regular file: export to another, such as FILE=dump.resp")
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    part = Path(name)
    try:
        with os.fdopen(descriptor, "w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


@contextlib.contextmanager
def commands_of(path: Path) -> Iterator[tuple[BinaryIO, Summary]]:
    """Open an export or an RDB of any server as a checked file of commands, at its start.

    Raises BadDump if it is neither or not complete; nothing has been sent then.
    """
    with contextlib.ExitStack() as stack:
        file: BinaryIO = stack.enter_context(path.open("rb"))
        start_of_file = file.read(8)
        if start_of_file.startswith(RDB_MAGIC):
            file = stack.enter_context(_rdb_as_commands(path))
        elif not start_of_file.startswith(b"*"):
            raise BadDump("it is neither an export (commands) nor an RDB (REDIS… or VALKEY…)")
        file.seek(0)
        summary = check(file)
        file.seek(0)
        yield file, summary


@dataclass(slots=True)
class Imported:
    """The result of an import."""

    commands: int = 0
    keys: int = 0
    missing: int = 0
    """Keys that do not exist afterwards: they had expired, were deleted meanwhile, or were evicted."""
    evicted: int = 0
    failed: int = 0
    errors: list[str] = field(default_factory=list)


def import_from(client: BlockingClient, file: BinaryIO, commands: int | None = None) -> Imported:
    """Send the commands of `file`. `commands`: how many there are, for the progress."""
    result = Imported()
    keys: set[bytes] = set()
    progress = Progress("imported", "commands")
    evicted = client.info("stats")["evicted_keys"]
    for part in _parts(Reader(file)):
        with client.pipeline(transaction=False) as pipeline:
            for command in part:
                pipeline.execute_command(*command)  # type: ignore[no-untyped-call]
            answers = pipeline.execute(raise_on_error=False)
        for command, answer in zip(part, answers, strict=True):
            key = _key(command)
            keys.add(key)
            if isinstance(answer, Exception):
                result.failed += 1
                if len(result.errors) <= SHOWN_ERRORS:
                    name = command[0].decode(errors="replace")
                    result.errors.append(f"{name} {key.decode(errors='backslashreplace')[:80]}: {answer}")
        result.commands += len(part)
        progress(result.commands, commands)
    result.keys = len(keys)
    existing = sum(int(client.exists(*part)) for part in batches(sorted(keys)))
    result.missing = result.keys - existing
    result.evicted = client.info("stats")["evicted_keys"] - evicted
    _list_errors(result.errors)
    return result


def _parts(commands: Reader) -> Iterator[list[Command]]:
    part: list[Command] = []
    size = 0
    for command in commands:
        part.append(command)
        size += sum(map(len, command))
        if len(part) >= COMMANDS_AT_ONCE or size >= BYTES_AT_ONCE:
            yield part
            part, size = [], 0
    if part:
        yield part


def _key(command: Command) -> bytes:
    return command[2] if command[0].upper() == b"XGROUP" else command[1]


@contextlib.contextmanager
def _rdb_as_commands(path: Path) -> Iterator[BinaryIO]:
    """The keys of an RDB as a file of commands. A temporary server loads the RDB, and its keys are exported."""
    reasons: list[str] = []
    with tempfile.TemporaryDirectory(prefix="cottage-import-") as name:
        folder = Path(name)
        (folder / "dump.rdb").symlink_to(path.resolve())
        for server in find_servers(reasons.append):
            try:
                running = start(server, folder, free_port(), config=None, arguments=_loading(server), timeout=600.0)
            except ServerError as error:
                reasons.append(str(error))
                continue
            say(f"reading the RDB with {server.name}")
            with running, connect_blocking(running.url, timeout=READ_SECONDS) as client:
                others = {name for name in client.info("keyspace") if name != "db0"}
                if others:
                    raise BadDump(f"it has keys in {', '.join(sorted(others))}; only database 0 can be imported")
                with tempfile.TemporaryFile(dir=folder) as file:
                    _summary, failed = export_to(client, file)
                    if failed:
                        raise BadDump(f"{failed} of its keys cannot be imported")
                    running.stop()
                    yield file
            return
    raise BadDump("no server here can read it:\n  " + "\n  ".join(reasons))


def _loading(server: Server) -> tuple[str, ...]:
    arguments: tuple[str, ...] = ("--appendonly", "no", "--save", "", "--dbfilename", "dump.rdb")
    # A file that somebody has changed must not break the server: what is packed in it is checked value by value.
    arguments += ("--sanitize-dump-payload", "yes")
    if server.kind == "valkey" and server.major >= 8:
        # By default Valkey refuses the files of Redis 7.4 and newer because of their version number alone.
        arguments += ("--rdb-version-check", "relaxed")
    return arguments


def _list_errors(errors: Sequence[str]) -> None:
    for error in errors[:SHOWN_ERRORS]:
        say(f"error: {error}")
    if len(errors) > SHOWN_ERRORS:
        say("error: …")
