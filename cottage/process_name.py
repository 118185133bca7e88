"""The names of processes, by which others on the same machine can tell that one is dead.

    host:pid:start@place        such as web1:4711:88230019@9f6c1d2e77

`start` is when the process began, in the kernel's clock ticks since the machine's boot, so that a later process of
the same pid is another one. `place` is a digest of the boot's ID and of the namespaces in which pids and start times
are counted: in the same place a pid stands for the same process. Leases, feeds and the owners of symbols have such
names. If one of them was killed, its successor on the same machine need not wait until Redis has expired its keys.
Without a /proc of its own a process has a random number instead, and nobody can tell.
"""

import hashlib
import os
import re
import socket
import uuid
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

LONGEST_HOST = 30
"""Of a longer name the first so many characters. A hash with a value of more than 64 takes Redis twice the memory."""

_NAME = re.compile(r".*:([1-9][0-9]{0,6}):([0-9]{1,20})@([0-9a-f]{10})(?::[0-9a-f]+)?", re.DOTALL)


class _Stat(NamedTuple):
    """What /proc says of a process."""

    pid: int
    start: int
    ended: bool
    """It has ended, and its parent has not asked for its status yet: it holds no connection any more."""


def process_name() -> str:
    """The name of this process; another one after a fork."""
    return _name(os.getpid())


def is_dead(name: str) -> bool:
    """Whether the process of this name has certainly ended. One of another place may live, and so may one of whom
    /proc says nothing."""
    match, place = _NAME.fullmatch(name), _place(os.getpid())
    if match is None or match[3] != place:
        return False
    pid = int(match[1])
    try:
        os.kill(pid, 0)  # /proc may hide the processes of other users
    except ProcessLookupError:
        return True
    except OSError:
        pass  # it is another user's
    stat = _stat(str(pid))
    return stat is not None and (stat.start != int(match[2]) or stat.ended)


@lru_cache(1)
def _name(pid: int) -> str:
    place, stat = _place(pid), _stat("self")
    known = None if place is None or stat is None else f"{stat.start}@{place}"
    return f"{socket.gethostname()[:LONGEST_HOST]}:{pid}:{known or uuid.uuid4().hex[:8]}"


@lru_cache(1)
def _place(pid: int) -> str | None:
    """Where this process, whose pid this is, is; None where /proc does not say it, or is another place's."""
    stat = _stat("self")
    if stat is None or stat.pid != pid:
        return None
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        pids = Path("/proc/self/ns/pid").readlink()
        times = Path("/proc/self/ns/time")  # since Linux 5.6
        known = f"{boot} {pids} {times.readlink() if times.is_symlink() else ''}"
    except OSError:
        return None
    return hashlib.blake2b(known.encode(), digest_size=5).hexdigest()


def _stat(process: str) -> _Stat | None:
    """What /proc/PROCESS/stat says; None if there is none, or it cannot be read."""
    try:
        pid, _, rest = Path(f"/proc/{process}/stat").read_bytes().partition(b" ")
        words = rest.rpartition(b")")[2].split()  # behind the program's name, which may have any characters
        # The first thread may have ended before the others, which keep the connections.
        return _Stat(int(pid), int(words[19]), words[0] in (b"Z", b"X") and int(words[17]) <= 1)
    except (OSError, ValueError, IndexError):
        return None
