"""The command line: what it understands, what it refuses in one line, and what --help tells."""

import subprocess
import sys
from pathlib import Path

import pytest

from cottage import __version__, cli
from cottage.cli import main
from cottage.cli.arguments import parse
from cottage.errors import ApiUnauthorized
from tests.support import ROOT


def test_defaults() -> None:
    watch = parse(["watch"], {})
    assert (watch.symbols, watch.url, watch.batch) == ([], "ws://127.0.0.1:8765/ws", 0)
    assert (watch.json, watch.once, watch.timeout) == (False, False, 5.0)
    state = parse(["state", "SPY"], {})
    assert (state.redis_url, state.stored, state.max_age) == ("redis://localhost:6379", False, None)
    assert parse(["probe"], {}).full is False
    retire = parse(["retire", "OLD*", "A?"], {})
    assert (retire.patterns, retire.redis_url, retire.dry_run) == (["OLD*", "A?"], "redis://localhost:6379", False)


@pytest.mark.parametrize(
    "command", [["watch"], ["probe"], ["history", "SPY"], ["changes"], ["gaps"], ["proof", "SPY"]]
)
def test_a_token_comes_from_a_file_or_from_the_environment(command: list[str], tmp_path: Path) -> None:
    file, other = tmp_path / "token", tmp_path / "other"
    file.write_text("canary-1\n")
    other.write_text("canary-2")

    def given(arguments: list[str], environment: dict[str, str]) -> object:
        token = parse([*command, *arguments], environment).token
        return token() if callable(token) else token

    assert given([], {}) is None
    assert given([], {"COTTAGE_TOKEN": "canary-3"}) == "canary-3"
    assert given([], {"COTTAGE_TOKEN_FILE": str(file)}) == "canary-1"
    assert given(["--token-file", str(other)], {"COTTAGE_TOKEN_FILE": str(file), "COTTAGE_TOKEN": "x"}) == "canary-2"


