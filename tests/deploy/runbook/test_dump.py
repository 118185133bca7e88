"""The file of an export."""

import io

import pytest

from cottage.formats import NewerFormat
from deploy.runbook import dump as dump_module
from deploy.runbook.dump import BadDump, Reader, Summary, check, encode, write

COMMANDS = [
    (1, encode("SET", "a", b"1\r\n$2\r\n\x00\xff")),
    (0, encode("DEL", "l")),
    (1, encode("RPUSH", "l", 1, 2.5, "")),
]


def dump() -> bytes:
    file = io.BytesIO()
    assert write(COMMANDS, file) == Summary(commands=3, keys=2)
    return file.getvalue()


def test_what_is_written_is_read_again() -> None:
    reader = Reader(io.BytesIO(dump()))
    assert list(reader) == [
        [b"SET", b"a", b"1\r\n$2\r\n\x00\xff"],
        [b"DEL", b"l"],
        [b"RPUSH", b"l", b"1", b"2.5", b""],
    ]
    assert reader.summary == Summary(commands=3, keys=2)


def test_an_export_of_nothing_is_one() -> None:
    file = io.BytesIO()
    write([], file)
    file.seek(0)
    assert check(file) == Summary(commands=0, keys=0)


def test_cut_off_anywhere_it_is_refused() -> None:
    whole = dump()
    for length in range(len(whole)):
        with pytest.raises(BadDump):
            check(io.BytesIO(whole[:length]))


def test_a_changed_byte_is_noticed() -> None:
    whole = dump()
    first = whole.index(b"SET")
    for place in range(first, len(whole)):
        changed = bytearray(whole)
        changed[place] ^= 1
        with pytest.raises(BadDump):
            check(io.BytesIO(bytes(changed)))


def test_commands_of_another_tool_are_read_too() -> None:
    """`redis-cli --pipe` knows no head and no end."""
    assert check(io.BytesIO(encode("set", "a", "1") + encode("ECHO", "done"))) == Summary(commands=1, keys=None)


@pytest.mark.parametrize(
    "command", [("FLUSHALL",), ("CONFIG", "SET", "dir", "/"), ("EVAL", "return 1", 0), ("SELECT", 1), ("set\n", "a")]
)
def test_what_is_no_part_of_an_export_is_refused(command: tuple[str | int, ...]) -> None:
    with pytest.raises(BadDump, match="is not run"):
        check(io.BytesIO(encode("SET", "a", "1") + encode(*command)))


@pytest.mark.parametrize(
    "data",
    [b"", b"SET a 1\r\n", b"*1\r\n", b"*0\r\n", b"*-1\r\n", b"*1\r\n$-1\r\n", b"*1\r\n$3\r\nSETxx",
     b"*2\r\n$3\r\nSET\r\n", b"*1\r\n$99999999999\r\n", b"*99999999999\r\n", b"*1\r\n:1\r\n",
     b"*" + b"1" * 100, b"\x00" * 100],
)  # fmt: skip
def test_what_is_no_command_is_refused(data: bytes) -> None:
    with pytest.raises(BadDump):
        check(io.BytesIO(data))


def test_an_export_of_a_newer_version_is_refused_by_that_word() -> None:
    newer = dump().replace(b"cottage-export 1\r\n", b"cottage-export 2\r\n")
    with pytest.raises(NewerFormat, match="it was written by a newer version: its format is 2, this one reads 1"):
        check(io.BytesIO(newer))


def test_what_follows_the_end_is_refused() -> None:
    with pytest.raises(BadDump, match="follows the end"):
        check(io.BytesIO(dump() + encode("SET", "a", "1")))


@pytest.mark.parametrize("content", [b"*1000001\r\n$3\r\nSET\r\n", b"*1000000000\r\n", b"*3\r\n$536870913\r\n"])
def test_a_command_longer_than_any_is_refused_by_where_it_stands(content: bytes) -> None:
    with pytest.raises(BadDump, match="no command at byte"):
        check(io.BytesIO(content))


def test_many_long_arguments_are_no_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dump_module, "_LONGEST", 1_000)
    monkeypatch.setattr(dump_module, "_MOST_ARGUMENTS", 10)
    assert check(io.BytesIO(encode("SET", "a", "x" * 900))).commands == 1
    with pytest.raises(BadDump, match="longer than any string in Redis"):
        check(io.BytesIO(encode("RPUSH", "a", "x" * 600, "x" * 600)))


@pytest.mark.parametrize(
    "command", ["EVAL", "FUNCTION", "CONFIG", "MODULE", "FLUSHALL", "SCRIPT", "DEBUG", "RESTORE"]
)
def test_no_command_that_runs_code_or_sets_up_the_server_is_sent(command: str) -> None:
    with pytest.raises(BadDump, match="does not belong into an export, and is not run"):
        check(io.BytesIO(encode(command, "return 1", 0)))
