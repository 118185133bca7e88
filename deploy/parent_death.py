"""Child processes that do not outlive the process that started them."""

import signal
import sys
from collections.abc import Sequence

# PR_SET_PDEATHSIG survives the exec, and the process id stays the same. A parent that died before the
# call is noticed by its number: the child then has another one.
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

    For a supervisor that is killed with -9 and cannot end its children itself. Linux only: elsewhere
    the command comes back as it is. The kernel watches the thread that starts the child: let it be one
    that lives as long as the process.

    A small Python in front of the command, not `preexec_fn`: that one is unsafe where there are
    threads, and Python 3.12 and later warn of it.
    """
    if sys.platform != "linux":
        return list(command)
    return [sys.executable, "-I", "-S", "-c", _WRAPPER, str(int(number)), str(parent), *command]