@pytest.mark.parametrize("content", [None, "", "can ary"])
def test_a_file_without_a_token_is_said_in_one_line(
    content: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "token"
    if content is not None:
        file.write_text(content)
    with pytest.raises(SystemExit) as ended:
        parse(["watch", "--token-file", str(file)], {})
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert str(file) in said
    assert "can ary" not in said


@pytest.mark.parametrize("command", ["watch", "probe"])
def test_a_token_in_a_url_is_refused_and_not_shown(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse([command, "--url", "ws://127.0.0.1:1/ws?token=canary"], {})
    assert ended.value.code == 2
    assert "canary" not in capsys.readouterr().err


@pytest.mark.parametrize(("token", "step"), [(None, "give one with"), ("canary", "give a new one with")])
def test_what_to_do_without_a_good_token_is_said(
    token: str | None, step: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(_given: object) -> int:
        raise ApiUnauthorized(401, "unauthorized", "no")

    monkeypatch.setitem(cli._COMMANDS, "history", refused)
    monkeypatch.delenv("COTTAGE_TOKEN_FILE", raising=False)
    monkeypatch.delenv("COTTAGE_TOKEN", raising=False)
    if token is not None:
        monkeypatch.setenv("COTTAGE_TOKEN", token)
    assert main(["history", "SPY"]) == 1
    assert capsys.readouterr().err == f"cottage: no; {step} --token-file, COTTAGE_TOKEN_FILE or COTTAGE_TOKEN\n"


def test_defaults_of_what_asks_about_the_record() -> None:
    history = parse(["history", "SPY"], {})
    assert (history.symbols, history.url, history.timeout) == (["SPY"], "http://127.0.0.1:8001", 30.0)
    names = ("last", "start", "end", "step", "points", "fields", "source", "run", "by", "arrow")
    assert [getattr(history, name) for name in names] == [None] * len(names)
    assert (history.json, history.csv) == (False, False)
    changes, gaps = parse(["changes"], {}), parse(["gaps", "SPY", "QQQ,SPY"], {})
    assert (changes.symbols, changes.kind, changes.regime) == ([], None, None)
    assert (gaps.symbols, gaps.last) == (["SPY", "QQQ"], None)


def test_symbols_are_those_named_each_once_in_their_order() -> None:
    assert parse(["watch", "SPY,QQQ", "A, SPY,"], {}).symbols == ["SPY", "QQQ", "A"]
    assert parse(["watch", ""], {}).symbols == [], "an empty variable is all"
    assert parse(["state", "B", "A,B"], {}).symbols == ["B", "A"]


def test_who_asks_redis_stands_beside_its_url(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    password = tmp_path / "password"
    password.write_text("p@ss\n")
    beside = {"REDIS_USERNAME": "me", "REDIS_PASSWORD_FILE": str(password)}
    assert parse(["state", "SPY"], beside).redis_url == "redis://me:p%40ss@localhost:6379"
    assert parse(["retire", "SPY", "--redis-url", "redis://b"], beside).redis_url == "redis://me:p%40ss@b"
    password.write_text("")
    assert parse(["probe"], beside).url, "who does not ask Redis needs no password"
    for environment, said in (
        (beside, "REDIS_PASSWORD_FILE: the file is empty"),
        ({"REDIS_URL": "redis://:s3cret@h", "REDIS_PASSWORD": "s3cret"}, "REDIS_URL: has a user or password, and"),
    ):
        with pytest.raises(SystemExit) as ended:
            parse(["state", "SPY"], environment)
        told = capsys.readouterr().err
        assert (ended.value.code, told.count("\n"), "s3cret" in told) == (2, 1, False)
        assert f"cottage state: {said}" in told


def test_the_environment_says_where_and_a_flag_wins() -> None:
    environment = {"COTTAGE_URL": "wss://a/ws", "COTTAGE_API_URL": "http://a", "REDIS_URL": "redis://a"}
    assert parse(["history", "SPY"], environment).url == "http://a"
    assert parse(["gaps", "--url", "https://b/api"], environment).url == "https://b/api"
    assert parse(["probe"], environment).url == "wss://a/ws"
    assert parse(["watch", "--url", "ws://b/ws"], environment).url == "ws://b/ws"
    assert parse(["state", "SPY"], environment).redis_url == "redis://a"
    assert parse(["state", "SPY", "--redis-url", "redis://b"], environment).redis_url == "redis://b"
    assert parse(["probe"], {"COTTAGE_URL": ""}).url == "ws://127.0.0.1:8765/ws"


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ([], "COMMAND"),
        (["peek"], "peek"),
        (["watch", "spy"], "bad symbol 'spy'"),
        (["watch", "SPY,../etc"], "bad symbol '../etc'"),
        (["watch", "--batch", "7"], "--batch"),
        (["watch", "--timeout", "soon"], "must be seconds from 0"),
        (["watch", "--url", "http://host/"], "must look like ws://host:port/ws"),
        (["probe", "--url", "ws://user:secret@host:port/ws"], "must look like"),
        (["state"], "SYMBOL"),
        (["state", ","], "which symbol?"),
        (["state", "SPY", "--max-age", "nan"], "must be seconds from 0"),
        (["state", "SPY", "--max-age", "-1"], "--max-age"),
        (["state", "SPY", "--stored", "--max-age", "3"], "not allowed with"),
        (["state", "SPY", "--redis", "redis://:secret@h"], "unrecognized arguments: --redis "),
        (["probe", "--token", "eyJ.secret"], "unrecognized arguments: --token "),
        (["probe", "--token=eyJ.secret"], "unrecognized arguments: --token "),
        (["probe", "--token-file", "eyJ.secret"], "the token's file eyJ…"),
        (["gaps", "SPY", "-psecret"], "what is no flag"),
        (["history"], "SYMBOL"),
        (["history", ","], "which symbol?"),
        (["history", "SPY", "--last", "soon"], "it must be a length of time such as 90s"),
        (["history", "SPY", "--from", "noon"], "must be a time such as 14:31:07"),
        (["history", "SPY", "--step", "1s", "--points", "5"], "not allowed with"),
        (["history", "SPY", "--csv", "--arrow", "f"], "not allowed with"),
        (["history", "SPY", "--fields", "Price!"], "must be names of fields"),
        (["history", "SPY", "--run", "x"], "--run"),
        (["changes", "--kind", "price"], "--kind"),
        (["changes", "--kind", "regime", "--regime", "WAIT"], "not allowed with"),
        (["gaps", "--url", "http://user:secret@host:port"], "must look like http://host:port (COTTAGE_API_URL"),
        (["retire"], "PATTERN"),
        (["retire", "spy*"], "bad pattern 'spy*'"),
        (["retire", ""], "bad pattern ''"),
        (["retire", "A:B"], "bad pattern 'A:B'"),
        (["retire", "A" * 65], "bad pattern"),
    ],
)
def test_what_is_wrong_is_one_line(arguments: list[str], word: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(arguments, {})
    assert ended.value.code == 2
    said = capsys.readouterr()
    (line,) = said.err.splitlines()
    assert line.startswith("cottage")
    assert word in line
    assert "--help)" in line
    assert "secret" not in line
    assert said.out == ""


HELP: dict[str, tuple[str, ...]] = {
    "": (
        *("watch", "state", "history", "changes", "gaps", "proof", "retire", "probe", "--version"),
        *("cottage watch SPY,QQQ", "COTTAGE_URL", "COTTAGE_API_URL", "REDIS_URL"),
    ),
    "watch": (
        "--url",
        "8765/ws)",
        "--batch",
        "--json",
        "--once",
        "--timeout",
        "default: all",
        "COTTAGE_URL",
        *("--token-file", "COTTAGE_TOKEN", "COTTAGE_TOKEN_FILE"),
        "| head -1",
    ),
    "state": (
        "--redis-url",
        "redis://localhost:6379)",
        "--stored",
        "--max-age",
        "REDIS_URL",
        "cottage state SPY QQQ",
    ),
    "history": (
        *("--last", "--from", "--to", "--step", "--points", "--fields", "--source", "--run", "--by", "--csv"),
        *("--json", "--arrow", "--url", "8001)", "--timeout", "default: 30", "COTTAGE_API_URL", "in UTC"),
        *("labelled by its start", "cottage history SPY --last 1h --step 10s --csv > spy.csv"),
    ),
    "changes": ("--last", "--kind", "--regime", "default: all", "COTTAGE_API_URL", "cottage changes --last 10m"),
    "gaps": ("--last", "--csv", "outages", "missed", "COTTAGE_API_URL", "cottage gaps SPY --last 7d"),
    "proof": (
        *("--at", "--version", "--head", "--widening", "--json", "--page", "--dir", "--url", "COTTAGE_API_URL"),
        *("cottage proof SPY --at 14:31:07", "record_head", "not proved, and why"),
    ),
    "retire": (
        "--redis-url",
        "redis://localhost:6379)",
        "--dry-run",
        "REDIS_URL",
        "cottage retire 'TEST*'",
        "5 seconds",
    ),
    "probe": ("--url", "--full", "5 seconds", "COTTAGE_URL", "cottage probe --full"),
}


@pytest.mark.parametrize("command", HELP)
def test_help_is_complete(command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://:secret@h")
    with pytest.raises(SystemExit) as ended:
        parse([*command.split(), "--help"])
    assert ended.value.code == 0
    told = " ".join(capsys.readouterr().out.split())
    for text in (*HELP[command], "examples:", "environment:", "exit status: 0 ", " 1 ", " 2 "):
        assert text in told
    assert "secret" not in told


def test_it_runs_as_a_module_too() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cottage", "--version"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout == f"cottage {__version__}\n"


def test_where_nobody_listens_the_probe_fails_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["probe", "--url", "ws://user:secret@127.0.0.1:1/ws"]) == 1
    said = capsys.readouterr()
    (line,) = said.err.splitlines()
    assert line.startswith("cottage: ws://user:***@127.0.0.1:1/ws: ")
    assert said.out == ""
