"""Lua scripts in files beside their modules."""

import importlib
from pathlib import Path

import pytest

from cottage import lua

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted(
    path.relative_to(ROOT) for folder in ("cottage", "services") for path in (ROOT / folder).rglob("*.lua")
)
SENDERS = {
    "cottage": ("cottage.dead_holders", "cottage.lease", "cottage.store"),
    "services.feynman": ("services.feynman.writer",),
}


@pytest.mark.parametrize("path", FILES, ids=str)
def test_each_is_sent_by_a_module_beside_it_and_says_what_it_takes_and_answers(path: Path) -> None:
    package = ".".join(path.parent.parts)
    text = lua.load(package, path.stem)
    assert any(text in vars(importlib.import_module(module)).values() for module in SENDERS[package])
    head = text[: text.index("\nlocal" if "\nlocal" in text else "\nif")]
    assert all(line.startswith("-- ") for line in head.splitlines())
    assert all(f"-- {word}" in head for word in ("KEYS: ", "ARGV: ", "Answers "))


def test_there_are_twelve() -> None:
    assert len(FILES) == 12
