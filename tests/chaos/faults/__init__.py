"""What is done to the suite, each kind with its cure: a context manager that breaks something, and then mends it.

registry.py   the kinds
outages.py    what stops, is cut off or loses its data
clocks.py     clocks that are set, and clients that stood still
strangers.py  what others write to the same Redis: a second writer, keys of a wrong type, forged messages
"""

from tests.chaos.faults import clocks, outages, strangers
from tests.chaos.faults.registry import KINDS, Fault

__all__ = ["KINDS", "Fault", "clocks", "outages", "strangers"]
