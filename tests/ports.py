"""From which ports a test process chooses, and the processes that it starts: no two of a run choose the same.

Who chooses a port listens on it only seconds later, when a Python has started, and nobody else may take it meanwhile.
"""

import os

import pytest

from deploy.redis_server import FREE_PORTS, free_port, free_ports


def shares(ports: range, worker: int, workers: int) -> tuple[range, range]:
    """Of so many workers this one's own ports, and those of its children. One in the place of a crashed worker has a
    number of its own, and the ports of another."""
    size = len(ports) // (2 * workers)
    own = 2 * (worker % workers) * size
    return ports[own : own + size], ports[own + size : own + 2 * size]


def take_share(config: pytest.Config) -> None:
    """Choose from this worker's own ports from now on, and leave those of its children in the environment."""
    about = getattr(config, "workerinput", {"workerid": "gw0", "workercount": 1})
    own, childrens = shares(free_ports(), int(about["workerid"].removeprefix("gw")), about["workercount"])
    os.environ[FREE_PORTS] = f"{own[0]}-{own[-1]}"
    free_port()  # the first one reads it, and no other
    os.environ[FREE_PORTS] = f"{childrens[0]}-{childrens[-1]}"
