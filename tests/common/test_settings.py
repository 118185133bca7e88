import subprocess
import sys
from pathlib import Path
from typing import Annotated, ClassVar

import pytest
from pydantic import Field
from pydantic_settings import SettingsConfigDict

from common.settings import BearerSecret, Below, Host, LongSecret, Port, RedisSettings, Seconds, Symbols
from cottage import __version__
from tests.support import ROOT


class TinySettings(RedisSettings):
    model_config = SettingsConfigDict(env_prefix="TINY_")

    port: Port = Field(8001, description="where it listens")
    tick_seconds: Seconds = Field(1.0, description="how often, at 100% speed")
    symbols: Symbols = Field((), description="comma-separated")
    window: Annotated[int, Field(ge=2)] = Field(1000, description="samples")
    host: Host = Field("127.0.0.1", description="who may connect")
    gap_seconds: Seconds = Field(60.0, description="how long is too long")
    switch: bool = Field(False, description="on or off")
    folder: str = Field("", description="where, or none")
    key: LongSecret = Field("", description="a key, 100% secret")
    token: BearerSecret = Field("", description="what is shown")

    below: ClassVar[tuple[Below, ...]] = (Below("tick_seconds", "gap_seconds", "what would it do?"),)


VARIABLES = {
    "--ops-host": "TINY_OPS_HOST",
    "--ops-port": "TINY_OPS_PORT",
    "--ops-allow": "OPS_ALLOW",
    "--log-level": "LOG_LEVEL",
    "--log-format": "LOG_FORMAT",
    "--drain-seconds": "DRAIN_SECONDS",
    "--allowed-hosts": "ALLOWED_HOSTS",
    "--allowed-origins": "ALLOWED_ORIGINS",
    "--redis-username": "REDIS_USERNAME",
    "--port": "TINY_PORT",
    "--tick-seconds": "TINY_TICK_SECONDS",
    "--symbols": "TINY_SYMBOLS",
    "--window": "TINY_WINDOW",
    "--host": "TINY_HOST",
    "--gap-seconds": "TINY_GAP_SECONDS",
    "--switch": "TINY_SWITCH",
    "--folder": "TINY_FOLDER",
}
SECRETS = ("REDIS_URL", "REDIS_PASSWORD", "OPS_TOKEN", "TINY_KEY", "TINY_TOKEN")


