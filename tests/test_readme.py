"""The README tells the truth of today: every setting with its variable and default, and only targets that exist."""

import importlib
import re
from pathlib import Path

import pytest

from common.settings import ServiceSettings

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
SERVICES = ("market", "feynman", "physics", "bridge", "broadcaster", "recorder")


def settings_of(service: str) -> type[ServiceSettings]:
    module = importlib.import_module(f"services.{service}.settings")
    return next(
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, ServiceSettings) and value.__module__ == module.__name__
    )


def rows(settings: type[ServiceSettings]) -> list[str]:
    """One line a setting, as the README's tables have them."""
    lines = []
    for name, info in settings.model_fields.items():
        default = ",".join(info.default) if isinstance(info.default, tuple) else str(info.default)
        lines.append(f"| `{settings.variable(name)}` | {f'`{default}`' if default else ''} | {info.description} |")
    return lines


@pytest.mark.parametrize("service", SERVICES)
def test_every_setting_is_told(service: str) -> None:
    missing = [row for row in rows(settings_of(service)) if row not in README]
    assert not missing, "README.md lacks these lines:\n" + "\n".join(missing)


def test_no_setting_is_told_that_does_not_exist() -> None:
    known = {row for service in SERVICES for row in rows(settings_of(service))}
    told = re.findall(r"^\| `[A-Z_]+` \|.*\|$", README, re.MULTILINE)
    assert set(told) <= known


def test_every_make_target_told_exists() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    told = set(re.findall(r"\bmake ([a-z][a-z-]+)", README))
    assert told <= targets, told - targets


def test_every_link_leads_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target
