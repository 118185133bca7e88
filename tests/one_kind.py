"""Tests to which the kind of their server does not matter run on one.

What talks to Redis, and what takes its words for it, runs on both kinds: clients, stores, leases and scripts, what
feynman writes, the suite as a whole. What is about anything else (the fan-out, times, processes) would only do the
same twice.
"""

import pytest

KIND = "valkey"
"""It is everywhere: the embedded one."""
FIXTURES = ("shared_redis_server", "own_redis")
on_a_shared_one = pytest.mark.parametrize("shared_redis_server", [KIND], indirect=True)
"""For a single test of a module that runs on both."""


def on_one_kind(metafunc: pytest.Metafunc) -> None:
    """A module's `pytest_generate_tests`."""
    for fixture in FIXTURES:
        if fixture in metafunc.fixturenames:
            metafunc.definition.add_marker(pytest.mark.parametrize(fixture, [KIND], indirect=True))
