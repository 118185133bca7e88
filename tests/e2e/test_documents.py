"""Every command of README.md, CONTRIBUTING.md and docs/ is run as it is printed.

`make run` and all that is typed beside it have a network of their own, where the usual ports are free, and a copy of
the repository. The Python programs run in tests/packaging/test_wheel.py. What is not run has its reason here.
"""

import contextlib
import gzip
import importlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from tests.support import ROOT

DOCUMENTS = ("README.md", "CONTRIBUTING.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")))
PROGRAMS_RUN = ("README.md", "docs/protocol.md", "docs/running.md", "docs/record.md", "docs/security.md")
"""Whose Python programs tests/packaging/test_wheel.py runs, tests/integration/test_record_commands.py those of
docs/record.md, and tests/deploy/test_production_files.py that of docs/security.md."""

STARTS = (
    "make run",
    "make run SOURCE=replay FILE=trades.csv.gz SPEED=10",
    "make run SOURCE=replay FILE=trades.csv.gz SPEED=10 LOOP=true",
    "make run PHYSICS_PORT=8101 BROADCASTER_PORT=8865",
    "make run FRESH=1",
)
ENDED = (
    "redis-cli HSET market:snapshot:ACME",
    "redis-cli EXPIRE market:snapshot:ACME 60",
    "cottage state SPY",
    "cottage probe --full",
    "make export FILE=dump.resp",
    "make import FILE=dump.resp",
    "make state SYMBOL=SPY",
    "make keys PATTERN='physics:state:*'",
    "make stats",
    "make slowlog",
    "make probe",
    "make probe ARGS=--full",
    "make inspect FILE=trades.csv.gz",
    "curl 'http://127.0.0.1:8001/v1/physics/SPY?max_age_ms=3000'",
    "redis-cli --rdb dump.rdb",
    "make import FILE=dump.rdb",
    "cottage history SPY --last 1h",
    "make history SYMBOL=SPY LAST=1h",
    ".venv/bin/python -m services.feynman --help",
    "make acl",
)
"""In this order: what comes later may need what was before."""
ENDLESS = ("cottage watch SPY,QQQ", "make watch", "make monitor", "make table", "make table SYMBOLS=SPY,QQQ")
ASKING = ("make delete PATTERN='agent:state:*'", "make flush")
"""They ask before they delete; here nobody answers."""
REFUSED = ("cottage retire 'OLD*'", "make retire PATTERN='TEST*'")
"""Nothing has such a name."""
NOT_RUN = {
    "make test": "this is it",
    "pip install": "tests/packaging/test_wheel.py installs the wheel, without the network",
    "docker compose": "tests/deploy/test_compose.py",
    "RECORDINGS=": "tests/deploy/test_compose.py",
    "cottage history SPY,QQQ --from": "of the reader's day",
    "cottage changes": "tests/integration/test_record_commands.py; there may be none",
    "cottage gaps": "the same",
    "cottage proof": "tests/e2e/test_proof.py; a record that has just begun proves nothing yet",
    "make proof": "the same",
    "make compare": "tests/integration/test_time_travel.py",
    "make chaos": "tests/chaos/test_course.py, and a run of it takes minutes",
    "redis-cli --pipe < dump.rdb": "it is shown because it cannot work",
    "REDIS_URL=": "of hosts that nobody has",
    "cp .run/": "a copy of a file",
    "make export FILE=/backup/": "into a folder of the reader's",
    "FEYNMAN_SHARD=": "tests/integration/test_shards.py",
    "BROADCASTER_SHARE_PORT=": "tests/integration/test_broadcaster.py shares a port",
    "min-replicas": "lines of a redis.conf",
    "ws://": "an address",
}
PROXIES = ("nginx", "haproxy", "caddy")
"""Their configurations are tried by tests/integration/test_tls_proxies.py."""


