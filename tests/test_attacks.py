"""docs/security.md, held against the tests: whatever it says was tried names tests that there are."""

import ast
import re

import pytest

from tests.support import ROOT

PAGE = (ROOT / "docs/security.md").read_text()
ATTACKS = PAGE[PAGE.index("## Attacks") : PAGE.index("### What a process that was taken over reaches")]
ROWS = [line for line in ATTACKS.splitlines() if line.startswith("|") and not line.startswith(("|---", "| tried |"))]
NAMED = sorted(set(re.findall(r"`((?:tests/)?[\w/]*(?:test_\w+|tests/\w+)[\w/]*(?:\.py)?(?:::test_\w+)?)`", PAGE)))


def test_every_attack_names_a_test() -> None:
    assert len(ROWS) > 25
    assert [row[:60] for row in ROWS if "test" not in row.split("|")[-2]] == []


@pytest.fixture(scope="module")
def tests() -> dict[str, set[str]]:
    """The names of the tests in each file, by its path."""
    return {
        str(path.relative_to(ROOT)): {
            node.name
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
        }
        for path in (ROOT / "tests").rglob("test_*.py")
    }


@pytest.mark.parametrize("named", NAMED)
def test_what_it_names_exists(named: str, tests: dict[str, set[str]]) -> None:
    file, _, test = named.partition("::") if ".py" in named else ("", "", named)
    if file.endswith("/") or ("/" in named and not file):
        assert (ROOT / named).is_dir()
        return
    files = [path for path in tests if path == file or path.endswith(f"/{file}") or not file]
    assert files
    assert not test or any(test in tests[path] for path in files)
