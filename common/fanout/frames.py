"""Ready-made frames, written below the public face of `websockets`.

A frame that goes to a thousand clients is built once. pyproject.toml bounds the library's version, and
the tests of this module fail when what it leans on moves: a connection's `transport`, `protocol.state`
and `paused`, and the calls of `resume_writing`.
"""

from collections.abc import Callable

from websockets.asyncio.server import ServerConnection
from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN

UNSENT_BYTES = 64 * 1024
"""A connection with more than this unsent gets no further writes until it has drained.

With one write on top, itself at most 64 KiB and a header, a client stays below 256 KiB.
"""


def text_frame(payload: bytes) -> bytes:
    """One unfragmented, uncompressed text frame from the server. `payload` must be UTF-8."""
    return Frame(Opcode.TEXT, payload).serialize(mask=False)


class ClientConnection(ServerConnection):
    """A connection that can be handed ready frames and says when it can take more.

    Nothing else may send messages on it: then no fragmented message is ever under way, and a ready frame
    may go out at any time between the handshake and the close.
    """

    on_writable: Callable[[], None] | None = None

    @property
    def writable(self) -> bool:
        # After abort() the protocol still says OPEN for a moment, and uvloop's write would raise.
        return not self.paused and self.protocol.state is OPEN and not self.transport.is_closing()

    def write(self, frames: bytes) -> None:
        self.transport.write(frames)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self.on_writable is not None:
            self.on_writable()
