"""Searches a target: `make fuzz ARGS="--target messages --minutes 10"`.

The search runs in a process of its own, which this one watches: an input that ends it, or on which it stands still
for longer than the target's deadline, is a finding, and the search goes on in another one. Exit status 1 if there
was any finding.
"""

import argparse
import asyncio
import contextlib
import json
import logging
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import structlog

from tests.fuzz.search import SLOT_BYTES, SLOT_HEAD, Findings, search
from tests.fuzz.targets import TARGETS, corpus_of

RESULT = "RESULT "


def main() -> int:
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__.partition("\n")[0])
    parser.add_argument("--target", choices=[*TARGETS, "all"], default="all")
    parser.add_argument("--minutes", type=float, default=1.0, help="for each target")
    parser.add_argument("--inputs", type=int, default=0, help="for each target; ends it earlier")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=Path(".run/fuzz"), help="for what is found")
    parser.add_argument("--searching", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    names = list(TARGETS) if given.target == "all" else [given.target]
    if given.searching:
        _search(names[0], given)
        return 0
    return max(asyncio.run(_watched(name, given)) for name in names)


def _search(name: str, given: argparse.Namespace) -> None:
    logging.disable()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    ends = time.monotonic() + given.minutes * 60
    result = search(
        TARGETS[name],
        corpus_of(name),
        given.folder / name,
        given.searching,
        seed=given.seed,
        until=lambda number: time.monotonic() >= ends or 0 < given.inputs <= number,
    )
    print(RESULT + json.dumps(result), flush=True)


async def _watched(name: str, given: argparse.Namespace) -> int:
    """Search in processes until the time is up. Returns the exit status."""
    target, findings = TARGETS[name], Findings(given.folder / name / "findings")
    ends, inputs, seed = time.monotonic() + given.minutes * 60, 0, given.seed
    results: list[dict[str, Any]] = []
    with tempfile.NamedTemporaryFile() as slot:
        slot.truncate(SLOT_BYTES)
        while (left := ends - time.monotonic()) > 0 and not 0 < given.inputs <= inputs:
            slot.seek(0)
            slot.write(bytes(SLOT_HEAD.size))
            slot.flush()
            command = [sys.executable, "-m", "tests.fuzz", "--target", name, "--minutes", str(left / 60)]
            command += ["--inputs", str(max(0, given.inputs - inputs)), "--seed", str(seed)]
            command += ["--folder", str(given.folder), "--searching", slot.name]
            process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, limit=1 << 26)
            assert process.stdout is not None
            watching = asyncio.create_task(_stands_still(process, Path(slot.name), target.seconds))
            async for line in process.stdout:
                text = line.decode(errors="replace").rstrip()
                if text.startswith(RESULT):
                    results.append(json.loads(text.removeprefix(RESULT)))
                else:
                    print(text, flush=True)
            status = await process.wait()
            watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watching
            number, data = _shown(Path(slot.name))
            inputs += number
            seed += 1
            if status != 0:
                kind = "hang" if watching.done() and not watching.cancelled() else f"ended with status {status}"
                findings.keep(f"{kind} {seed}", data, "see above")
                results.append({"findings": dict(findings.kinds)})
            if not number:  # it cannot even begin
                break
    found = {kind for result in results for kind in result["findings"]}
    print(
        f"{name}: {inputs:,} inputs, {len(found)} findings; "
        + "; ".join(
            f"{result['branches']:,} branches, {result['kept']} kept, grew by {result['grew_mib']} MiB in "
            f"{result['seconds']} s: {result['outcomes']}"
            for result in results
            if "inputs" in result
        ),
        flush=True,
    )
    return 1 if found or not inputs else 0


async def _stands_still(process: asyncio.subprocess.Process, slot: Path, seconds: float) -> None:
    """Return once the process has worked on one input for so long, and was killed. What counts is its own time of
    the processor, since the machine may be busy; or thirty times as much by the clock, for one that waits."""
    last, since, worked = -1, time.monotonic(), 0.0
    while True:
        await asyncio.sleep(1.0)
        number, now = _shown(slot)[0], _worked(process.pid)
        allowed = seconds if number else 120.0  # it is loading
        if number != last:
            last, since, worked = number, time.monotonic(), now
        elif now - worked > allowed or time.monotonic() - since > 30 * allowed:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, 9)
            return


def _worked(pid: int) -> float:
    """The seconds for which a process had a processor."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _shown(slot: Path) -> tuple[int, bytes]:
    with slot.open("rb") as file:
        number, length = SLOT_HEAD.unpack(file.read(SLOT_HEAD.size))
        return number, file.read(length)


if __name__ == "__main__":
    sys.exit(main())
