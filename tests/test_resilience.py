"""docs/resilience.md, held against the tests: each promise in its tables names tests that there are."""

import ast
import re

import pytest

from tests.support import ROOT

PAGE = (ROOT / "docs/resilience.md").read_text()
PROMISES = PAGE[PAGE.index("## Nothing lies") : PAGE.index("## How it was tried")]
ROWS = [line for line in PROMISES.splitlines() if line.startswith("|") and not line.startswith(("|---", "| seen |"))]
TEST = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`(?: \(([^)]*)\))?")


def test_every_promise_names_a_test() -> None:
    assert len(ROWS) > 20
    assert [row[:60] for row in ROWS if not TEST.search(row.split("|")[-2])] == []


@pytest.mark.parametrize("named", sorted({match.groups() for row in ROWS for match in TEST.finditer(row)}, key=str))
def test_the_tests_that_it_names_exist(named: tuple[str, str | None, str | None]) -> None:
    path, name, cases = named
    tree = ast.parse((ROOT / path).read_text())
    tests = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    assert any(test.startswith("test_") for test in tests)
    assert name is None or name in tests
    for case in re.findall(r"`(\w+)`", cases or ""):
        assert (ROOT / path).with_name(f"{case}.json").exists(), case
