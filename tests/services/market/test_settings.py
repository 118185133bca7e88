from pathlib import Path

import pytest

from services.market.settings import MarketSettings


def load(*arguments: str) -> MarketSettings:
    return MarketSettings.load("market", "purpose", arguments)


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in MarketSettings.model_fields:
        monkeypatch.delenv(MarketSettings.variable(name), raising=False)


def test_the_defaults_simulate() -> None:
    settings = load()
    assert settings.source == "simulate"
    assert settings.symbols == ()
    assert settings.speed == 1.0
    assert settings.interval_seconds == 1.0
    assert settings.ops_port == 9101
    assert settings.feed_id == "SIMULATE"


def test_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "MARKET_SOURCE": "replay",
        "MARKET_FILE": "trades.csv.gz",
        "MARKET_SPEED": "10",
        "MARKET_LOOP": "true",
        "MARKET_SYMBOLS": "ES, NQ,ES",
        "MARKET_FEED": "CME",
    }.items():
        monkeypatch.setenv(name, value)
    settings = load()
    assert (settings.source, settings.file, settings.speed, settings.loop) == ("replay", "trades.csv.gz", 10.0, True)
    assert settings.symbols == ("ES", "NQ"), "each symbol once"
    assert settings.feed_id == "CME"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--source", "live"], ["MARKET_SOURCE", "later version"]),
        (["--source", "fax"], ["MARKET_SOURCE", "simulate"]),
        (["--source", "replay"], ["MARKET_FILE", "replay needs a recording"]),
        (["--symbols", "SPY,spy"], ["MARKET_SYMBOLS", "spy"]),
        (["--symbols", "A/B,A-B"], ["MARKET_SYMBOLS", "A/B and A-B are both A-B"]),
        (["--seed", "-1"], ["MARKET_SEED"]),
        (["--speed", "0"], ["MARKET_SPEED"]),
        (["--speed", "nan"], ["MARKET_SPEED"]),
        (["--speed", "fast"], ["MARKET_SPEED", "a number from 0.001 to 100,000, max or bars"]),
        (["--interval-seconds", "0"], ["MARKET_INTERVAL_SECONDS"]),
        (["--loop", "perhaps"], ["MARKET_LOOP"]),
        (["--loop", "true", "--exit-at-end", "true"], ["MARKET_EXIT_AT_END", "MARKET_LOOP starts over"]),
        (["--feed", "my feed"], ["MARKET_FEED"]),
        (["--redis-url", "redis://localhost"], ["REDIS_URL", "no flag"]),
    ],
)
def test_nonsense_is_one_line_that_names_the_setting(
    arguments: list[str], words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        load(*arguments)
    assert ended.value.code == 2
    complaint = capsys.readouterr().err
    assert complaint.count("\n") == 1
    for word in words:
        assert word in complaint


def test_a_recording_is_looked_at_before_anything_starts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """And everything that is wrong is said at once."""
    assert MarketSettings.refusals() == []
    monkeypatch.setenv("MARKET_SOURCE", "replay")
    for content, words in ((None, "No such file"), ("time,price\n", "holds no rows"), ("", "is empty")):
        path = tmp_path / "trades.csv"
        if content is not None:
            path.write_text(content)
        monkeypatch.setenv("MARKET_FILE", str(path))
        (line,) = MarketSettings.refusals()
        assert words in line
        assert path.name in line
    path.write_text("timestamp,symbol,price,size\n1,ES,ten,1\n")
    assert MarketSettings.refusals() == [], "whether it has usable rows is found out when it is replayed"
    monkeypatch.setenv("MARKET_SPEED", "fast")
    monkeypatch.setenv("MARKET_SEED", "-1")
    assert [line.partition(":")[0] for line in MarketSettings.refusals()] == ["MARKET_SEED", "MARKET_SPEED"]


@pytest.mark.parametrize(("text", "speed"), [("1e3", 1000.0), ("0.5", 0.5), ("MAX", "max"), ("bars", "bars")])
def test_a_speed_is_a_number_or_lock_step(text: str, speed: object) -> None:
    settings = load("--source", "replay", "--file", "trades.csv", "--speed", text)
    assert settings.speed == speed
    assert settings.in_lock_step == (speed in ("max", "bars"))


def test_only_a_replay_runs_in_lock_step() -> None:
    assert not load("--speed", "max").in_lock_step
