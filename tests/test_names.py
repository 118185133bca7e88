"""No name stands for two things: whoever searches for a module or a class finds one."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("cottage", "common", "services", "deploy")
IN_EACH_SERVICE = {"__init__", "__main__", "service", "settings", "metrics", "redis_access"}
"""Whoever knows one service finds these in every other."""


def modules() -> Iterator[Path]:
    for folder in FOLDERS:
        yield from (ROOT / folder).rglob("*.py")


def several(found: dict[str, list[str]]) -> dict[str, list[str]]:
    return {name: places for name, places in found.items() if len(places) > 1}


def test_modules_have_names_of_their_own() -> None:
    found: dict[str, list[str]] = defaultdict(list)
    for path in modules():
        if path.stem not in IN_EACH_SERVICE:
            found[path.stem].append(str(path.relative_to(ROOT)))
    assert len(found) > 50
    assert several(found) == {}


def test_classes_have_names_of_their_own() -> None:
    found: dict[str, list[str]] = defaultdict(list)
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                found[node.name].append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert len(found) > 100
    assert several(found) == {}
