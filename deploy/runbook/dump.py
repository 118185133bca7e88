"""The file format of an export: Redis commands in the wire format (RESP), one after another.

`redis-cli --pipe` reads this format, so a restore is possible without this program. Every version of the server reads
it, and since it arrives as ordinary commands the server's AOF records it.

The first and the last command are ECHOs with the format's version, the number of keys and commands, and a checksum,
so a file that was cut off is recognised before any of it is sent.
"""

import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from cottage.errors import CottageError
from cottage.formats import check_version

Argument = bytes | str | int | float
Command = Sequence[bytes]

VERSION = 1
_HEAD = re.compile(rb"cottage-export ([1-9]\d{0,8})")
_END = re.compile(rb"cottage-export end keys=(\d+) commands=(\d+) crc32=([0-9a-f]{8})")
# The commands of an export. A file with any other command (FLUSHALL, CONFIG, EVAL…) is refused.
ALLOWED = frozenset(b"DEL SET HSET HPEXPIREAT RPUSH SADD ZADD XADD XGROUP XSETID PEXPIREAT ECHO".split())
_LONGEST = 512 * 1024 * 1024  # of a string in Redis
_MOST_ARGUMENTS = 1_000_000  # of a command: an export writes a thousand, and for an entry of a stream all its fields


class BadDump(CottageError):
    """The file is not a complete export, and must not be sent."""


@dataclass(frozen=True, slots=True)
class Summary:
    commands: int
    keys: int | None
    """None for a file that another program wrote."""


def encode(*arguments: Argument) -> bytes:
    """One command in RESP: an array of bulk strings."""
    parts = [b"*%d\r\n" % len(arguments)]
    for argument in arguments:
        data = argument if isinstance(argument, bytes) else str(argument).encode()
        parts.append(b"$%d\r\n%b\r\n" % (len(data), data))
    return b"".join(parts)


def write(commands: Iterable[tuple[int, bytes]], file: BinaryIO) -> Summary:
    """Write encoded commands between head and end. Each comes with the number of keys that it completes."""
    crc, count, keys = 0, 0, 0
    file.write(encode("ECHO", b"cottage-export %d" % VERSION))
    for completed, command in commands:
        crc = zlib.crc32(command, crc)
        count += 1
        keys += completed
        file.write(command)
    file.write(encode("ECHO", _end(keys, count, crc)))
    file.flush()
    return Summary(count, keys)


def _end(keys: int, commands: int, crc: int) -> bytes:
    text = b"cottage-export end keys=%d commands=%d" % (keys, commands)
    return b"%b crc32=%08x" % (text, zlib.crc32(text, crc))


class Reader:
    """Iterates over the commands of a file, and checks it meanwhile.

    Raises BadDump if the file is not an export, and NewerFormat if a newer version of the suite has written it.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._offset = 0
        self.summary: Summary | None = None
        """Set once all commands have been read."""

    def __iter__(self) -> Iterator[Command]:
        crc, count = 0, 0
        ours = False
        end: re.Match[bytes] | None = None
        while (command := self._command()) is not None:
            if end is not None:
                raise BadDump(f"something follows the end of the export at byte {self._offset}")
            name = command[0].upper()
            if name not in ALLOWED:
                shown = name[:20].decode(errors="replace")
                raise BadDump(f"{shown!r} at byte {self._offset} does not belong into an export, and is not run")
            if name == b"ECHO":
                text = command[1] if len(command) == 2 else b""
                if head := _HEAD.fullmatch(text):
                    check_version(int(head[1]), VERSION)
                    ours = True
                end = _END.fullmatch(text)
                continue
            crc = zlib.crc32(encode(*command), crc)
            count += 1
            yield command
        if ours and end is None:
            raise BadDump(f"it is cut off: {count} commands, and the end of the export is missing")
        if end is not None and _end(int(end[1]), count, crc) != end[0]:
            raise BadDump(f"it is damaged: its {count} commands are not those that its end speaks of")
        self.summary = Summary(count, None if end is None else int(end[1]))

    def _command(self) -> list[bytes] | None:
        """The next command; None at the end of the file."""
        head = self._line()
        if not head:
            return None
        arguments = []
        left = _LONGEST + _MOST_ARGUMENTS
        for _ in range(self._number(head, b"*", 1, _MOST_ARGUMENTS)):
            length = self._number(self._line(), b"$", 0, _LONGEST)
            left -= length
            if left < 0:
                raise BadDump(f"the command before byte {self._offset} is longer than any string in Redis")
            data = self._file.read(length + 2)
            self._offset += len(data)
            if len(data) < length + 2:
                raise BadDump(f"it is cut off at byte {self._offset}")
            if data[-2:] != b"\r\n":
                raise BadDump(f"no command at byte {self._offset}")
            arguments.append(data[:-2])
        return arguments

    def _line(self) -> bytes:
        line = self._file.readline(32)
        self._offset += len(line)
        return line

    def _number(self, line: bytes, kind: bytes, least: int, most: int) -> int:
        match = re.fullmatch(re.escape(kind) + rb"(\d{1,10})\r\n", line)
        if match is None and not line.endswith(b"\n") and len(line) < 32:
            raise BadDump(f"it is cut off at byte {self._offset}")
        if match is None or not least <= int(match[1]) <= most:
            raise BadDump(f"no command at byte {self._offset}")
        return int(match[1])


def check(file: BinaryIO) -> Summary:
    """Read and check a file without sending anything. Raises as Reader, and BadDump for an empty file."""
    reader = Reader(file)
    for _ in reader:
        pass
    assert reader.summary is not None
    if reader.summary.commands == 0 and reader.summary.keys is None:
        raise BadDump("it is empty")
    return reader.summary
