import pytest

from cottage.errors import InvalidMessage
from cottage.lock_step import MOST_BYTES, Mark, Taken


def test_a_mark_and_its_answer_come_back_as_they_were() -> None:
    mark, taken = Mark("REPLAY", 2**53 - 1, ("ES", "BTC-USD")), Taken("REPLAY", 4711, "2/3")
    for database in (0, 5):
        assert Mark.from_bytes(mark.to_bytes(database), database) == mark
        assert Taken.from_bytes(taken.to_bytes(database), database) == taken
    assert Mark.from_bytes(b'{"feed":"REPLAY","mark":1}').symbols == ()
    for windows in (None, "", "saved-1-0-of-1"):
        told = Mark("REPLAY", 1, ("ES",), windows)
        assert Mark.from_bytes(told.to_bytes()) == told


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"{", "json"),
        (b"[]", "object"),
        (b'{"feed":"REPLAY","mark":1,"db":2}', "db"),
        (b'{"mark":1}', "feed"),
        (b'{"feed":"a b","mark":1}', "feed"),
        (b'{"feed":"REPLAY","mark":"1"}', "type"),
        (b'{"feed":"REPLAY","mark":true}', "type"),
        (b'{"feed":"REPLAY","mark":1,"symbols":"ES"}', "symbols"),
        (b'{"feed":"REPLAY","mark":1,"windows":7}', "type"),
        (b'{"feed":"REPLAY","mark":1,"symbols":["ES","e s"]}', "symbols"),
        (b'{"feed":"REPLAY","mark":1,"symbols":[]}' + b" " * MOST_BYTES, "size"),
    ],
)
def test_what_is_no_mark_is_refused_by_its_reason(payload: bytes, reason: str) -> None:
    with pytest.raises(InvalidMessage) as refused:
        Mark.from_bytes(payload)
    assert refused.value.reason == reason


@pytest.mark.parametrize("shard", [b"", b',"shard":"3/2"', b',"shard":7'])
def test_an_answer_names_its_shard(shard: bytes) -> None:
    with pytest.raises(InvalidMessage):
        Taken.from_bytes(b'{"feed":"REPLAY","mark":1' + shard + b"}")
