import pytest

from services.feynman.settings import FeynmanSettings


def load(*arguments: str) -> FeynmanSettings:
    return FeynmanSettings.load("feynman", "a test", arguments)


def test_every_default_works() -> None:
    settings = load()
    assert (settings.tick_seconds, settings.heartbeat_seconds, settings.lease_seconds) == (1.0, 1.0, 5.0)
    assert (settings.window, settings.shard, settings.symbols) == (1000, "0/1", ())


def test_the_environment_and_flags_set_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEYNMAN_SYMBOLS", "SPY, BRK.B")
    monkeypatch.setenv("FEYNMAN_SHARD", "1/3")
    settings = load("--shard", "2/3", "--tick-seconds", "0.5")
    assert (settings.symbols, settings.shard, settings.tick_seconds) == (("SPY", "BRK.B"), "2/3", 0.5)


@pytest.mark.parametrize(
    ("flag", "value", "variable"),
    [
        ("--tick-seconds", "0", "FEYNMAN_TICK_SECONDS"),
        ("--tick-seconds", "nan", "FEYNMAN_TICK_SECONDS"),
        ("--window", "1", "FEYNMAN_WINDOW"),
        ("--window", "1.5", "FEYNMAN_WINDOW"),
        ("--symbols", "SPY,spy", "FEYNMAN_SYMBOLS"),
        ("--shard", "1/1", "FEYNMAN_SHARD"),
        ("--shard", "one", "FEYNMAN_SHARD"),
        ("--lease-seconds", "1.9", "FEYNMAN_LEASE_SECONDS"),
        ("--discovery-seconds", "inf", "FEYNMAN_DISCOVERY_SECONDS"),
        ("--heartbeat-seconds", "-1", "FEYNMAN_HEARTBEAT_SECONDS"),
        ("--forget-seconds", "0", "FEYNMAN_FORGET_SECONDS"),
        ("--interval-widening", "0.9", "FEYNMAN_INTERVAL_WIDENING"),
    ],
)
def test_a_bad_value_is_one_line_that_names_it(
    flag: str, value: str, variable: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        load(flag, value)
    assert ended.value.code == 2
    complaint = capsys.readouterr().err
    assert complaint.startswith(f"feynman: {variable}: ")
    assert complaint.count("\n") == 1


def test_a_lease_may_be_renewed_by_heartbeats_alone() -> None:
    assert load("--tick-seconds", "60", "--lease-seconds", "2").lease_seconds == 2.0
