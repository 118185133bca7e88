"""Answers questions to the record in a process of its own: `python -m services.physics.history_engine FOLDER MIB`.

The physics service starts it and asks it (history_process.py). A question slows no tick and no other reader: the
process is niced, has one thread and so much memory, and is the first that a machine without memory ends. Questions
come over stdin and answers go over stdout, each as a frame: the length of a JSON head (4 bytes, big-endian), the
head, and of an answer as many bytes of body as its head's `size` says.
"""

import contextlib
import gc
import os
import resource
import struct
import sys
import traceback
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from cottage.errors import CottageError, HistoryRefusal
from cottage.record.hidden_pandas import hide_pandas

NICENESS = 10
HEAD = struct.Struct(">I")
MIB = 1 << 20
YOUNG = 250_000
"""Allocations before Python looks for cycles: more than the objects of the longest answer, which end with it."""


def main() -> None:
    folder, mebibytes = Path(sys.argv[1]), int(sys.argv[2])
    questions, answers = sys.stdin.buffer, _own_output()
    os.nice(NICENESS)
    gc.set_threshold(YOUNG)
    hide_pandas()
    with contextlib.suppress(OSError):  # not every system has it
        Path("/proc/self/oom_score_adj").write_text("1000")
    os.environ["ARROW_DEFAULT_MEMORY_POOL"] = "system"  # the usual one reserves a GiB of addresses, which count
    resource.setrlimit(resource.RLIMIT_DATA, (mebibytes * MIB, mebibytes * MIB))
    serve(lambda question: _answers(folder).answer(question), questions, answers)


@cache
def _answers(folder: Path) -> Any:
    from services.physics.history_answers import (
        HistoryAnswers,  # with the first question: what it needs may be missing
    )

    return HistoryAnswers(folder)


def _own_output() -> BinaryIO:
    """The pipe that was stdout. What anything prints goes to stderr instead, or it would be taken for an answer."""
    pipe = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return pipe


def serve(answer: Callable[[dict[str, Any]], tuple[str, bytes]], questions: BinaryIO, answers: BinaryIO) -> None:
    """Answer question by question until there are no more. `answer` returns media type and body."""
    while (question := read_head(questions)) is not None:
        body = b""
        try:
            media, body = answer(question)
            head = {"media": media, "size": len(body)}
        except HistoryRefusal as refusal:
            head = {"code": refusal.code, "detail": str(refusal)}
        except MemoryError:
            head = {
                "code": "too_much",
                "detail": "this takes more memory than there is for it: ask for a shorter time",
            }
        except OSError as error:
            head = {"code": "unavailable", "detail": f"the record cannot be read: {error}"}
        except CottageError as error:
            head = {"code": "unavailable", "detail": str(error)}
        except Exception:  # noqa: BLE001 - told to the service, which logs it
            head = {"code": "fault", "detail": traceback.format_exc(limit=-8)}
        encoded = orjson.dumps(head)
        answers.write(HEAD.pack(len(encoded)) + encoded)
        answers.write(body)
        answers.flush()


def read_head(stream: BinaryIO) -> dict[str, Any] | None:
    """The next head; None at the end of the stream."""
    length = stream.read(HEAD.size)
    if len(length) < HEAD.size:
        return None
    head: dict[str, Any] = orjson.loads(stream.read(HEAD.unpack(length)[0]))
    return head


if __name__ == "__main__":
    main()
