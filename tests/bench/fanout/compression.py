"""What it saves and costs to compress what a batch brings, once for all its clients."""

import random
import socket
import statistics
import time
from collections.abc import Callable, Sequence

from common.fanout.conflation import Backlog, Conflated, take_backlog
from common.fanout.frames import deflated_frame, text_frame
from common.fanout.last_value_cache import LastValueCache
from cottage import protocol
from cottage.clock import iso_millis
from cottage.state import PhysicsState
from cottage.version import Version
from tests.bench.telling import progress, say

LEVELS = (1, 3, 6, 9)
TIMES = 50


def window(symbols: int) -> list[bytes]:
    """The arrays of a batch that brings every symbol: numbers of as many digits as Feynman's have."""
    draw, table = random.Random(14), LastValueCache()
    pending: Backlog = {}
    for index in range(symbols):
        mass, friction, entropy, nash_dist = (draw.random() for _ in range(4))
        state = PhysicsState(
            mass=mass,
            momentum=draw.gauss(0, 1),
            friction=friction,
            entropy=entropy,
            nash_dist=nash_dist,
            regime="Gaussian",
            alpha_coefficient=2 + 3 * draw.random(),
            price=100 * draw.random(),
            samples=1000,
            nonzero=990,
            source="live",
            timestamp=iso_millis(time.time()),
            version=Version(round(time.time() * 1000), 4711),
        )
        name = f"SYM{index:03d}"
        table.offer(name, state.version, state.update(name))
        pending[name] = Conflated(1)
    arrays = []
    while pending:
        arrays.append(take_backlog(pending, table, protocol.array).joined)
    return arrays


def cpu_ms(work: Callable[[], object]) -> float:
    """Of this thread; the median of some runs."""
    taken = []
    for _ in range(TIMES):
        began = time.thread_time()
        work()
        taken.append((time.thread_time() - began) * 1e3)
    return statistics.median(taken)


def sending_ms(frames: Sequence[bytes]) -> float:
    """Of the kernel, to write them to one TCP connection whose client reads."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        sender = socket.create_connection(listening.getsockname())
        receiver, _ = listening.accept()
    with sender, receiver:
        for each in (sender, receiver):
            each.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2**22)
            each.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**22)
        taken = []
        for _ in range(TIMES):
            began = time.thread_time()
            for frame in frames:
                sender.sendall(frame)
            taken.append((time.thread_time() - began) * 1e3)
            left = sum(map(len, frames))
            while left:
                left -= len(receiver.recv(2**20))
    return statistics.median(taken)


def compare(symbols: int = 500) -> None:
    """The table."""
    arrays = window(symbols)
    plain = [text_frame(array) for array in arrays]
    size, sending = sum(map(len, plain)), sending_ms(plain)
    say(f"Compression of a batch of {symbols} symbols, once for all clients")
    say(f"{'':14}{'bytes':>10}{'CPU ms, once':>14}{'CPU ms, each client':>21}{'pays from clients':>19}")
    say(f"{'none':14}{size:10,}{'':14}{sending:21.3f}")
    for level in LEVELS:
        progress(f"level {level}")
        frames = [deflated_frame(array, level) for array in arrays]
        once = cpu_ms(lambda level=level: [deflated_frame(array, level) for array in arrays])  # type: ignore[misc]
        each = sending_ms(frames)
        pays = f"{once / (sending - each):19.0f}" if each < sending else f"{'never':>19}"
        say(f"{f'level {level}':14}{sum(map(len, frames)):10,}{once:14.2f}{each:21.3f}{pays}")
    say()
