"""The first frame of a client that has shown no token yet: until it is judged, nothing else of the client is read.

Pure. A `ClientConnection` has one until its client is let in.
"""

MAX_BYTES = 8 * 1024
"""The most that the first message may have: a token has 4 KiB."""


class FirstFrame:
    """Takes what arrives, and hands on control frames, of at most MAX_BYTES in all, and one data frame (RFC 6455,
    section 5.2)."""

    __slots__ = ("_before", "_held", "complete", "too_large")

    def __init__(self) -> None:
        self._held = b""
        self._before = 0
        """How many bytes of control frames were handed on."""
        self.complete = False
        """Whether the data frame was handed on."""
        self.too_large = False
        """Whether more came before its end than may. From then on nothing is kept."""

    def take(self, data: bytes) -> bytes:
        """Of what has arrived, what may be read now."""
        if self.too_large:
            return b""
        held, at = self._held + data, 0
        while not (self.complete or self.too_large) and (end := self._end(held, at)):
            self.complete = not held[at] & 0x08
            at = end
        self._held = b"" if self.too_large else held[at:]
        return held[:at]

    def rest(self) -> bytes:
        """What came after it."""
        rest, self._held = self._held, b""
        return rest

    def _end(self, held: bytes, at: int) -> int:
        """Where the frame ends that begins at `at`; 0 while its end is not here, or where there is too much."""
        if len(held) < at + 2:
            return 0
        length, start = held[at + 1] & 0x7F, at + 2
        if length > 125:
            start += 2 if length == 126 else 8
            length = int.from_bytes(held[at + 2 : start])
        if len(held) < start:
            return 0
        end = start + (4 if held[at + 1] & 0x80 else 0) + length
        before = self._before + end - at if held[at] & 0x08 else self._before
        self.too_large = length > MAX_BYTES or before > MAX_BYTES
        if self.too_large or len(held) < end:
            return 0
        self._before = before
        return end
