"""Log lines as a process prints them; `configure` is for a whole process, so each test runs one."""

import os
import pty
import re
import subprocess
import sys

import pytest

from tests.support import ROOT, program

HEAD = (
    "import logging; from common import logs; logs.configure('tiny', {level!r}, {style!r}); log = logs.get_logger()\n"
)


def script(body: str, level: str = "info", style: str = "json") -> list[str]:
    return ["-c", HEAD.format(level=level, style=style) + body]


CRASH = """
def work():
    password = "".join(["s3cret", "word"])
    raise ValueError("broken")
try:
    work()
except ValueError:
    log.exception("crashed", attempt=1)
    logging.getLogger("library").exception("crashed too")
"""

ODD = r"""
class Odd:
    def __repr__(self): return "an odd one"
log.info("odd", big=2**80, half="\ud800", line="a\nb", byte=b"\xff", thing=Odd(), nan=float("nan"), key={1: 2})
log.info("odd thing", thing=Odd())
log.info("odd byte", byte=b"\xff", line="a\nb", accent="Lévy")
logging.getLogger("library").error("odd %s", "\ud800", extra={"big": 2**80})
"""


async def test_a_line_is_one_json_object_with_the_documented_fields() -> None:
    async with program(script('log.info("state_written", symbols=503, ms=41.5)\nlog.debug("hidden")')) as process:
        assert await process.ended() == 0
    (line,) = process.logs
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", line.pop("timestamp"))
    assert line == {"level": "info", "event": "state_written", "service": "tiny", "symbols": 503, "ms": 41.5}
    assert (process.text, process.errors) == ([], [])


async def test_a_traceback_shows_no_values() -> None:
    async with program(script(CRASH)) as process:
        assert await process.ended() == 0
    ours, theirs = process.logs
    for line in (ours, theirs):
        assert line["exception"][0]["exc_value"] == "broken"
        assert [frame["name"] for frame in line["exception"][0]["frames"]] == ["<module>", "work"]
    assert (ours["attempt"], theirs["logger"]) == (1, "library")
    assert "s3cretword" not in str(process.logs)
    assert (process.text, process.errors) == ([], [])


async def test_no_value_can_break_a_line() -> None:
    async with program(script(ODD)) as process:
        assert await process.ended() == 0
    assert [line["event"] for line in process.logs[:3]] == ["odd", "odd thing", "odd byte"]
    assert process.logs[1]["thing"] == "an odd one"
    assert process.logs[2]["line"] == "a\nb"
    assert process.logs[2]["accent"] == "Lévy"
    assert process.logs[3]["logger"] == "library"
    assert (process.text, process.errors) == ([], [])


@pytest.mark.parametrize(
    ("level", "ours", "theirs"),
    [
        ("debug", ["debug", "info", "warning", "error"], ["warning", "error"]),
        ("warning", ["warning", "error"], ["warning", "error"]),
        ("error", ["error"], ["error"]),
    ],
)
async def test_the_level_is_the_least_that_is_logged(level: str, ours: list[str], theirs: list[str]) -> None:
    body = (
        'for level in ("debug", "info", "warning", "error"):\n'
        ' getattr(log, level)("ours"); getattr(logging.getLogger("library"), level)("theirs")'
    )
    async with program(script(body, level)) as process:
        assert await process.ended() == 0
    assert [line["level"] for line in process.logs if line["event"] == "ours"] == ours
    assert [line["level"] for line in process.logs if line["event"] == "theirs"] == theirs


ENUMS = """
from enum import Enum
class Loud(Enum):
    CODE = 1006
    WORD = "closed"
class Mute:
    def __repr__(self): raise ValueError("no")
both = dict(code=Loud.CODE, word=Loud.WORD, all=[Loud.CODE, {"word": Loud.WORD}])
log.info("plain", **both)
log.info("with_a_large_number", big=2**80, **both)
log.info("with_no_repr", mute=Mute(), endless=10**5000, **both)
log.info(Loud.WORD)
logging.getLogger("library").error("foreign", extra=both)
logging.getLogger("library").error("does not fit %d", "its arguments")
log.info("goes_on")
"""


@pytest.mark.parametrize("style", ["json", "console"])
async def test_members_of_enums_are_shown_by_their_value_and_nothing_raises(style: str) -> None:
    async with program(script(ENUMS, style=style)) as process:
        assert await process.ended() == 0
    if style == "json":
        for line in process.logs[:3] + process.logs[4:5]:
            assert (line["code"], line["word"], line["all"]) == (1006, "closed", [1006, {"word": "closed"}]), line
        assert process.logs[1]["big"] == str(2**80)
        assert process.logs[3]["event"] == "closed"
        assert process.logs[-1]["event"] == "goes_on"
    else:
        assert len([line for line in process.text if "code=1006" in line and "word=closed" in line]) == 4
        assert "goes_on" in process.text[-1]
    assert "Loud" not in str((process.logs, process.text))


async def test_console_lines_are_for_people() -> None:
    async with program(script(f'log.info("state_written", symbols=503)\n{CRASH}', style="console")) as process:
        assert await process.ended() == 0
    text = "\n".join(process.text)
    assert (process.logs, process.errors) == ([], [])
    assert re.match(r"\d\d:\d\d:\d\d ", text)
    assert "state_written" in text
    assert "symbols=503" in text
    assert text.count("ValueError: broken") == 2
    assert "s3cretword" not in text
    assert "\x1b" not in text  # colours are for terminals


def on_a_terminal(style: str) -> str:
    parent, child = pty.openpty()
    try:
        command = [sys.executable, *script('log.info("state_written", symbols=503)', style=style)]
        environment = {"PYTHONPATH": str(ROOT), "TERM": "xterm"}
        subprocess.run(command, cwd=ROOT, env=environment, stdout=child, timeout=60, check=True)
        return os.read(parent, 65536).decode()
    finally:
        os.close(parent)
        os.close(child)


def test_a_terminal_gets_colours_unless_told_otherwise() -> None:
    assert "\x1b[" in on_a_terminal("auto")
    assert on_a_terminal("json").startswith("{")
