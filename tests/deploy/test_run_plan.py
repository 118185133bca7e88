"""What `make run` starts, and on which ports."""

import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

from cottage.errors import SettingsError
from deploy import run_plan
from deploy.run_plan import SERVICES, SETTINGS, log_options, make_plan, misspelt
from tests.certificates import Authority

# Nothing here may lean on the default ports being free on the machine that runs the tests.
ANY = {f"{service.name.upper()}_OPS_PORT": "0" for service in SERVICES} | {
    f"{service.name.upper()}_PORT": "0" for service in SERVICES if service.port
}


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_every_service_gets_its_ports_and_the_others() -> None:
    planned = {service.name: service for service in make_plan(ANY).services}
    assert set(planned) == {"market", "feynman", "physics", "bridge", "broadcaster", "recorder"}
    ports = {planned["market"].environment[variable] for variable in ANY}
    assert len(ports) == len(ANY)
    assert "0" not in ports
    for name, service in planned.items():
        assert service.command[1:] == ("-m", f"services.{name}")
        assert service.ops == ("127.0.0.1", int(service.environment[f"{name.upper()}_OPS_PORT"]))


def test_the_recorder_is_left_out_where_it_is_off() -> None:
    for text in ("off", "0", "none"):
        names = {service.name for service in make_plan({**ANY, "RECORDER": text}).services}
        assert names == {"market", "feynman", "physics", "bridge", "broadcaster"}
    with pytest.raises(SettingsError, match="RECORDER must be 1 or 0"):
        make_plan({**ANY, "RECORDER": "perhaps"})


def test_the_record_is_beside_the_checkpoints_and_bounded_and_the_api_reads_it() -> None:
    made = {service.name: service.environment for service in make_plan({**ANY, "RUN_DIR": "elsewhere"}).services}
    assert made["recorder"]["RECORDER_DIR"] == made["physics"]["RECORDER_DIR"] == "elsewhere/record"
    assert made["recorder"]["RECORDER_MAX_GIB"] == "2"
    assert made["recorder"]["RECORDER_BRIDGE_URL"] == made["broadcaster"]["BROADCASTER_BRIDGE_URL"]
    made = {service.name: service.environment for service in make_plan({**ANY, "RECORDER_MAX_GIB": "7"}).services}
    assert made["recorder"]["RECORDER_MAX_GIB"] == "7"


@pytest.mark.parametrize(
    ("text", "fresh"), [("", False), ("0", False), ("false", False), ("1", True), ("True", True), (" yes\r", True)]
)
def test_a_fresh_start_is_asked_for(text: str, fresh: bool) -> None:
    made = make_plan({**ANY, "FRESH": text, "RUN_DIR": "elsewhere"})
    assert (made.fresh, made.checkpoints) == (fresh, "elsewhere/feynman")


@pytest.mark.parametrize(
    ("chosen", "warm"), [({}, None), ({"FRESH": "1"}, "off"), ({"FRESH": "1", "RECORDER_WARM": "on"}, "on")]
)
def test_a_fresh_start_fills_no_window_from_the_record(chosen: dict[str, str], warm: str | None) -> None:
    (recorder,) = [each for each in make_plan({**ANY, **chosen}).services if each.name == "recorder"]
    assert recorder.environment.get("RECORDER_WARM") == warm


def test_a_fresh_start_is_asked_for_by_1() -> None:
    with pytest.raises(SettingsError, match="FRESH must be 1 or 0"):
        make_plan({**ANY, "FRESH": "yes, please"})


def test_defaults_are_the_documented_ones() -> None:
    assert {service.name: (service.port, service.ops_port) for service in SERVICES} == {
        "market": (None, 9101),
        "feynman": (None, 9102),
        "physics": (8001, 9103),
        "bridge": (8766, 9104),
        "broadcaster": (8765, 9105),
        "recorder": (None, 9106),
    }


def test_the_broadcaster_learns_nothing_of_redis() -> None:
    for login in ({"REDIS_URL": "redis://:secret@h:1"}, {"REDIS_URL": "redis://h:1", "REDIS_PASSWORD": "secret"}):
        for service in make_plan({**ANY, **login}).services:
            assert ("secret" in str(service.environment)) == (service.name != "broadcaster")


