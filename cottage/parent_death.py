"""Starts child processes that do not outlive the process that started them."""

import signal
import sys
from collections.abc import Sequence

# PR_SET_PDEATHSIG survives the exec, and the process id stays the same. If the parent died before the call, the child
# has another parent by then, which is checked.
_WRAPPER = """
import ctypes, os, signal, sys
number, parent = int(sys.argv[1]), int(sys.argv[2])
ctypes.CDLL(None).prctl(1, number, 0, 0, 0)
if os.getppid() != parent:
    os.kill(os.getpid(), number)
os.execvp(sys.argv[3], sys.argv[3:])
"""


def dying_with_parent(command: Sequence[str], parent: int, number: signal.Signals = signal.SIGTERM) -> list[str]:
    """`command`, which gets the signal `number` when the process `parent` (os.getpid() of the caller) is gone.

    A supervisor that is killed with -9 cannot end its children itself. This works on Linux only: elsewhere the
    command is returned unchanged. The kernel watches the thread that starts the child, so that must be one that lives
    as long as the process.

    The command is started through a small Python program, not with `preexec_fn`, which is unsafe with threads:
    Python 3.12 and later warn of it.
    """
    if sys.platform != "linux":
        return list(command)
    return [sys.executable, "-I", "-S", "-c", _WRAPPER, str(int(number)), str(parent), *command]
