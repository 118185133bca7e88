"""A process that hides pandas makes Arrow's columns without it."""

import subprocess
import sys

import pytest

_PROGRAM = """
import sys
from cottage.record.hidden_pandas import hide_pandas
hide_pandas()
import pyarrow
assert pyarrow.array([1.5, None]).null_count == 1
assert "pandas" not in sys.modules
try:
    import pandas
except ImportError as error:
    print(error.name)
"""


def test_pyarrow_works_without_it() -> None:
    pytest.importorskip("pandas")
    done = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "pandas\n"
