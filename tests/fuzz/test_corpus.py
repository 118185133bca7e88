"""The kept inputs of all fuzz targets, once more: none may crash, hang, fill memory or be refused without a name."""

import gc
import subprocess
import sys
import time
import tracemalloc

import pytest

from tests.fuzz.targets import CORPUS, TARGETS, corpus_of

ROUNDS = 20
GROWTH_BYTES = 256 * 1024
"""What is held for longer than an input, such as compiled patterns, is there after the first rounds."""


@pytest.fixture(params=list(TARGETS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_each_target_has_inputs(name: str) -> None:
    assert len(list(TARGETS[name].seeds())) >= 5
    assert corpus_of(name)


def test_no_corpus_is_of_a_target_that_is_gone() -> None:
    assert {path.name for path in CORPUS.iterdir()} == set(TARGETS)


def test_every_input_is_read_or_refused_by_name_in_time(name: str) -> None:
    target = TARGETS[name]
    run = target.prepare()
    for data in [*target.seeds(), *corpus_of(name)]:
        began = time.process_time()
        outcome = run(data)
        assert outcome
        assert time.process_time() - began < target.seconds


def test_reading_the_same_again_holds_no_memory(name: str) -> None:
    # In a process of its own: in this one other tests have told the logs to keep what is said.
    program = f"from tests.fuzz.test_corpus import growth; print(growth({name!r}))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert int(done.stdout.splitlines()[-1]) < GROWTH_BYTES


def growth(name: str) -> int:
    """How many bytes more are held after the inputs of a target were read ROUNDS times."""
    target = TARGETS[name]
    run = target.prepare()
    inputs = sorted([*target.seeds(), *corpus_of(name)], key=len)[:10]
    for data in inputs * 3:
        run(data)
    tracemalloc.start()
    gc.collect()
    before = tracemalloc.get_traced_memory()[0]
    for data in inputs * ROUNDS:
        run(data)
    gc.collect()
    return tracemalloc.get_traced_memory()[0] - before