def test_a_redis_whose_login_stands_beside_its_url_is_used(tmp_path: Path) -> None:
    url, password = tmp_path / "url", tmp_path / "password"
    url.write_text("redis://h:1\n")
    password.write_text("s3@cret\n")
    beside = {"REDIS_USERNAME": "me", "REDIS_PASSWORD_FILE": str(password)}
    for given in ({"REDIS_URL": "redis://h:1", **beside}, {"REDIS_URL_FILE": str(url), **beside}):
        made = make_plan({**ANY, **given})
        assert (made.redis_url, made.redis_port) == ("redis://me:s3%40cret@h:1", None)
        for service in made.services:
            handed = {name: value for name, value in service.environment.items() if name in given}
            assert handed == ({} if service.name == "broadcaster" else given), "as it was given"
            assert "cret" not in str(service.environment)


def test_a_redis_with_a_login_in_its_url_has_its_files_of_tls_too(tmp_path: Path) -> None:
    """FRESH=1, the runbook and the commands reach it by this URL alone."""
    authority = str(Authority(tmp_path).path)
    for url in ("rediss://me:s3cret@h:1", "rediss://h:1"):
        made = make_plan({**ANY, "REDIS_URL": url, "REDIS_CA_FILE": authority})
        assert made.redis_url == f"{url}?{urlencode({'ssl_ca_certs': authority})}"
        for service in made.services:
            assert service.environment.get("REDIS_URL") == (None if service.name == "broadcaster" else url)


def test_a_server_of_our_own_asks_for_no_password() -> None:
    made = make_plan({**ANY, "REDIS_USERNAME": "me", "redis_password": "s3cret", "REDIS_PASSWORD_FILE": "/x"})
    for service in made.services:
        known = {name for name in service.environment if name.upper().startswith("REDIS_")}
        assert known == (set() if service.name == "broadcaster" else {"REDIS_URL"})


def test_a_given_redis_is_used_and_none_started() -> None:
    made = make_plan({**ANY, "REDIS_URL": "redis://elsewhere:6379"})
    assert made.redis_port is None
    assert made.redis_url == "redis://elsewhere:6379"


def test_redis_moves_to_the_next_free_port(monkeypatch: pytest.MonkeyPatch, taken: int) -> None:
    monkeypatch.setattr(run_plan, "REDIS_PORT", taken)
    made = make_plan(ANY)
    assert made.redis_port is not None
    assert made.redis_port > taken
    assert made.redis_url == f"redis://127.0.0.1:{made.redis_port}"


@pytest.mark.parametrize("variable", [*ANY, "REDIS_PORT"])
def test_a_taken_port_is_named(variable: str, taken: int) -> None:
    with pytest.raises(SettingsError, match=rf"127\.0\.0\.1:{taken} .*{variable}"):
        make_plan({**ANY, variable: str(taken)})


@pytest.mark.parametrize("empty", ["", " \r", '""'])
def test_an_empty_variable_is_unset(empty: str) -> None:
    others = {"REDIS_PORT": "0", "RUN_DIR": "elsewhere"}
    names = (
        "PHYSICS_HOST",
        "BRIDGE_OPS_HOST",
        "REDIS_URL",
        "FRESH",
        "FEYNMAN_CHECKPOINT_DIR",
        "BROADCASTER_BRIDGE_URL",
    )
    made = make_plan({**ANY, **others, **dict.fromkeys(names, empty)})
    given = made.services[0].environment
    assert (given["PHYSICS_HOST"], given["BRIDGE_OPS_HOST"]) == ("127.0.0.1", "127.0.0.1")
    assert given["BROADCASTER_BRIDGE_URL"].startswith("ws://127.0.0.1:")
    assert made.checkpoints == given["FEYNMAN_CHECKPOINT_DIR"] == "elsewhere/feynman"
    assert made.redis_url == f"redis://127.0.0.1:{made.redis_port}"


def test_checkpoints_are_switched_off_by_none() -> None:
    made = make_plan({**ANY, "FEYNMAN_CHECKPOINT_DIR": "none"})
    assert made.services[0].environment["FEYNMAN_CHECKPOINT_DIR"] == "none"


