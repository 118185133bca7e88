"""The sessions of one subscription."""

from common.fanout.conflation import Update
from common.fanout.frames import text_frame
from common.fanout.group import Group
from common.fanout.last_value_cache import LastValueCache
from common.fanout.session import HubView, Session
from cottage.freshness_board import FreshnessBoard
from cottage.protocol import Subscription
from tests.common.fanout.wires import LIVE, FakeWire


def test_one_that_is_closed_while_it_is_written_to_costs_nobody_else_anything() -> None:
    class Closed(FakeWire):
        def write(self, frames: bytes) -> None:
            raise RuntimeError("unable to perform operation; the handler is closed")

    view = HubView(LastValueCache(), FreshnessBoard(), lambda: LIVE, lambda: "T", lambda: 100.0)
    group = Group(Subscription(everything=True), view)
    wires = [FakeWire(), Closed(), FakeWire()]
    for wire in wires:
        session = Session(view, wire)
        session.caught_up = True
        group.add(session)
    group.deliver([Update("A", text_frame(b"{}"))])
    assert [len(wire.writes) for wire in wires] == [1, 0, 1]