@pytest.fixture(autouse=True)
def no_settings_of_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in (*VARIABLES.values(), *TinySettings.secrets()):
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
    for variable in SECRETS:
        assert f" {variable}, {variable}_FILE: " in text
        assert f"{variable.removeprefix('TINY_').lower().replace('_', '-')} VALUE" not in text
    assert "a key, 100% secret [default: empty]" in text
    assert "have no flag" in text
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
    settings = load("--window", "20", "--redis-username=two")
    assert (settings.window, settings.port, settings.redis_url) == (20, 10, "redis://two@one")


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
        *[("TINY_PORT", value) for value in ("65537", "-7", "s3cret", "7.5", "1e9999999", "٧")],
        *[("TINY_TICK_SECONDS", value) for value in ("0", "-7", "nan", "inf", "s3cret")],
        ("TINY_WINDOW", "-7777"),
        ("LOG_LEVEL", "s3cret"),
        ("LOG_FORMAT", "s3cret"),
        *[("DRAIN_SECONDS", value) for value in ("7777", "-7", "s3cret")],
        *[
            ("REDIS_URL", value)
            for value in (
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


@pytest.mark.parametrize("variable", SECRETS)
def test_a_secret_has_no_flag_and_one_that_is_given_is_not_shown(
    capsys: pytest.CaptureFixture[str], variable: str
) -> None:
    flag = f"--{variable.removeprefix('TINY_').lower().replace('_', '-')}"
    for arguments in ((flag, "s3cret"), (f"{flag}=s3cret",), ("--port", "7", flag, "--s3cret")):
        line = refused(capsys, *arguments)
        assert line.startswith(f"tiny: {flag}: a secret has no flag, since others can read command lines; ")
        assert f"set {variable}, or {variable}_FILE to the path of a file" in line
        assert "s3cret" not in line


@pytest.mark.parametrize("arguments", [("s3cret",), ("--no-such", "s3cret"), ("--no-such=s3cret",), ("-s3cret",)])
def test_what_is_no_flag_is_not_shown_with_its_value(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    assert "s3cret" not in refused(capsys, *arguments)


@pytest.mark.parametrize("variable", SECRETS)
def test_a_secret_is_read_from_a_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, variable: str
) -> None:
    secret = "redis://s3cret" if variable == "REDIS_URL" else "none of s3cret @/#? ".replace(" ", "_") * 2
    path = tmp_path / "secret"
    path.write_text(f"{secret}\n")
    monkeypatch.setenv(f"{variable}_FILE", str(path))
    settings = load()
    name = variable.removeprefix("TINY_").lower()
    assert getattr(settings, name) == secret if variable != "REDIS_PASSWORD" else settings.redis_password == secret
    assert "s3cret" not in repr(settings)
    assert list(TinySettings.misspelt({f"{variable}_FILE": str(path)})) == []

    monkeypatch.setenv(variable, secret)
    assert refused(capsys) == f"tiny: {variable}_FILE: {variable} is set as well: leave one of them out\n"
    monkeypatch.delenv(variable)
    path.write_text("\n")
    assert refused(capsys) == f"tiny: {variable}_FILE: the file is empty\n"
    path.write_text(f"{secret}\n\n")
    said = "has control characters, such as a newline, which no setting has"
    assert refused(capsys) == f"tiny: {variable}: {said}\n"
    path.unlink()
    monkeypatch.setenv("TINY_PORT", "x")
    line = refused(capsys)
    assert f"{variable}_FILE: cannot be read (No such file or directory)" in line
    assert "TINY_PORT: must be a number" in line, "all that is wrong is said at once"


def test_a_name_that_is_almost_a_secrets_is_said() -> None:
    found = TinySettings.misspelt({"REDIS_PASSWORD_FIL": "x", "TINY_KEY_FILES": "x", "REDIS_USER": "x"})
    assert list(found) == [
        ("REDIS_PASSWORD_FIL", "REDIS_PASSWORD_FILE"),
        ("TINY_KEY_FILES", "TINY_KEY_FILE"),
        ("REDIS_USER", "REDIS_USERNAME"),
    ]


@pytest.mark.parametrize("variable", ["TINY_KEY", "TINY_TOKEN"])
def test_a_secret_that_somebody_makes_up_is_long(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], variable: str
) -> None:
    monkeypatch.setenv(variable, "s3cret".ljust(31, "."))
    line = refused(capsys)
    assert line.startswith(f"tiny: {variable}: must have 32 bytes or more")
    assert "s3cret" not in line
    monkeypatch.setenv(variable, "s3cret".ljust(32, "."))
    assert getattr(load(), variable[5:].lower()) == "s3cret".ljust(32, ".")


@pytest.mark.parametrize("token", ["s3cret of many words, which no header has", "s3cretö" * 8])
def test_a_token_is_what_a_header_can_have(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], token: str
) -> None:
    monkeypatch.setenv("TINY_TOKEN", token)
    line = refused(capsys)
    assert line.startswith("tiny: TINY_TOKEN: must be visible ASCII")
    assert "s3cret" not in line


@pytest.mark.parametrize("url", ["redis://h", "redis+sentinel://a,b/m", "redis+cluster://a,b", "unix:///s"])
def test_user_and_password_stand_beside_a_url_without_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], url: str
) -> None:
    monkeypatch.setenv("REDIS_URL", url)
    monkeypatch.setenv("REDIS_PASSWORD", "s3@c/ret")
    assert load().redis_url == url.replace("://", "://:s3%40c%2Fret@")
    assert load("--redis-username", "me").redis_url == url.replace("://", "://me:s3%40c%2Fret@")
    monkeypatch.setenv("REDIS_URL", url.replace("://", "://:other@"))
    line = refused(capsys)
    assert line.startswith("tiny: REDIS_URL: has a user or password, and REDIS_PASSWORD is set as well")
    assert "s3" not in line + repr(TinySettings(REDIS_URL=url))


def test_the_word_none_is_a_password_like_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_PASSWORD", "none")
    assert load().redis_password == "none"


def test_a_bad_symbol_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert "bad native symbol 'S\\u200b'" in refused(capsys, "--symbols", "SPY,S\u200b")
    assert "SPY and spy are both SPY" in refused(capsys, "--symbols", "SPY,spy")


@pytest.mark.parametrize("text", ["SPY;QQQ", "[SPY,QQQ]", '["SPY","QQQ"]', "{SPY}", "SPY|QQQ", "'SPY','QQQ'"])
def test_a_list_of_another_kind_is_no_symbol(capsys: pytest.CaptureFixture[str], text: str) -> None:
    assert "TINY_SYMBOLS: must be comma-separated, such as SPY,QQQ" in refused(capsys, "--symbols", text)


def test_all_that_is_wrong_is_said_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    line = refused(capsys, "--port", "x", "--window", "1")
    assert "TINY_PORT: " in line
    assert "; TINY_WINDOW: " in line


def test_a_flag_that_is_none_ends_it_too(capsys: pytest.CaptureFixture[str]) -> None:
    for flag in ("--no-such-flag=1", "--windo=5", "--window"):
        assert flag in refused(capsys, flag)