def blocks(document: str) -> Iterator[tuple[str, str]]:
    """Language and text of each fenced block."""
    yield from re.findall(r"^```(\w*)\n(.*?)^```$", (ROOT / document).read_text(), re.MULTILINE | re.DOTALL)


def commands() -> Iterator[tuple[str, str]]:
    """Every line of the blocks that are for a shell, with its document."""
    for document in DOCUMENTS:
        if document in ("docs/architecture.md", "CONTRIBUTING.md"):  # pictures, and a list of targets
            continue
        for language, text in blocks(document):
            if language == "":
                yield from ((document, re.sub(r" +#.*", "", line)) for line in text.splitlines() if line.strip())


def test_every_command_is_run_or_has_a_reason_not_to_be() -> None:
    known = (*STARTS, *ENDED, *ENDLESS, *ASKING, *REFUSED, *NOT_RUN)
    found = list(commands())
    assert len(found) > 20
    assert [(document, line) for document, line in found if not line.startswith(known)] == []


@pytest.mark.parametrize("command", [*STARTS, *ENDED, *ENDLESS, *ASKING, *REFUSED])
def test_what_is_run_is_in_a_document_word_for_word(command: str) -> None:
    assert any(command in (ROOT / document).read_text() for document in DOCUMENTS)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_targets_and_modules_that_are_named_exist(document: str) -> None:
    text = (ROOT / document).read_text()
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    # In prose `make` is a verb too: what is typed stands in a block, or between backticks.
    typed = [
        *re.findall(r"`([^`\n]+)`", text),
        *(line for _language, block in blocks(document) for line in block.splitlines()),
    ]
    named = {found for line in typed for found in re.findall(r"^make ([a-z][a-z-]+)", line.strip())}
    assert named <= targets, named - targets
    for module in set(re.findall(r"python -m ((?:services|deploy|tests)\.[\w.]*\w)", text)) - {"services.NAME"}:
        importlib.import_module(module)
    for interpreter in re.findall(r"(\S*)python -m (?:services|deploy)\.", "\n".join(typed)):
        assert interpreter.endswith(".venv/bin/") or document == "docs/architecture.md"


def test_programs_and_messages_of_documents_are_tried() -> None:
    for document in DOCUMENTS:
        for language, text in blocks(document):
            assert language in ("", "text", "python", "js", "json", "mermaid", "yaml", *PROXIES), (document, text)
            assert language != "python" or document in PROGRAMS_RUN, document
            if language == "json":
                json.loads(text)


