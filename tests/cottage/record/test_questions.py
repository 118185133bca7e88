"""`cottage.history`, `changes` and `gaps`: what they ask over HTTP, and what comes of the answer."""

import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import orjson
import pytest

import cottage
from cottage.api_client import ARROW
from cottage.errors import ApiRefused, InvalidName, MissingExtra
from tests.cottage.http_answers import HttpAnswers, http_answers
from tests.cottage.record import recorded_answers as answers

NOON = datetime(2025, 12, 21, 12, tzinfo=UTC)


@pytest.fixture
def api() -> Iterator[HttpAnswers]:
    with http_answers() as told:
        yield told


def asked(api: HttpAnswers) -> tuple[str, dict[str, str]]:
    parts = urlsplit(api.asked[-1])
    return parts.path, dict(parse_qsl(parts.query))


def history(api: HttpAnswers, symbols: Any, **given: Any) -> cottage.AnswerTable:
    api.kind, api.body = ARROW, answers.stream("SPY")
    return cottage.history(symbols, url=api.url, **given)


def test_the_history_of_one_symbol(api: HttpAnswers) -> None:
    table = history(api, "SPY", last="1h", step="10s")
    assert asked(api) == ("/v1/history/SPY", {"last": "1h", "step": "10s"})
    assert api.headers[-1]["Accept"] == ARROW
    assert len(table) == 10
    assert table.about["symbol"] == "SPY"


@pytest.mark.parametrize("symbols", ["SPY,QQQ", ["SPY", "QQQ"], ("SPY", " QQQ ")])
def test_of_several_it_is_one_request(api: HttpAnswers, symbols: Any) -> None:
    history(api, symbols, points=60)
    assert asked(api) == ("/v1/history", {"symbols": "SPY,QQQ", "points": "60"})


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (
            {"start": NOON, "end": NOON + timedelta(hours=1)},
            ("2025-12-21T12:00:00+00:00", "2025-12-21T13:00:00+00:00"),
        ),
        (
            {"start": NOON.astimezone(timezone(timedelta(hours=-5))), "end": "2025-12-21T13:00:00Z"},
            ("2025-12-21T07:00:00-05:00", "2025-12-21T13:00:00Z"),
        ),
        ({"start": 1_766_318_400, "end": 1_766_318_400.25}, ("1766318400", "1766318400.250000")),
    ],
)
def test_times_may_be_written_in_several_ways(api: HttpAnswers, given: dict[str, Any], told: tuple[str, str]) -> None:
    history(api, "SPY", **given)
    assert asked(api)[1] == dict(zip(("from", "to"), told, strict=True))


@pytest.mark.parametrize(
    ("last", "told"), [("10m", "10m"), (90, "90"), (0.25, "0.250000"), (timedelta(minutes=2), "120.000000")]
)
def test_so_may_lengths_of_time(api: HttpAnswers, last: Any, told: str) -> None:
    history(api, "SPY", last=last)
    assert asked(api)[1] == {"last": told}


def test_all_else_that_may_be_asked_for(api: HttpAnswers) -> None:
    history(api, "SPY", fields=("price", "momentum"), source="replay", run=17, by="written")
    expected = {"fields": "price,momentum", "source": "replay", "run": "17", "by": "written"}
    assert asked(api)[1] == expected


def test_changes(api: HttpAnswers) -> None:
    api.body = orjson.dumps(answers.CHANGES)
    table = cottage.changes(last="10m", symbols="SPY,QQQ", regime="Critical", url=api.url)
    assert asked(api) == ("/v1/changes", {"last": "10m", "symbols": "SPY,QQQ", "regime": "Critical"})
    assert table.to_arrow()["kind"].to_pylist() == ["regime", "freshness"]
    assert table.about == {name: value for name, value in answers.CHANGES.items() if name != "changes"}


def test_gaps(api: HttpAnswers) -> None:
    api.body = orjson.dumps(answers.GAPS)
    table = cottage.gaps(start=NOON, url=api.url)
    assert asked(api) == ("/v1/gaps", {"from": "2025-12-21T12:00:00+00:00"})
    assert table.to_arrow()["cause"].to_pylist() == ["recorder_down"]
    assert table.about["outages"] == [answers.OUTAGE]


def test_a_symbol_that_is_none_is_not_asked_about(api: HttpAnswers) -> None:
    with pytest.raises(InvalidName, match="bad symbol 'spy'"):
        cottage.history("spy", url=api.url)
    assert api.asked == []


def test_the_apis_problem_is_the_error(api: HttpAnswers) -> None:
    api.refuses(404, "no_record", "there is no record in .run/record")
    with pytest.raises(ApiRefused, match=r"^there is no record in .run/record$") as error:
        cottage.history("SPY", url=api.url)
    assert error.value.code == "no_record"


@pytest.mark.parametrize("question", [lambda: cottage.history("SPY"), cottage.changes, cottage.gaps])
def test_without_pyarrow_nobody_is_asked(
    api: HttpAnswers, question: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COTTAGE_API_URL", api.url)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtra, match=r"curiosity-cottage\[files\]"):
        question()
    assert api.asked == []


def test_a_whole_number_of_another_library_is_a_number(api: HttpAnswers) -> None:
    numpy = pytest.importorskip("numpy")
    history(api, "SPY", start=numpy.int64(1_766_318_400), run=numpy.int64(7))
    assert asked(api)[1] == {"from": "1766318400", "run": "7"}


def test_what_is_no_time_is_a_type_error_that_says_so(api: HttpAnswers) -> None:
    with pytest.raises(TypeError, match="is a date; it must be a datetime"):
        history(api, "SPY", start=NOON.date())
    assert api.asked == []
