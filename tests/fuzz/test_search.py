"""The search itself: it finds what was planted, and says so."""

import asyncio
import contextlib
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fuzz.__main__ import _stands_still
from tests.fuzz.mutation import mutated, of_json, of_lines
from tests.fuzz.search import SLOT_BYTES, SLOT_HEAD, peak_bytes, present_bytes, search
from tests.fuzz.target import Run, Target
from tests.support import ROOT


def target(run: Run, *seeds: bytes, most_bytes: int = 64 << 20) -> Target:
    return Target(
        "planted", "", lambda: run, lambda: seeds or (b"abc",), ("tests.fuzz",), longest=1000, most_bytes=most_bytes,
        looked_at_every=1,
    )  # fmt: skip


@pytest.fixture
def searched(tmp_path: Path) -> Callable[..., dict[str, object]]:
    slot = tmp_path / "slot"
    slot.write_bytes(b"")
    with slot.open("r+b") as file:
        file.truncate(SLOT_BYTES)

    def with_target(planted: Target, inputs: int = 300) -> dict[str, object]:
        return search(planted, [], tmp_path / "out", slot, seed=1, until=lambda n: n >= inputs, report=lambda _: None)

    return with_target


def test_it_counts_what_became_of_its_inputs(searched: Callable[..., dict[str, object]], tmp_path: Path) -> None:
    result = searched(target(lambda data: "long" if len(data) > 3 else "short"))
    assert result["inputs"] == 300
    outcomes = result["outcomes"]
    assert isinstance(outcomes, dict)
    assert outcomes.keys() == {"long", "short"}
    assert sum(outcomes.values()) == 300
    assert result["findings"] == {}
    number, length = SLOT_HEAD.unpack((tmp_path / "slot").read_bytes()[: SLOT_HEAD.size])
    assert (number, length <= 1000) == (300, True)


def test_an_exception_is_kept_with_its_input(searched: Callable[..., dict[str, object]], tmp_path: Path) -> None:
    def run(data: bytes) -> str:
        return "x" if data[:1] == b"a" else str(data.index(b"there is no such word"))

    result = searched(target(run))
    findings = result["findings"]
    assert isinstance(findings, dict)
    (kind,) = findings
    assert kind.startswith("ValueError at test_search.py:")
    (told,) = (tmp_path / "out" / "findings").glob("*.txt")
    with pytest.raises(ValueError, match="not found"):
        run(told.with_suffix("").read_bytes())


def test_what_fills_memory_is_kept(searched: Callable[..., dict[str, object]]) -> None:
    inputs = 0

    def run(_data: bytes) -> str:
        nonlocal inputs
        inputs += 1
        if inputs != 200:
            return "x"
        room = peak_bytes() - present_bytes()  # what other tests of this process have had at once
        return str(len(bytearray(os.urandom(1)) * (room + (300 << 20))))

    findings = searched(target(run))["findings"]
    assert isinstance(findings, dict)
    assert any(kind.startswith("memory") for kind in findings)


async def test_who_stands_still_is_ended(tmp_path: Path) -> None:
    (tmp_path / "slot").write_bytes(SLOT_HEAD.pack(5, 3) + b"abc")
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", "while True: pass")
    try:
        async with asyncio.timeout(120):
            await _stands_still(process, tmp_path / "slot", 0.5)
            assert await process.wait() == -9
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()


def test_a_program_that_is_asked_prints_counts(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "tests.fuzz",
        "--target",
        "messages",
        "--inputs",
        "60",
        "--folder",
        str(tmp_path),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "messages: " in done.stdout
    assert "0 findings" in done.stdout
    assert "taken" in done.stdout


def test_mutations_stay_within_bounds_and_change_something() -> None:
    data = b'{"symbol":"SPY","data":{"alpha":2.5,"notes":["jump"]},"epoch":1}'
    ways: tuple[Callable[[random.Random], bytes], ...] = (
        lambda source: mutated(data, [b"other"], [b"word"], source, 200),
        lambda source: of_json(data, source)[:200_000],
        lambda source: of_lines(b"a,b\nc,d", source),
    )
    for mutate in ways:
        made = {mutate(source) for source in (random.Random(seed) for seed in range(200))}
        assert len(made) > 20
        assert max(map(len, made)) <= 200_000
    assert of_json(b"no JSON", random.Random(1)) == b"no JSON"
