"""What other processes use, against what this one knows of itself."""

import os
import sys
import time

import pytest

from tests.bench.processes import cpu_seconds, resident_bytes

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc")


def test_cpu_time_is_that_of_the_process() -> None:
    before, used = cpu_seconds(os.getpid()), time.process_time()
    while time.process_time() - used < 0.05:
        pass
    assert cpu_seconds(os.getpid()) - before >= 0.04


def test_memory_that_is_touched_is_resident() -> None:
    before = resident_bytes(os.getpid())
    held = bytearray(b"x" * 50_000_000)
    assert resident_bytes(os.getpid()) - before > 40_000_000
    assert len(held) == 50_000_000
