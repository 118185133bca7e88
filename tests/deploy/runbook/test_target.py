"""Which Redis the runbook works on."""

import os
from pathlib import Path

import pytest

from cottage.errors import SettingsError
from deploy.run_directory import write_urls
from deploy.runbook.target import Direct, InContainer, find_target


def program(folder: Path, name: str, script: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


@pytest.fixture(autouse=True)
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nothing of this machine's Docker."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def test_a_url_comes_first(tmp_path: Path) -> None:
    write_urls(tmp_path, {"REDIS_URL": "redis://127.0.0.1:1"})
    target = find_target({"REDIS_URL": "redis://:secret@host:2/3", "RUN_DIR": str(tmp_path)})
    assert target == Direct("redis://:secret@host:2/3", "REDIS_URL")
    assert "secret" not in str(target)
    assert "host:2/3" in str(target)


def test_then_make_run(tmp_path: Path, path: Path) -> None:
    program(path, "docker-compose", "echo physics")
    write_urls(tmp_path, {"REDIS_URL": "redis://127.0.0.1:1"})
    assert find_target({"RUN_DIR": str(tmp_path)}) == Direct("redis://127.0.0.1:1", f"make run, {tmp_path}")


@pytest.mark.parametrize(
    ("tool", "script", "compose"),
    [
        ("docker", 'if [ "$2" = ps ]; then echo redis; echo bridge; echo physics; fi', ("docker", "compose")),
        ("docker-compose", "echo redis; echo bridge; echo physics", ("docker-compose",)),
    ],
)
def test_then_compose_whichever_there_is(
    tmp_path: Path, path: Path, tool: str, script: str, compose: tuple[str, ...]
) -> None:
    program(path, tool, script)
    target = find_target({"RUN_DIR": str(tmp_path)})
    assert target == InContainer(compose, "physics")
    assert target.command(["stats"]) == [
        *compose,
        *["exec", "-T", "physics", "python", "-m", "deploy.runbook", "stats"],
    ]


def test_never_through_what_cannot_reach_redis(tmp_path: Path, path: Path) -> None:
    program(path, "docker-compose", "echo redis; echo broadcaster")
    with pytest.raises(SettingsError):
        find_target({"RUN_DIR": str(tmp_path)})


def test_without_any_it_says_what_to_do(tmp_path: Path, path: Path) -> None:
    program(path, "docker", "echo 'docker: unknown command: docker compose' >&2; exit 1")
    with pytest.raises(SettingsError, match=r"make run.*docker compose up.*REDIS_URL"):
        find_target({"RUN_DIR": str(tmp_path)})
    assert os.environ["PATH"] == str(path)


def test_user_password_and_files_are_read_too(tmp_path: Path) -> None:
    url = tmp_path / "url"
    url.write_text("redis://host:2/3\n")
    beside = {"REDIS_URL_FILE": str(url), "REDIS_USERNAME": "me", "REDIS_PASSWORD": "p@ss"}
    target = find_target(beside)
    assert target == Direct("redis://me:p%40ss@host:2/3", "REDIS_URL")
    assert "ss" not in str(target)
    with pytest.raises(SettingsError, match=r"^REDIS_URL: has a user or password"):
        find_target({"REDIS_URL": "redis://:x@h", "REDIS_PASSWORD": "y"})
