"""StateClient, cottage.js and the broadcaster's link are told the same, and must say the same."""

import asyncio
import shutil
from typing import Any

import orjson
import pytest

from tests.support import ROOT
from tests.transcripts.link_driver import link_driver
from tests.transcripts.python_driver import python_driver
from tests.transcripts.transcript import FOLDER, Transcript, all_transcripts

pytestmark = pytest.mark.usefixtures("no_debug")

COTTAGE_JS = ROOT / "services" / "broadcaster" / "page" / "cottage.js"
TRANSCRIPTS = all_transcripts()
AGE_SECONDS = 0.05
"""By how much an age may differ."""


async def answers_of(name: str, transcript: Transcript, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the client says after each step."""
    if name == "javascript":
        return await in_node(transcript)
    made = python_driver if name == "python" else link_driver
    async with made(transcript, monkeypatch) as driver:
        return [await driver.step(step) for step in transcript.steps]


async def in_node(transcript: Transcript) -> list[dict[str, Any]]:
    node = shutil.which("node")
    if node is None:
        pytest.skip("did NOT run: no node on this machine, so cottage.js was not tried")
    process = await asyncio.create_subprocess_exec(
        node,
        str(FOLDER / "driver.mjs"),
        str(COTTAGE_JS),
        str(FOLDER / f"{transcript.name}.json"),
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0
    answers: list[dict[str, Any]] = orjson.loads(output)
    return answers


def differences(expected: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    """What was expected and is otherwise. Of values by symbol only those count that are named."""
    found: dict[str, Any] = {}
    for name, value in expected.items():
        actual = answer[name]
        if name in ("freshness", "cause", "age", "notes", "void", "interval", "regime_since", "taken", "stamp"):
            actual = {symbol: actual[symbol] for symbol in value if symbol in actual}
        close = pytest.approx(value, abs=AGE_SECONDS) if name in ("age", "dialled", "token_left") else value
        if actual != close:
            found[name] = {"expected": value, "found": actual}
    return found


@pytest.mark.parametrize(
    ("transcript", "name"),
    [pytest.param(each, name, id=f"{each.name}-{name}") for each in TRANSCRIPTS for name in each.drivers],
)
async def test_a_client_says_what_the_transcript_says(
    transcript: Transcript, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = await answers_of(name, transcript, monkeypatch)
    for number, (step, answer) in enumerate(zip(transcript.steps, answers, strict=True)):
        expected = {**step.get("expect", {}), **step.get(f"expect_{name}", {})}
        assert differences(expected, answer) == {}, f"step {number}, at {step['at']} s: {step.get('about', '')}"
