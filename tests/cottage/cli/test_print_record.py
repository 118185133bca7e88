"""`cottage history`, `changes` and `gaps` on a real HTTP server: for programs, for people, and what goes wrong."""

import csv
import io
import json
import socket
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from cottage.api_client import ARROW
from cottage.cli import main
from deploy.redis_server import free_port
from tests.cottage.cli.terminal import CONTROL, terminal
from tests.cottage.http_answers import HttpAnswers, http_answers, raw_server
from tests.cottage.record import recorded_answers as answers

COMMANDS = (["history", "SPY"], ["changes"], ["gaps"])


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[HttpAnswers]:
    with http_answers() as told:
        told.by_path = {
            "/v1/history/SPY": orjson.dumps(answers.history("SPY")),
            "/v1/history": orjson.dumps(answers.histories("SPY", "QQQ", missing=("NONE",))),
            "/v1/changes": orjson.dumps(answers.CHANGES),
            "/v1/gaps": orjson.dumps(answers.GAPS),
        }
        monkeypatch.setenv("COTTAGE_API_URL", told.url)
        yield told


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    said = capsys.readouterr()
    assert said.err == ""
    return [json.loads(line) for line in said.out.splitlines()]


def test_in_a_pipe_a_history_is_a_line_for_each_point(api: HttpAnswers, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["history", "SPY", "--last", "1h", "--step", "10s", "--fields", "price,alpha", "--by", "at"]) == 0
    assert api.asked == ["/v1/history/SPY?last=1h&step=10s&fields=price,alpha&by=at"]
    told = lines(capsys)
    assert told == [{"symbol": "SPY", **answers.SOURCE, **point} for point in answers.history("SPY")["points"]]


def test_as_csv_it_has_a_header_and_nothing_for_what_is_not_known(
    api: HttpAnswers, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["history", "SPY", "--csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert len(rows) == 10
    assert list(rows[0])[:6] == ["symbol", "source", "run", "time", "partial", "count"]
    assert (rows[0]["close"], rows[0]["partial"], rows[0]["gaps"]) == ("450.25", "false", "")
    assert (rows[4]["close"], rows[4]["count"], rows[4]["gaps"]) == ("", "0", "gap")


def test_of_several_those_that_are_there_are_printed_and_the_others_named(
    api: HttpAnswers, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["history", "SPY,QQQ", "NONE", "--from", "2025-12-21T12:00", "--to", "2025-12-21T13:00"]) == 1
    said = capsys.readouterr()
    assert {json.loads(line)["symbol"] for line in said.out.splitlines()} == {"SPY", "QQQ"}
    assert said.err == "cottage: the record has nothing of NONE\n"
    assert api.asked == [
        "/v1/history?symbols=SPY,QQQ,NONE&from=2025-12-21T12:00:00%2B00:00&to=2025-12-21T13:00:00%2B00:00"
    ]


def test_an_arrow_stream_goes_into_a_file_or_on_as_it_is(
    api: HttpAnswers, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    api.kind, api.body = ARROW, answers.stream("SPY")
    api.by_path = {}
    assert main(["history", "SPY", "--arrow", str(tmp_path / "spy.arrow")]) == 0
    assert (tmp_path / "spy.arrow").read_bytes() == api.body
    assert main(["history", "SPY", "--arrow", "-"]) == 0
    assert capfdbinary.readouterr().out == api.body
    assert main(["history", "SPY", "--arrow", str(tmp_path / "nowhere" / "spy.arrow")]) == 1
    assert b"No such file or directory" in capfdbinary.readouterr().err


def test_changes_are_lines_the_oldest_first(api: HttpAnswers, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["changes", "SPY", "--last", "10m", "--regime", "Critical"]) == 0
    assert api.asked == ["/v1/changes?last=10m&regime=Critical&symbols=SPY"]
    assert lines(capsys) == [answers.FRESHNESS_CHANGE, answers.REGIME_CHANGE]


def test_gaps_are_lines_with_the_outages(api: HttpAnswers, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gaps"]) == 0
    assert api.asked == ["/v1/gaps"]
    assert lines(capsys) == [{"kind": "outage", **answers.OUTAGE}, answers.MISSED]


def test_rows_of_two_kinds_share_a_csv(api: HttpAnswers, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["changes", "--csv"]) == 0
    freshness, regime = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert (freshness["status"], freshness["regime"]) == ("stale", "")
    assert (regime["status"], regime["regime"]) == ("", "Critical")


def test_more_than_an_answer_holds_is_said(api: HttpAnswers, capsys: pytest.CaptureFixture[str]) -> None:
    api.by_path["/v1/changes"] = orjson.dumps({**answers.CHANGES, "complete": False})
    assert main(["changes"]) == 0
    said = capsys.readouterr()
    assert len(said.out.splitlines()) == 2
    assert said.err == "cottage: there were more: the older ones are left out; ask for a shorter time\n"


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["history", "SPY"], ["SPY  simulate  2025-12-21 12:00:00 – 12:00:10 UTC  10 points", "price ┤", "α 90 % ┤"]),
        (["history", "SPY", "QQQ"], ["QQQ", "459.25", "price, 2025-12-21 12:00:00 – 12:00:10 UTC"]),
        (["changes"], ["Lévy Stable → Critical", "1.20–1.90", "stale", "feed down"]),
        (["gaps"], ["missed", "recorder down", "market", "outage"]),
    ],
)
async def test_on_a_terminal_it_is_a_table(api: HttpAnswers, arguments: list[str], shown: list[str]) -> None:
    async with terminal(["-m", "cottage", *arguments, "--url", api.url]) as person:
        await person.ended()
        text = CONTROL.sub("", person.output.decode())
        assert [each for each in shown if each not in text] == [], text
        assert b"\x1b[" in person.output, "in colours"


async def test_on_a_terminal_too_lines_may_be_asked_for(api: HttpAnswers) -> None:
    async with terminal(["-m", "cottage", "changes", "--json", "--url", api.url]) as person:
        assert await person.ended() == 0
        assert [json.loads(line) for line in person.output.splitlines()][-1] == answers.REGIME_CHANGE


@pytest.mark.parametrize(
    ("http", "code", "status"),
    [(404, "no_record", 1), (503, "too_slow", 1), (422, "bad_parameter", 2), (400, "bad_symbol", 2)],
)
@pytest.mark.parametrize("command", COMMANDS)
def test_a_problem_is_one_line(
    api: HttpAnswers, command: list[str], http: int, code: str, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    api.by_path = {}
    api.refuses(http, code, "why it is so")
    assert main(command) == status
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert said.err.startswith("cottage: ")
    assert said.err.endswith("why it is so\n")


@pytest.mark.parametrize("command", COMMANDS)
def test_an_api_that_is_not_there_is_one_line(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command, "--url", f"http://user:secret@127.0.0.1:{free_port()}"]) == 1
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert "Connection refused" in said.err
    assert "secret" not in said.err


@pytest.mark.parametrize("command", COMMANDS)
def test_one_that_hangs_is_one_line_too(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    def says_nothing(connection: socket.socket) -> None:
        while connection.recv(65_536):
            pass

    with raw_server(says_nothing) as url:
        assert main([*command, "--url", url, "--timeout", "0.2"]) == 1
    assert capsys.readouterr().err == f"cottage: {url} does not answer within 0.2 s\n"
