"""What Redis holds, and what it may not do."""

from typing import Any

from cottage.state import PhysicsState
from cottage.version import Version
from tests.chaos.samples import Samples
from tests.chaos.truth import Course, Truth
from tests.chaos.watch import Violations


def state(epoch: int, seq: int, mass: float = 0.1) -> bytes:
    return PhysicsState(mass, 0.2, 0.3, 0.4, 0.5, "Gaussian", 2.8, version=Version(epoch, seq)).to_bytes()


class Told(Truth):
    def __init__(self) -> None:
        client: Any = None  # nothing is read
        super().__init__(client, 0.1, Samples(), Violations(lambda _kind, _what: None))

    def holds(self, payload: bytes, at: float) -> list[str]:
        """The kinds of violations that this is."""
        self._violations.found.clear()
        self._take("A", self.courses.setdefault("A", Course()), payload, at)
        return [kind for kind, _ in self._violations.found]


def test_a_version_is_superseded_when_the_next_was_seen() -> None:
    truth = Told()
    for at in range(4):
        truth.holds(state(1, at), float(at))
    course = truth.courses["A"]
    assert [course.superseded_at(Version(1, seq)) for seq in range(4)] == [1.0, 2.0, 3.0, None]
    assert course.superseded_at(Version(0, 9)) == 0.0


def test_redis_never_goes_back_unless_data_was_taken_away() -> None:
    truth = Told()
    truth.data_stays()
    assert truth.holds(state(2, 1), 0.0) == []
    assert truth.holds(state(1, 9), 1.0) == ["went_back"]
    assert truth.holds(state(1, 9, mass=0.9), 2.0) == ["went_back"], "a version stands for the same bytes for ever"
    truth.data_may_go()
    assert truth.holds(state(1, 1), 3.0) == []
    assert truth.holds(b'{"mass":0.1,"mo', 4.0) == ["torn"]


def test_an_epoch_from_before_the_clock_went_back_lies_ahead_of_it() -> None:
    truth = Told()
    truth.ahead = 1000.0
    truth.holds(state(1_005_000, 1), 5.0)
    assert truth.epochs_ahead(4.9)
    assert not truth.epochs_ahead(5.0)
