"""The first frame of a client that has shown no token yet: until it is judged, nothing else of the client is read.

Pure. A `ClientConnection` has one until its client is let in.
"""

MAX_BYTES = 8 * 1024
"""The most that the first message may have: a token has 4 KiB."""


class FirstFrame:
    """Takes what arrives, and hands on control frames and one data frame (RFC 6455, section 5.2)."""

    __slots__ = ("_held", "complete", "too_large")

    def __init__(self) -> None:
        self._held = b""
        self.complete = False
        """Whether the data frame was handed on."""
        self.too_large = False
        """Whether it would have more than MAX_BYTES."""

    def take(self, data: bytes) -> bytes:
        """Of what has arrived, what may be read now."""
        self._held += data
        ready = b""
        while not (self.complete or self.too_large) and (end := self._end()):
            self.complete = not self._held[0] & 0x08
            ready += self._held[:end]
            self._held = self._held[end:]
        return ready

    def rest(self) -> bytes:
        """What came after it."""
        rest, self._held = self._held, b""
        return rest

    def _end(self) -> int:
        """Where the frame ends with which the held bytes begin; 0 while that is not here."""
        held = self._held
        if len(held) < 2:
            return 0
        length, start = held[1] & 0x7F, 2
        if length > 125:
            start += 2 if length == 126 else 8
            length = int.from_bytes(held[2:start])
        if len(held) < start:
            return 0
        self.too_large = length > MAX_BYTES
        end = start + (4 if held[1] & 0x80 else 0) + length
        return 0 if self.too_large or len(held) < end else end
