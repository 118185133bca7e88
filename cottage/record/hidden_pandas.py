"""Keeps pandas out of a process that writes a record or answers from it: pyarrow loads it unasked wherever it is
installed, and it takes 45 MB."""

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from types import ModuleType


class _HidesPandas(MetaPathFinder):
    def find_spec(self, fullname: str, _path: Sequence[str] | None, _target: ModuleType | None = None) -> None:
        if fullname == "pandas":
            raise ModuleNotFoundError("hidden: nothing here reads by it", name=fullname)


def hide_pandas() -> None:
    """From now on this process finds no pandas, as if it were not installed."""
    sys.meta_path.insert(0, _HidesPandas())
