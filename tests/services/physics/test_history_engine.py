import io
from typing import Any

import orjson
import pytest

from cottage.errors import HistoryRefusal, MissingExtra
from services.physics.history_engine import HEAD, read_head, serve


def asked(*questions: dict[str, Any]) -> io.BytesIO:
    encoded = [orjson.dumps(each) for each in questions]
    return io.BytesIO(b"".join(HEAD.pack(len(each)) + each for each in encoded))


def answered(stream: io.BytesIO) -> list[tuple[dict[str, Any], bytes]]:
    stream.seek(0)
    answers = []
    while (head := read_head(stream)) is not None:
        answers.append((head, stream.read(head.get("size", 0))))
    return answers


def answer(question: dict[str, Any]) -> tuple[str, bytes]:
    if "error" in question:
        raise {
            "refused": HistoryRefusal("no_record", "nothing there"),
            "missing": MissingExtra("pip install it"),
            "memory": MemoryError(),
            "damaged": OSError("Couldn't deserialize thrift"),
            "fault": RuntimeError("a mistake"),
        }[question["error"]]
    return "text/plain", question["text"].encode()


def test_questions_are_answered_one_after_another_until_there_are_no_more() -> None:
    out = io.BytesIO()
    serve(answer, asked({"text": "one"}, {"text": ""}, {"text": "x" * 100_000}), out)
    assert [(head["media"], len(body)) for head, body in answered(out)] == [
        ("text/plain", 3),
        ("text/plain", 0),
        ("text/plain", 100_000),
    ]


@pytest.mark.parametrize(
    ("error", "code", "detail"),
    [
        ("refused", "no_record", "nothing there"),
        ("missing", "unavailable", "pip install it"),
        ("memory", "too_much", "shorter time"),
        ("damaged", "unavailable", "cannot be read"),
        ("fault", "fault", "RuntimeError: a mistake"),
    ],
)
def test_an_error_is_an_answer_and_the_next_question_is_answered(error: str, code: str, detail: str) -> None:
    out = io.BytesIO()
    serve(answer, asked({"error": error}, {"text": "next"}), out)
    (head, body), (_, after) = answered(out)
    assert head["code"] == code
    assert detail in head["detail"]
    assert (body, after) == (b"", b"next")


def test_a_question_that_is_cut_off_is_none() -> None:
    out = io.BytesIO()
    serve(answer, io.BytesIO(b"\x00\x00"), out)
    assert out.getvalue() == b""