@pytest.mark.parametrize("empty", ["", "  ", "\r", '""', "' '"])
def test_an_empty_value_is_unset(monkeypatch: pytest.MonkeyPatch, empty: str) -> None:
    for variable in VARIABLES.values():
        monkeypatch.setenv(variable, empty)
    settings = load()
    assert settings == TinySettings(**{name: info.default for name, info in TinySettings.model_fields.items()})
    assert (settings.ops_host, settings.redis_url) == ("127.0.0.1", "redis://localhost:6379")


def test_an_empty_flag_is_one_that_was_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINY_PORT", "7")
    assert load("--port", "", "--window= ").port == 7
    assert load("--port", "", "--window= ").window == 1000


@pytest.mark.parametrize(
    ("variable", "text", "name", "value"),
    [
        ("TINY_WINDOW", "1e3", "window", 1000),
        ("TINY_WINDOW", "1.5E3", "window", 1500),
        ("TINY_WINDOW", "1_000", "window", 1000),
        ("TINY_WINDOW", " 20.0\r", "window", 20),
        ("TINY_PORT", "'8101'", "port", 8101),
        ("TINY_TICK_SECONDS", '"2.5"\r\n', "tick_seconds", 2.5),
        ("TINY_TICK_SECONDS", "1e1", "tick_seconds", 10.0),
        ("TINY_OPS_HOST", "[::1]", "ops_host", "::1"),
        ("TINY_OPS_HOST", "\tlocalhost ", "ops_host", "localhost"),
        ("TINY_SWITCH", "ON", "switch", True),
        ("TINY_SWITCH", "Yes\r", "switch", True),
        ("TINY_SWITCH", " 0", "switch", False),
        ("LOG_LEVEL", "INFO", "log_level", "info"),
        ("LOG_FORMAT", " Json ", "log_format", "json"),
        ("REDIS_URL", '"redis://h:1/2"\r', "redis_url", "redis://h:1/2"),
        ("TINY_SYMBOLS", "'SPY, QQQ'", "symbols", ("SPY", "QQQ")),
        ("TINY_FOLDER", "NONE", "folder", ""),
    ],
)
def test_a_value_is_read_as_it_is_meant(
    monkeypatch: pytest.MonkeyPatch, variable: str, text: str, name: str, value: object
) -> None:
    monkeypatch.setenv(variable, text)
    assert getattr(load(), name) == value


def test_what_a_container_platform_sets_is_no_setting(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TINY_PORT", "tcp://10.0.0.2:8001")
    assert load().port == 8001
    assert list(TinySettings.set_aside({"TINY_PORT": "tcp://10.0.0.2:8001"})) == ["TINY_PORT"]
    assert list(TinySettings.misspelt({"TINY_PORT": "tcp://10.0.0.2:8001", "TINY_SERVICE_HOST": "10.0.0.2"})) == []
    monkeypatch.setenv("TINY_PORT", "tcp://10.0.0.2")
    assert refused(capsys).startswith("tiny: TINY_PORT: must be a number")
    assert "TINY_PORT: must be a number" in refused(capsys, "--port", "tcp://10.0.0.2:8001")


def test_misspelt_variables_are_found_with_the_right_names() -> None:
    found = TinySettings.misspelt(
        {
            "TINY_TICK_SECOND": "s3cret",
            "TINY_WINDOW_SIZE": "5",
            "TINY_LOG_LEVEL": "debug",
            "TINY_ZZZZ": "1",
            "REDIS_URI": "redis://h",
            "LOG_LEVL": "debug",
            "tiny_window": "5",
            "REDIS_PORT": "6379",
            "COTTAGE_TOKEN": "the command's",
            "COTTAGE_TOKEN_FILE": "the command's",
            "MARKET_WINDOW": "another service's",
            "PATH": "/bin",
        }
    )
    assert list(found) == [
        ("TINY_TICK_SECOND", "TINY_TICK_SECONDS"),
        ("TINY_WINDOW_SIZE", "TINY_WINDOW"),
        ("TINY_LOG_LEVEL", "LOG_LEVEL"),
        ("TINY_ZZZZ", None),
        ("REDIS_URI", "REDIS_URL"),
        ("LOG_LEVL", "LOG_LEVEL"),
    ]


def test_what_cannot_be_together_is_refused_with_both_names(capsys: pytest.CaptureFixture[str]) -> None:
    line = refused(capsys, "--tick-seconds", "5", "--gap-seconds", "5")
    assert line.startswith("tiny: TINY_TICK_SECONDS: 5 must be less than TINY_GAP_SECONDS, which is 5: ")
    line = refused(capsys, "--port", "9000", "--ops-port", "9000", "--host", "127.0.0.1")
    assert line == "tiny: TINY_OPS_PORT: is the same as TINY_PORT, 9000\n"


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
def test_urls_of_every_kind_are_taken(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("REDIS_URL", url)
    assert load().redis_url == url


def test_settings_show_no_secret_and_do_not_change(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://:s3cret@h")
    settings = load()
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
