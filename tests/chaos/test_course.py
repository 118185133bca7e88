"""A short course in every kind of fault, and the same harness where a promise was taken out of the suite."""

import math
from pathlib import Path

import pytest

from deploy.redis_server import Server
from tests.chaos.course import Course, Crowd
from tests.chaos.faults import KINDS
from tests.chaos.pace import QUICK
from tests.chaos.suite import Suite
from tests.chaos.watch import Violations
from tests.support import program

PARTS = 5

pytestmark = pytest.mark.filterwarnings("default")  # of a program's pipes that end with it


async def chaos(*arguments: str) -> tuple[int, list[str]]:
    """Exit status and what was printed, of a run in a process of its own: there asyncio's debug mode is off."""
    async with program(["-m", "tests.chaos", *arguments]) as running:
        status = await running.ended(timeout=900)
        return status, running.text + running.errors


@pytest.mark.chaos
@pytest.mark.parametrize("part", range(PARTS))
async def test_whatever_happens_all_converges_and_nothing_lies(part: int) -> None:
    """Every kind of fault, in parts: no test takes longer than two minutes."""
    number = math.ceil(len(KINDS) / PARTS)
    status, said = await chaos("--faults", str(number), "--first", str(part * number), "--seed", "1")
    assert status == 0, "\n".join(said)
    assert "0 violations" in "\n".join(said)


@pytest.mark.chaos
@pytest.mark.parametrize(
    ("sabotage", "fault", "found"),
    [
        ("no_healing", "bridge_cut_off", "late"),
        ("newer_or_equal", "messages_repeated", "went_back"),
        ("lease_ignored", "writer_hung_and_replaced", "went_back: Redis"),
        ("removed_never_sent", "symbol_deleted_for_good", "not_converged"),
        ("always_live", "market_hung", "stale_as_fresh"),
        ("floors_off", "hung_across_a_step", "younger or stale_as_fresh"),  # whichever comes first
        ("messages_set_clocks", "client_stood_still", "younger"),
        ("never_in_doubt", "client_stood_still", "believed"),
        ("steps_ignored", "clock_of_redis_stepped", "late"),
        ("outlived_never_found", "lease_of_nobody", "not_converged"),
        ("databases_mixed_up", "forged_database", "forged"),
        ("messages_believed", "forged_seq", "forged"),
        ("any_epoch", "forged_state", "forged"),
        ("nobody_owns", "second_market", "two_writers"),
        ("gaps_hidden", "recorder_killed", "record"),
        ("rows_dropped", "recorder_hung", "record"),
        ("rows_doubled", "recorder_hung", "record"),
    ],
)
async def test_the_harness_notices_what_is_taken_out(sabotage: str, fault: str, found: str) -> None:
    status, said = await chaos("--sabotage", sabotage, "--only", fault, "--faults", "8", "--seed", "2", "--stop")
    told = "\n".join(said)
    assert status == 1, told
    assert any(f"!! {each}" in told for each in found.split(" or ")), told
    assert "Again: make chaos SEED=2" in told


def course(tmp_path: Path, seed: int) -> Course:
    server = Server("redis", "7.0", Path("redis-server"), embedded=False)  # it is not started
    suite = Suite(server, tmp_path, QUICK, Violations(print))
    suite.direct = None  # type: ignore[assignment]
    return Course(suite, Crowd(), 3, seed, print)


def test_a_seed_gives_the_same_faults_and_each_by_its_number(tmp_path: Path) -> None:
    def numbered(seed: int, numbers: range) -> list[tuple[list[str], float]]:
        made = course(tmp_path, seed)
        chosen = [made.chosen(number) for number in numbers]
        return [([fault.kind for fault in faults], rng.random()) for rng, faults in chosen]

    assert numbered(1, range(40)) == numbered(1, range(40))
    assert numbered(1, range(20, 40)) == numbered(1, range(40))[20:]
    assert numbered(1, range(40)) != numbered(2, range(40))
    assert {kinds[0] for kinds, _ in numbered(1, range(len(KINDS)))} == set(KINDS), "each comes up in a round"
    assert any(len(kinds) > 1 for kinds, _ in numbered(1, range(40)))


async def test_its_help_is_complete() -> None:
    async with program(["-m", "tests.chaos", "--help"]) as running:
        assert await running.ended() == 0
    for option in ("--faults", "--seed", "--first", "--only", "--sabotage", "--real", "--logs"):
        assert option in "\n".join(running.text)
