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
