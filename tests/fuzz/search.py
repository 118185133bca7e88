"""The search of one target in a process of its own: it mutates inputs, and keeps those that reach something new.

Which branches an input reaches is told by coverage.py's tracer, which the tests have anyway. Before each input is
read it is put where the process that watches finds it, so that an input that ends or stops this process is known.
"""

import mmap
import random
import resource
import struct
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import coverage

from tests.fuzz.mutation import mutated
from tests.fuzz.target import Target

SLOT_HEAD = struct.Struct("<QQ")
"""How many inputs were begun, and the length of the newest, which follows."""
SLOT_BYTES = SLOT_HEAD.size + 4 * 1024 * 1024
WARM_UP = 2_000
"""Inputs after which what a process needs once is there."""
GROWTH_BYTES = 96 * 1024 * 1024
"""By how much a process may have grown since, by the end: the inputs that it keeps, and what an allocator holds."""
MOST_KEPT = 5_000
"""Inputs that are kept, and a branch's numbers: bounded, as growth is looked for."""
MOST_KEPT_BYTES = 32 * 1024 * 1024


class Reached:
    """How many branches were reached so far."""

    def __init__(self, packages: Sequence[str]) -> None:
        self._coverage = coverage.Coverage(
            data_file=None, branch=True, config_file=False, source_pkgs=list(packages), messages=False
        )

    def begin(self) -> None:
        self._coverage.start()
        collector: Any = self._coverage._collector
        assert collector is not None
        self._data: dict[str, Any] = collector.data

    def end(self) -> None:
        self._coverage.stop()

    def count(self) -> int:
        return sum(map(len, self._data.values()))


@dataclass
class Findings:
    """What must not be, each kind of it kept once."""

    folder: Path
    kinds: dict[str, str] = field(default_factory=dict)

    def keep(self, kind: str, data: bytes, told: str) -> None:
        if self.kinds.get(kind) not in (None, told):
            return
        if kind in self.kinds and not kind.startswith("memory"):
            return
        self.kinds[kind] = told
        self.folder.mkdir(parents=True, exist_ok=True)
        name = sha256(data).hexdigest()[:16]
        (self.folder / name).write_bytes(data)
        (self.folder / f"{name}.txt").write_text(f"{kind}\n{told}\n")
        print(f"FINDING {kind}: {self.folder / name}", flush=True)


def peak_bytes() -> int:
    """The most memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def present_bytes() -> int:
    """The memory that this process has now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def search(
    target: Target,
    corpus: Sequence[bytes],
    folder: Path,
    slot: Path,
    *,
    seed: int,
    until: Callable[[int], bool],
    report: Callable[[str], None] = lambda line: print(line, flush=True),
) -> dict[str, Any]:
    """Mutate and read inputs until `until(number)`. Returns the counts. `folder`: for findings and for inputs that
    reached something new."""
    source = random.Random(seed)
    run = target.prepare()
    reached = Reached(target.covered)
    findings = Findings(folder / "findings")
    outcomes: Counter[str] = Counter()
    seeds = [*target.seeds()]
    pool = [data for data in dict.fromkeys([*seeds, *corpus]) if len(data) <= target.longest]
    kept, kept_bytes, number, base, peak = 0, 0, 0, 0, peak_bytes()
    batch: list[bytes] = []
    with slot.open("r+b") as file, mmap.mmap(file.fileno(), SLOT_BYTES) as shown:

        def read(data: bytes) -> None:
            nonlocal number, peak
            number += 1
            shown[SLOT_HEAD.size : SLOT_HEAD.size + len(data)] = data
            SLOT_HEAD.pack_into(shown, 0, number, len(data))
            batch.append(data)
            try:
                outcomes[run(data)] += 1
            except Exception as error:  # noqa: BLE001 - whatever it is, it is a finding
                where = traceback.extract_tb(error.__traceback__)[-1]
                findings.keep(
                    f"{type(error).__name__} at {Path(where.filename).name}:{where.lineno}",
                    data,
                    "".join(traceback.format_exception(error)),
                )
                outcomes["FINDING"] += 1
            if len(batch) >= target.looked_at_every:
                before, peak = peak, peak_bytes()  # which is not asked each time: it costs more than most inputs
                if number > 2 * len(seeds) + 50 and peak - before > target.most_bytes:
                    told = f"the peak rose by {(peak - before) >> 20} MiB within {len(batch)} inputs"
                    for each in batch:
                        findings.keep(f"memory, among {len(batch)} at {number}", each, told)
                batch.clear()

        reached.begin()
        for data in list(pool):
            read(data)
        count = reached.count()
        began = told = time.monotonic()
        while not until(number):
            data = source.choice(pool[-200:] if source.random() < 0.5 else pool)
            if target.mutate is not None and source.random() < 0.6:
                data = target.mutate(data, source)[: target.longest]
            if target.mutate is None or source.random() < 0.5:
                data = mutated(data, pool, target.words, source, target.longest)
            read(data)
            if (now_count := reached.count()) > count:
                count = now_count
                if kept < MOST_KEPT and kept_bytes < MOST_KEPT_BYTES:
                    pool.append(data)
                    kept += 1
                    kept_bytes += len(data)
                    new = folder / "new"
                    new.mkdir(parents=True, exist_ok=True)
                    (new / sha256(data).hexdigest()[:16]).write_bytes(data)
            if number == WARM_UP:
                base = present_bytes()
            if time.monotonic() - told >= 15:
                told = time.monotonic()
                report(
                    f"{target.name}: {number:,} inputs, {number / (told - began):,.0f}/s, {count:,} branches, "
                    f"{kept} kept, {present_bytes() >> 20} MiB, {len(findings.kinds)} findings"
                )
        reached.end()
    most = present_bytes() - base if base else 0
    if most > GROWTH_BYTES:
        findings.keep("growth", b"", f"the process grew by {most >> 20} MiB over {number} inputs")
    return {
        "target": target.name,
        "inputs": number,
        "branches": count,
        "kept": kept,
        "grew_mib": most >> 20,
        "seconds": round(time.monotonic() - began),
        "outcomes": dict(outcomes.most_common(40)),
        "findings": findings.kinds,
    }
