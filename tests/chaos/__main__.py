"""`make chaos N=200 SEED=7`: faults thrown at the real processes, and what must hold checked meanwhile."""

import argparse
import asyncio
import os
import random
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path

import uvloop

from common import logs
from cottage.store import PhysicsStates
from cottage.token_file import FILE_VARIABLE
from deploy.redis_server import find_server
from tests.bench.telling import say
from tests.chaos.course import Course, crowd
from tests.chaos.faults import KINDS
from tests.chaos.pace import QUICK, REAL
from tests.chaos.record_check import wrong_in
from tests.chaos.report import table
from tests.chaos.sabotage import SABOTAGES
from tests.chaos.soak import Audience, Memory, growth_table
from tests.chaos.suite import Suite, suite
from tests.chaos.watch import Violations
from tests.clock_shim import why_not

RECORDED_SECONDS = 20.0
"""A state is in the record that long after Redis had it, on a busy machine."""


def main() -> None:
    options = _parser().parse_args()
    if options.list:
        say("\n".join(sorted(KINDS)))
        return
    if options.token_file is not None:
        os.environ[FILE_VARIABLE] = str(options.token_file.resolve())  # its onlooker is a process of its own
    sys.exit(uvloop.run(_run(options)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos",
        description="Real processes, a real Redis, a dozen clients; faults, and what must hold whatever happens.",
        epilog="Exit status 1 where something did not hold; the last lines say how to do it again.",
    )
    parser.add_argument("--faults", type=int, default=60, metavar="N", help="how many [60]")
    parser.add_argument("--seed", type=int, default=None, help="of the series [a random one, which is said]")
    parser.add_argument("--first", type=int, default=0, help="number of the first fault, to do a part again [0]")
    parser.add_argument("--symbols", type=int, default=30, help="of the simulated market [30]")
    parser.add_argument("--real", action="store_true", help="the time constants that users have, not a tenth of them")
    parser.add_argument("--sabotage", choices=sorted(SABOTAGES), help="take a promise out of the suite first")
    parser.add_argument("--logs", type=Path, default=None, help="folder for what the processes said")
    parser.add_argument("--only", nargs="+", choices=sorted(KINDS), default=[], metavar="KIND", help="of faults")
    parser.add_argument("--every", type=float, default=0.0, metavar="SECONDS", help="a fault each [as they come]")
    parser.add_argument("--audience", type=int, default=0, metavar="N", help="clients more, that only read [0]")
    parser.add_argument("--memory", action="store_true", help="no fault ends a process; how their memory grows")
    parser.add_argument(
        "--token-file", type=Path, metavar="FILE", help="a token for its clients, where AUTH_… asks for one"
    )
    parser.add_argument("--stop", action="store_true", help="with the first violation")
    parser.add_argument("--list", action="store_true", help="the kinds of faults, and no more")
    return parser


async def _run(options: argparse.Namespace) -> int:
    seed = random.randrange(1000) if options.seed is None else options.seed
    pace = REAL if options.real else QUICK
    logs.configure("chaos", "error", "auto")  # of the library clients: what they lose is what is done to them
    violations = Violations(lambda kind, what: say(f"      !! {kind}: {what}"))
    began = time.monotonic()
    say(f"seed {seed}, faults {options.first} to {options.first + options.faults - 1}")
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cottage-chaos-")))
        broken = await stack.enter_async_context(
            suite(find_server(), folder, pace, violations, options.symbols, sabotage=options.sabotage)
        )
        if options.logs:
            stack.callback(broken.write_logs, options.logs)
        watchers = await stack.enter_async_context(crowd(broken, options.symbols, seed))
        await stack.enter_async_context(Audience(broken.urls, options.audience).attending())
        course = Course(broken, watchers, options.symbols, seed, say, _kinds(options))
        course.stop_early = options.stop
        await stack.enter_async_context(course.running())
        await course.begin()
        memory = Memory(broken)
        watching = asyncio.create_task(memory.watch())
        stack.callback(watching.cancel)
        await course.faults(options.first, options.faults, options.every)
        await check_record(broken)
    say(f"\n{table(course.outcomes)}\n")
    if options.memory:
        say(f"{growth_table(memory.growth())}\n")
    received = sum(client.received for client in watchers.raw)
    say(f"{len(course.outcomes)} faults in {time.monotonic() - began:.0f} s; {received} updates received by raw")
    say(f"clients, {sum(client.connections for client in watchers.raw)} connections, {course.judgements} times")
    say(f"`live` was checked, {watchers.readers[0].answers} answers of the API; {violations.count} violations.")
    if not violations.count:
        return 0
    last = course.outcomes[-1].index if course.outcomes else options.first
    say(f"Again: make chaos SEED={seed} N={last - options.first + 1} FIRST={options.first}")
    return 1


async def check_record(broken: Suite) -> None:
    """What Redis holds now must be in the record in a moment, and all that is missing there be said."""
    payloads = await PhysicsStates(broken.direct).stored(broken.symbols)
    deadline = time.monotonic() + RECORDED_SECONDS
    while found := await asyncio.to_thread(wrong_in, broken.record, payloads):
        if time.monotonic() >= deadline:
            for each in found:
                broken.violations.add("record", each)
            return
        await asyncio.sleep(0.5)


def _kinds(options: argparse.Namespace) -> list[str]:
    """Of faults; an empty list is all of them."""
    if options.only:
        return list(options.only)
    kinds = list(KINDS)
    if (reason := why_not()) is not None:
        say(f"No clock is stepped: {reason}.")
        kinds = [name for name in kinds if not KINDS[name].steps]
    if options.memory:
        kinds = [name for name in kinds if not KINDS[name].ends_processes]
    return [] if len(kinds) == len(KINDS) else kinds


if __name__ == "__main__":
    main()
