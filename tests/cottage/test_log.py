"""Events of the library, and what repeats."""

from typing import Any

from cottage.log import LogEvent, Throttled
from cottage.protocol import Close, Code


class Log:
    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, Any]]] = []

    def warning(self, event: str, **fields: Any) -> None:
        self.lines.append((event, fields))


class Clock:
    now = 0.0

    def monotonic(self) -> float:
        return self.now


def test_a_program_that_configures_nothing_reads_values_not_members_of_enums() -> None:
    event = LogEvent("server_lost", {"code": Close.TOO_BIG, "error": Code.BAD_JSON, "url": "ws://x"})
    assert str(event) == "server_lost code=1009 error='bad_json' url='ws://x'"


def test_what_repeats_is_logged_once_in_a_while_and_counted() -> None:
    log, clock = Log(), Clock()
    throttled = Throttled(log, seconds=10.0, monotonic=clock.monotonic)
    for clock.now in (0.0, 1.0, 9.9, 10.0, 11.0, 30.0):
        throttled.warning("bad_message", "json", size=3)
    assert log.lines == [("bad_message", {"times": times, "size": 3}) for times in (1, 3, 2)]


def test_each_key_and_each_event_has_its_own_turn() -> None:
    log, clock = Log(), Clock()
    throttled = Throttled(log, monotonic=clock.monotonic)
    for event, key in (("a", "1"), ("a", "2"), ("b", "1"), ("a", "1")):
        throttled.warning(event, key, symbol=key)
    assert log.lines == [(event, {"times": 1, "symbol": key}) for event, key in (("a", "1"), ("a", "2"), ("b", "1"))]


def test_keys_that_a_stranger_makes_up_make_few_lines_and_leave_room_for_later() -> None:
    log, clock = Log(), Clock()
    throttled = Throttled(log, keys=3, monotonic=clock.monotonic)
    for number in range(1000):
        throttled.warning("bad_symbol", str(number))
    assert len(log.lines) == 4  # three keys of their own, and one place for all others
    clock.now = 10.0
    for _ in range(5):
        throttled.warning("bad_price", "SPY")
    assert log.lines[4:] == [("bad_price", {"times": 1})]