def test_the_links_of_a_container_platform_are_no_ports() -> None:
    made = make_plan({**ANY, "REDIS_PORT": "tcp://10.0.0.3:6379", "PHYSICS_OPS_PORT": "tcp://10.0.0.2:9103", **ANY})
    assert made.redis_port is not None
    assert "tcp://" not in str(made.services[0].environment["PHYSICS_OPS_PORT"])


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("PHYSICS_HOST", "127.0.0.1:8001"),
        ("PHYSICS_HOST", "a" * 70),
        ("REDIS_URL", "redis://localhost/abc"),
        ("REDIS_URL", "http://localhost"),
        ("FRESH", "perhaps"),
    ],
)
def test_what_cannot_be_is_named(variable: str, text: str) -> None:
    with pytest.raises(SettingsError, match=f"^{variable} "):
        make_plan({**ANY, variable: text})


def test_every_setting_of_every_service_is_known() -> None:
    names = {name for settings in SETTINGS for name in settings.all_variables()}
    assert {"REDIS_PASSWORD_FILE", "OPS_TOKEN", "OPS_ALLOW"} <= names
    given = " ".join(f"{name}=x" for name in names)
    assert misspelt({**dict.fromkeys(names, "x"), "MAKEFLAGS": f" -- {given}"}) == []


def test_a_misspelt_variable_is_found_once_and_not_handed_on() -> None:
    environment = {
        **ANY,
        "REDIS_URI": "redis://elsewhere",
        "RUN_DIRR": "x",
        "COTTAGE_TOKEN": "the command's",
        "FEYNMAN_WINDOW_SIZE": "feynman says that",
        "MAKEFLAGS": "s -- SOUCE=replay FILE=a\\ b=c.csv PHYSICS_PORT=0 FEYNMAN_TICK=2",
        "SOUCE": "replay",
    }
    found = misspelt(environment)
    assert found == [("REDIS_URI", "REDIS_URL"), ("RUN_DIRR", "RUN_DIR"), ("SOUCE", "SOURCE")]
    given = make_plan(environment).services[0].environment
    assert given["FEYNMAN_WINDOW_SIZE"]
    assert not {each.variable for each in found} & set(given)


def test_the_ports_to_choose_from_are_handed_on_and_no_misspelt_setting() -> None:
    environment = {**ANY, "FREE_PORTS": "20000-20999", "MAKEFLAGS": " -- FREE_PORTS=20000-20999"}
    assert misspelt(environment) == []
    for service, settings in zip(make_plan(environment).services, SETTINGS, strict=True):
        assert service.environment["FREE_PORTS"] == "20000-20999"
        assert list(settings.misspelt({"FREE_PORTS": "20000-20999"})) == []


def test_names_in_small_letters_are_read_as_the_services_read_them() -> None:
    plan = make_plan({**ANY, "redis_url": "redis://:s3cret@h:6380/1", "fresh": "yes"})
    assert (plan.redis_url, plan.redis_port, plan.fresh) == ("redis://:s3cret@h:6380/1", None, True)
    planned = {service.name: service.environment for service in plan.services}
    assert planned["bridge"]["REDIS_URL"] == plan.redis_url
    assert "s3cret" not in str(planned["broadcaster"])
    assert misspelt({"MAKEFLAGS": " -- redis_port=1 physics_port=2", "redis_port": "1", "physics_port": "2"}) == []
    assert misspelt({"Redis_Port": "1"}) == [("Redis_Port", "REDIS_PORT")]


def test_the_log_of_make_run_is_set_as_that_of_a_service() -> None:
    assert log_options({}) == ("info", "auto")
    assert log_options({"LOG_LEVEL": " DEBUG\r", "LOG_FORMAT": ""}) == ("debug", "auto")
    with pytest.raises(SettingsError, match="LOG_LEVEL must be one of debug, info"):
        log_options({"LOG_LEVEL": "loud"})


@pytest.mark.parametrize("text", ["http", "-1", "65536", "80.5", "٣"])
def test_a_port_that_is_none_is_named(text: str) -> None:
    with pytest.raises(SettingsError, match="PHYSICS_PORT must be a port"):
        make_plan({**ANY, "PHYSICS_PORT": text})


