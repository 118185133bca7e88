import subprocess
import sys
from typing import Annotated

import pytest
from pydantic import Field
from pydantic_settings import SettingsConfigDict

from common.settings import Port, RedisSettings, Seconds, Symbols
from cottage import __version__
from tests.support import ROOT


class TinySettings(RedisSettings):
    model_config = SettingsConfigDict(env_prefix="TINY_")

    port: Port = Field(8001, description="where it listens")
    tick_seconds: Seconds = Field(1.0, description="how often, at 100% speed")
    symbols: Symbols = Field((), description="comma-separated")
    window: Annotated[int, Field(ge=2)] = Field(1000, description="samples")


VARIABLES = {
    "--ops-host": "TINY_OPS_HOST",
    "--ops-port": "TINY_OPS_PORT",
    "--log-level": "LOG_LEVEL",
    "--log-format": "LOG_FORMAT",
    "--drain-seconds": "DRAIN_SECONDS",
    "--allowed-hosts": "ALLOWED_HOSTS",
    "--allowed-origins": "ALLOWED_ORIGINS",
    "--redis-url": "REDIS_URL",
    "--port": "TINY_PORT",
    "--tick-seconds": "TINY_TICK_SECONDS",
    "--symbols": "TINY_SYMBOLS",
    "--window": "TINY_WINDOW",
}


@pytest.fixture(autouse=True)
def no_settings_of_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in VARIABLES.values():
        monkeypatch.delenv(variable, raising=False)


