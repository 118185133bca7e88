"""`make audit`: what was not checked is never called clean."""

import json
from pathlib import Path
from typing import Any

import pytest

from deploy import advisories

GOOD = {"name": "orjson", "version": "3.13.0", "vulns": []}
BAD = {"name": "idna", "version": "3.0", "vulns": [{"id": "PYSEC-1", "fix_versions": ["3.7"]}]}
SKIPPED = {"name": "redis", "skip_reason": "Dependency not found and could not be audited"}


def audited(tmp_path: Path, output: Any, status: int = 0, complaint: str = "") -> int:
    """The status with a pip-audit that prints this."""
    (tmp_path / "answer").write_text(output if isinstance(output, str) else json.dumps({"dependencies": output}))
    program = tmp_path / "pip-audit"
    program.write_text(f"#!/bin/sh\ncat {tmp_path / 'answer'}\necho '{complaint}' >&2\nexit {status}\n")
    program.chmod(0o755)
    return advisories.main(tmp_path / "requirements.lock", program)


def test_nothing_is_known_of_what_was_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert audited(tmp_path, [GOOD]) == 0
    assert capsys.readouterr().out == "checked: 1 of 1 packages, advisories of 0 are known\n"


def test_what_is_known_is_told_with_what_mends_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert audited(tmp_path, [GOOD, BAD, SKIPPED], 1) == 1
    assert "known: idna 3.0: PYSEC-1, mended in 3.7" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("output", "status", "why"),
    [
        ([SKIPPED, GOOD], 0, "the source of advisories does not know redis"),
        ([SKIPPED] * 7, 0, "the source of advisories does not know redis, redis, redis, redis, redis and 2 others"),
        ([], 0, "no package was named"),
        ("", 1, "no source of advisories answers (cannot connect)"),
        ("[1]", 0, "no source of advisories answers"),
        ("", 2, "pip-audit does not run (cannot connect)"),
    ],
)
def test_what_was_not_checked_is_not_clean(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], output: Any, status: int, why: str
) -> None:
    assert audited(tmp_path, output, status, "cannot connect") == 3
    assert capsys.readouterr().out.splitlines()[-1].startswith(f"not checked: {why}")


def test_without_the_program_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert advisories.main(tmp_path / "requirements.lock", tmp_path / "none") == 3
    assert capsys.readouterr().out.startswith("not checked: pip-audit does not run (")
