"""The one frame that is read of a client before it has shown a token."""

import pytest
from websockets.frames import Frame, Opcode

from common.fanout.first_frame import MAX_BYTES, FirstFrame

PING = Frame(Opcode.PING, b"x").serialize(mask=True)


def text(length: int) -> bytes:
    return Frame(Opcode.TEXT, b"a" * length).serialize(mask=True)


@pytest.mark.parametrize("length", [0, 1, 125, 126, 127, 4096, MAX_BYTES])
@pytest.mark.parametrize("step", [1, 7, 10**6])
def test_one_data_frame_is_read_however_it_arrives(length: int, step: int) -> None:
    first, sent, after, read = FirstFrame(), text(length), text(3) + PING, b""
    data = PING + sent + after
    for at in range(0, len(data), step):
        read += first.take(data[at : at + step])
    assert (read, first.complete, first.too_large) == (PING + sent, True, False)
    assert (first.rest(), first.rest()) == (after, b"")


@pytest.mark.parametrize("length", [MAX_BYTES + 1, 70_000])
def test_a_large_one_is_not_waited_for(length: int) -> None:
    first = FirstFrame()
    assert first.take(text(length)[:14]) == b""
    assert (first.complete, first.too_large) == (False, True)


def test_of_one_that_is_too_large_nothing_is_kept() -> None:
    first = FirstFrame()
    first.take(text(MAX_BYTES + 1)[:14])
    assert first.take(b"a" * 10**6) == b""
    assert first.rest() == b""


@pytest.mark.parametrize("step", [7, 10**6])
def test_as_many_bytes_of_control_frames_come_before_it_and_no_more(step: int) -> None:
    most = PING * (MAX_BYTES // len(PING))
    for before, is_read in ((most, True), (most + PING, False)):
        first, read, data = FirstFrame(), b"", before + text(3)
        for at in range(0, len(data), step):
            read += first.take(data[at : at + step])
        assert read == (data if is_read else most)
        assert (first.complete, first.too_large) == (is_read, not is_read)
        assert first.rest() == b""


def test_a_packet_of_many_control_frames_is_not_walked_through() -> None:
    """For each the rest of the packet was copied: for seconds the loop, and all clients with it, stood still."""
    ends = 0

    class Counted(FirstFrame):
        __slots__ = ()

        def _end(self, held: bytes, at: int) -> int:
            nonlocal ends
            ends += 1
            return super()._end(held, at)

    assert len(Counted().take(b"\x89\0" * 128 * 1024)) == MAX_BYTES
    assert ends == MAX_BYTES // 2 + 1