class Island:
    """A copy of the repository, and a network of its own, whose loopback is all that it has."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "cottage"
        shutil.copytree(
            ROOT,
            self.folder,
            ignore=shutil.ignore_patterns(
                ".git", ".venv*", ".run", "node_modules", "__pycache__", ".*_cache", "tests"
            ),
            symlinks=True,
        )
        (self.folder / ".venv").symlink_to(sys.prefix)
        rows = "".join(f"{1_700_000_000 + second},TAPE,{100 + second % 7},1\n" for second in range(3600))
        (self.folder / "trades.csv.gz").write_bytes(gzip.compress(b"timestamp,symbol,price,size\n" + rows.encode()))
        command = folder / "bin" / "cottage"  # as `pip install` makes it
        command.parent.mkdir()
        command.write_text(f'#!/bin/sh\nexec {sys.executable} -m cottage "$@"\n')
        command.chmod(0o755)
        kept = {"HOME", "LANG", "USER"}
        self._environment = {
            **{name: value for name, value in os.environ.items() if name in kept},
            "PATH": f"{command.parent}:{os.environ['PATH']}",
        }
        self._holder = subprocess.Popen(["unshare", "--net", "sleep", "infinity"])
        self._log = folder / "run.log"

    def bring_up(self) -> None:
        deadline = time.monotonic() + 10
        while Path(f"/proc/{self._holder.pid}/ns/net").readlink() == Path("/proc/self/ns/net").readlink():
            assert self._holder.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert self.typed("ip link set lo up").returncode == 0

    def close(self) -> None:
        self._holder.kill()
        self._holder.wait()

    def typed(self, line: str, seconds: float = 60.0) -> "subprocess.CompletedProcess[str]":
        """The line, typed into a shell there: interrupted by Ctrl-C after so many seconds."""
        with self._started(line, subprocess.PIPE) as process:
            try:
                printed, _ = process.communicate(timeout=seconds)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGINT)
                printed, _ = process.communicate(timeout=30)
            return subprocess.CompletedProcess(line, process.returncode, printed, "")

    @contextlib.contextmanager
    def running(self, line: str) -> Iterator[Path]:
        """A `make run` until the block ends, from when it has said where everything is."""
        with self._log.open("w") as log, self._started(line, log) as process:
            try:
                deadline = time.monotonic() + 60
                while not re.search(r"http://127\.0\.0\.1:\d+/", self._log.read_text()):
                    assert process.poll() is None, self._log.read_text()
                    assert time.monotonic() < deadline, self._log.read_text()
                    time.sleep(0.1)
                yield self._log
            finally:
                os.killpg(process.pid, signal.SIGINT)
                process.wait(30)

    def _started(self, line: str, output: IO[str] | int) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            ["nsenter", f"--net=/proc/{self._holder.pid}/ns/net", "bash", "-c", line],
            cwd=self.folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )


@pytest.fixture(scope="module")
def island(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Island]:
    tools = ("unshare", "nsenter", "ip", "curl", "redis-cli", "make")
    if missing := [tool for tool in tools if shutil.which(tool) is None]:
        pytest.skip(f"did NOT run: no {', '.join(missing)} on this machine")
    if subprocess.run(["unshare", "--net", "true"], capture_output=True).returncode:
        pytest.skip("did NOT run: no network of one's own on this machine (unshare --net)")
    made = Island(tmp_path_factory.mktemp("island"))
    try:
        made.bring_up()
        yield made
    finally:
        made.close()


def shown(island: Island, symbol: str, words: str = '"freshness"', port: int = 8001) -> str:
    """What the API says of a symbol, as soon as it has these words."""
    deadline = time.monotonic() + 60
    while words not in (answer := island.typed(f"curl -s http://127.0.0.1:{port}/v1/physics/{symbol}").stdout):
        assert time.monotonic() < deadline, answer
        time.sleep(0.5)
    return answer


@pytest.mark.slow
def test_the_commands_beside_make_run(island: Island) -> None:
    printed = dict.fromkeys(line for _document, line in commands())
    with island.running("make run"):
        shown(island, "SPY")
        for start in ENDED:
            line = next((line for line in printed if line.startswith(start)), start)
            done = island.typed(line)
            assert done.returncode == 0, (line, done.stdout)
            assert done.stdout.strip(), line
            if "EXPIRE" in line:
                assert json.loads(shown(island, "ACME"))["freshness"]["status"] == "live"
        for line in ENDLESS:
            assert "SPY" in island.typed(line, 4.0).stdout, line
        island.typed("redis-cli SET agent:state:mine 1")
        for line in ASKING:
            done = island.typed(line)
            assert done.returncode != 0, line
            assert "YES=1" in done.stdout, done.stdout
        for line in REFUSED:
            done = island.typed(line)
            assert "OLD" in done.stdout or "TEST" in done.stdout, done.stdout
        assert json.loads(shown(island, "SPY"))["freshness"]["status"] == "live", "nothing of it did any harm"


@pytest.mark.slow
@pytest.mark.parametrize("line", STARTS[1:])
def test_each_way_to_start(island: Island, line: str) -> None:
    with island.running(line):
        if "SOURCE=replay" in line:
            assert '"replay"' in shown(island, "TAPE", '"replay"')
        else:
            assert shown(island, "SPY", port=8101 if "8101" in line else 8001)