def load(*arguments: str) -> TinySettings:
    return TinySettings.load("tiny", "Does little.", arguments)


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line with which it ends."""
    with pytest.raises(SystemExit) as end:
        load(*arguments)
    assert end.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("tiny: ")
    return err


def test_every_setting_has_a_default_that_works(capsys: pytest.CaptureFixture[str]) -> None:
    settings = load()
    assert settings.redis_url == "redis://localhost:6379"
    assert (settings.ops_host, settings.port, settings.symbols) == ("127.0.0.1", 8001, ())
    assert capsys.readouterr() == ("", "")


def test_help_lists_each_setting_with_its_variable(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        load("--help")
    assert end.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "python -m services.tiny" in text
    assert "Does little." in text
    for flag, variable in VARIABLES.items():
        assert f"{flag} VALUE" in text
        assert f"[{variable}, default: " in text
    assert "[TINY_SYMBOLS, default: empty]" in text
    assert "at 100% speed" in text


def test_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        load("--version")
    assert end.value.code == 0
    assert capsys.readouterr().out == f"tiny {__version__}\n"


def test_a_flag_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINY_WINDOW", "10")
    monkeypatch.setenv("TINY_PORT", "10")
    monkeypatch.setenv("REDIS_URL", "redis://one")
    monkeypatch.setenv("TINY_REDIS_URL", "redis://never")
    settings = load("--window", "20", "--redis-url=redis://two")
    assert (settings.window, settings.port, settings.redis_url) == (20, 10, "redis://two")


@pytest.mark.parametrize(
    ("text", "symbols"),
    [
        ("SPY,QQQ", ("SPY", "QQQ")),
        (" SPY , BRK.B ,", ("SPY", "BRK.B")),
        ("^GSPC,ES=F", ("I_GSPC", "ES_F")),
        ("", ()),
        ("SPY", ("SPY",)),
    ],
)
def test_symbols_are_separated_by_commas(
    monkeypatch: pytest.MonkeyPatch, text: str, symbols: tuple[str, ...]
) -> None:
    assert load("--symbols", text).symbols == symbols
    monkeypatch.setenv("TINY_SYMBOLS", text)
    assert load().symbols == symbols


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        *[("TINY_PORT", value) for value in ("65537", "-7", "s3cret", "7.5", "")],
        *[("TINY_TICK_SECONDS", value) for value in ("0", "-7", "nan", "inf", "s3cret")],
        ("TINY_WINDOW", "-7777"),
        ("LOG_LEVEL", "s3cret"),
        ("LOG_FORMAT", "s3cret"),
        *[("DRAIN_SECONDS", value) for value in ("7777", "-7", "s3cret")],
        *[
            ("REDIS_URL", value)
            for value in (
                "",
                "s3cret",
                "localhost:7777",
                "http://:s3cret@h",
                "redis://",
                "redis://:s3cret/x@h",
                "redis://h:0",
                "redis://h:77777",
                "redis://[s3cret",
                "unix://",
            )
        ],
    ],
)
def test_a_bad_value_is_one_line_that_names_the_variable_and_not_the_value(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    line = refused(capsys)
    assert line.startswith(f"tiny: {variable}: ")
    assert "s3cret" not in line
    assert "7777" not in line


def test_a_bad_flag_is_refused_by_the_same_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert refused(capsys, "--port", "s3cret").startswith("tiny: TINY_PORT: ")
    assert refused(capsys, "--redis-url", "s3cret").startswith("tiny: REDIS_URL: ")


def test_a_bad_symbol_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert "bad native symbol 'S\\x00'" in refused(capsys, "--symbols", "SPY,S\0")
    assert "SPY and spy are both SPY" in refused(capsys, "--symbols", "SPY,spy")


def test_all_that_is_wrong_is_said_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    line = refused(capsys, "--port", "x", "--window", "1")
    assert "TINY_PORT: " in line
    assert "; TINY_WINDOW: " in line


def test_a_flag_that_is_none_ends_it_too(capsys: pytest.CaptureFixture[str]) -> None:
    for flag in ("--no-such-flag=1", "--windo=5"):
        with pytest.raises(SystemExit) as end:
            load(flag)
        assert end.value.code == 2
        assert flag in capsys.readouterr().err


def test_a_misspelt_variable_is_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("TINY_TICK_SECOND", "s3cret")
    # Kubernetes sets these for a service of that name: nobody misspelt them.
    monkeypatch.setenv("TINY_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("TINY_PORT_8001_TCP_ADDR", "10.0.0.1")
    assert load().tick_seconds == 1.0
    (line,) = capsys.readouterr().err.splitlines()
    assert line == "tiny: warning: TINY_TICK_SECOND is no setting and is ignored; did you mean TINY_TICK_SECONDS?"


@pytest.mark.parametrize(
    "url",
    [
        "redis://h",
        "redis://h:6380/2",
        "rediss://user:p%40ss@h:6380",
        "redis://:pw@[::1]:6379",
        "unix:///run/redis.sock",
        "unix://:pw@/run/redis.sock?db=1",
    ],
)
def test_urls_of_every_kind_are_taken(url: str) -> None:
    assert load("--redis-url", url).redis_url == url


def test_settings_show_no_secret_and_do_not_change() -> None:
    settings = load("--redis-url", "redis://:s3cret@h")
    assert "s3cret" not in repr(settings) + str(settings)
    with pytest.raises(ValueError, match="frozen"):
        settings.port = 1  # type: ignore[misc]  # that it is refused is the test


def test_windows_is_told_to_use_docker(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    assert "docker compose up" in refused(capsys)


def test_the_command_line_of_the_process_is_what_counts() -> None:
    done = subprocess.run(
        [sys.executable, "tests/common/tiny_service.py", "drains", "--version"],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == f"tiny {__version__}\n"


def test_words_are_flags_without_a_value_and_no_settings(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = {"ask": "ask instead, 100% sure", "all": "all of it"}
    monkeypatch.setenv("TINY_ASK", "true")
    assert TinySettings.load_with_switches("tiny", "Does little.", words, [])[1] == frozenset()
    settings, said = TinySettings.load_with_switches("tiny", "Does little.", words, ["--ask", "--port", "7"])
    assert (settings.port, set(said)) == (7, {"ask"})
    capsys.readouterr()
    with pytest.raises(SystemExit):
        TinySettings.load_with_switches("tiny", "Does little.", words, ["--help"])
    told = capsys.readouterr().out
    assert "--ask " in told
    assert "ask instead, 100% sure" in told
