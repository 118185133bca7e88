"""Names of processes, tried with real ones: living, stopped, ended, not yet waited for, and of another place."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cottage.process_name import is_dead, process_name
from tests.support import ROOT, eventually

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are told apart by /proc")

SAYS_ITS_NAME = "from cottage.process_name import process_name; print(process_name(), flush=True); input()"


class Other:
    """Another process, which has said its name."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", SAYS_ITS_NAME], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.name = self.process.stdout.readline().strip()


@pytest.fixture
def other() -> Iterator[Other]:
    running = Other()
    yield running
    running.process.kill()
    running.process.communicate()


def state(pid: int) -> list[str]:
    """What /proc says of it, from the third field on."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def parts(name: str) -> list[str]:
    return re.split("[:@]", name)


def test_this_process_has_one_name_and_lives() -> None:
    host, pid, start, place = parts(process_name())
    assert pid == str(os.getpid())
    assert start.isdecimal()
    assert len(place) == 10
    assert host == os.uname().nodename[:30]
    assert len(process_name()) <= 64, "the longest value of a small hash"
    assert process_name() == process_name()
    assert not is_dead(process_name())


def test_another_process_of_this_machine_lives_until_it_ends(other: Other) -> None:
    assert parts(other.name)[3] == parts(process_name())[3]
    assert not is_dead(other.name)
    other.process.send_signal(signal.SIGSTOP)
    assert not is_dead(other.name), "it may go on"
    other.process.kill()
    other.process.wait()
    assert is_dead(other.name)


async def test_one_whose_parent_has_not_waited_for_it_has_ended(other: Other) -> None:
    os.kill(other.process.pid, signal.SIGKILL)
    await eventually(lambda: is_dead(other.name))
    assert state(other.process.pid)[0] == "Z"


def test_who_has_its_pid_now_is_another_one(other: Other) -> None:
    host, pid, start, place = parts(other.name)
    assert is_dead(f"{host}:{pid}:{int(start) - 1}@{place}")
    assert not is_dead(f"{host}:{pid}:{start}@{place}")
    assert not is_dead(f"{host}:{pid}:{start}@{place}:1b2c3d4e"), "one of its leases"
    assert is_dead(f"{host}:{pid}:{int(start) - 1}@{place}:1b2c3d4e")


@pytest.mark.parametrize(
    "name",
    [
        "",
        "host:4711",
        "host:4711:1b2c3d4e",
        "{host}:{pid}:{start}@ffffffffff",
        "{host}:{pid}:{start}@{place}x",
        "{host}:0:{start}@{place}",
        "{host}:-1:{start}@{place}",
        "{host}:99999999999999999999:{start}@{place}",
        "{host}:{pid}:@{place}",
        "a stranger",
    ],
)
def test_of_another_place_and_of_no_place_nobody_knows(name: str, other: Other) -> None:
    host, pid, start, place = parts(other.name)
    other.process.kill()
    other.process.wait()
    assert not is_dead(name.format(host=host, pid=pid, start=start, place=place))


def test_a_process_of_another_user_lives(other: Other) -> None:
    """Of init nothing is known but that it is there, where we are not root ourselves."""
    host, _pid, _start, place = parts(other.name)
    assert not is_dead(f"{host}:1:{state(1)[19]}@{place}")


def test_in_a_pid_namespace_of_its_own_nobody_of_outside_is_dead(other: Other) -> None:
    """As in a container: no process there has the pid, which proves nothing."""
    inside = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc"]
    if subprocess.run([*inside, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no namespaces for users without rights")
    asks = "import sys; from cottage.process_name import *; print(is_dead(sys.argv[1]), process_name())"
    other.process.kill()
    other.process.wait()
    asked = subprocess.run(
        [*inside, sys.executable, "-c", asks, other.name], cwd=ROOT, capture_output=True, text=True, check=True
    )
    dead, name = asked.stdout.split()
    assert dead == "False"
    assert parts(name)[3] != parts(other.name)[3]
    assert not is_dead(name), "and the other way round"


def test_whose_proc_is_that_of_another_place_knows_nothing(other: Other) -> None:
    """A container to which the machine's /proc is shown: the pids there are not its own."""
    inside = ["unshare", "--user", "--map-root-user", "--pid", "--fork"]
    if subprocess.run([*inside, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no namespaces for users without rights")
    asks = "from cottage.process_name import *; print(process_name())"
    asked = subprocess.run(
        [*inside, sys.executable, "-c", asks], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "@" not in asked.stdout