@pytest.mark.parametrize("port", ["0", "8101"])
@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
def test_an_address_of_another_machine_is_named_whatever_the_port(host: str, port: str) -> None:
    with pytest.raises(SettingsError, match=f"{host}:{port} .*set PHYSICS_HOST"):
        make_plan({**ANY, "PHYSICS_PORT": port, "PHYSICS_HOST": host})


def test_two_services_on_one_port_are_refused(taken: int) -> None:
    free = make_plan(ANY).services[0].environment["PHYSICS_PORT"]
    with pytest.raises(SettingsError, match=f"127.0.0.1:{free}"):
        make_plan({**ANY, "PHYSICS_PORT": free, "BRIDGE_PORT": free})


def test_an_address_for_all_is_dialled_on_this_machine() -> None:
    made = make_plan({**ANY, "BROADCASTER_HOST": "0.0.0.0", "BRIDGE_HOST": "0.0.0.0"})
    broadcaster = next(service for service in made.services if service.name == "broadcaster")
    assert broadcaster.environment["BROADCASTER_HOST"] == "0.0.0.0"
    assert made.urls["PAGE_URL"].startswith("http://127.0.0.1:")
    assert broadcaster.environment["BROADCASTER_BRIDGE_URL"].startswith("ws://127.0.0.1:")


def test_redis_is_named_last() -> None:
    assert list(make_plan(ANY).urls)[-1] == "REDIS_URL"


def test_a_record_that_is_replayed_is_recorded_beside_itself(tmp_path: Path) -> None:
    record = tmp_path / "record"
    record.mkdir()
    (record / "manifest.json").touch()

    def folders(**environment: str) -> list[str | None]:
        plan = make_plan({**ANY, "RUN_DIR": str(tmp_path), **environment})
        (feynman,) = (each.environment for each in plan.services if each.name == "feynman")
        return [feynman.get(name) for name in ("RECORDER_DIR", "FEYNMAN_RECORD_DIR", "FEYNMAN_REPLAY_DIR")]

    replay = {"MARKET_SOURCE": "replay", "MARKET_FILE": str(record)}
    assert folders() == [str(record), str(record), None]
    assert folders(MARKET_SOURCE="replay", MARKET_FILE="trades.csv") == [str(record), str(record), None]
    assert folders(**replay) == [str(tmp_path / "replayed")] * 2 + [str(record)]
    (tmp_path / "replayed").mkdir()
    assert folders(**replay) == [str(tmp_path / "replayed-2")] * 2 + [str(record)]
    assert folders(**replay, RECORDER_DIR="elsewhere") == ["elsewhere", "elsewhere", str(record)]
    assert folders(**replay, RECORDER="off")[1:] == [None, str(record)]


@pytest.mark.parametrize("text", ["/x/page.pem", "", '""', " \r"])
@pytest.mark.parametrize("name", ["BROADCASTER", "PHYSICS", "BRIDGE"])
def test_urls_are_over_tls_where_a_service_has_a_certificate(name: str, text: str) -> None:
    made = make_plan({**ANY, f"{name}_TLS_CERT_FILE": text})
    dialled = {service.environment["BROADCASTER_BRIDGE_URL"] for service in made.services}
    dialled |= {service.environment["RECORDER_BRIDGE_URL"] for service in made.services}
    schemes = {variable: url.partition("://")[0] for variable, url in made.urls.items()}
    schemes["the link"] = {url.partition("://")[0] for url in dialled}.pop()
    assert len({url.partition("://")[0] for url in dialled}) == 1
    plain = {"PAGE_URL": "http", "WEBSOCKET_URL": "ws", "API_URL": "http", "API_DOCS_URL": "http", "the link": "ws"}
    of = {
        "BROADCASTER": ("PAGE_URL", "WEBSOCKET_URL"),
        "PHYSICS": ("API_URL", "API_DOCS_URL"),
        "BRIDGE": ("the link",),
    }
    encrypted = {each: f"{plain[each]}s" for each in of[name]} if text.startswith("/") else {}
    assert schemes == {**plain, **encrypted, "REDIS_URL": "redis"}
