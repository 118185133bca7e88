"""docs/observability.md and docs/glossary.md, held against the code: no row is missing, and none is stale."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

from prometheus_client import REGISTRY

from tests.support import ROOT

LEVELS = ("debug", "info", "warning", "error")
LOGGERS = {"log", "throttled", "_throttled"}
ROOTS = ("cottage", "common", "services", "deploy")
PASSED_ON = {"cottage/log.py"}
"""Where an event is logged whose name comes from elsewhere."""
METRICS = (
    "common.ops",
    "common.output",
    "common.auth.verifier",
    "common.fanout.server",
    "common.web.access",
    *(f"services.{name}.metrics" for name in ("market", "feynman", "physics", "bridge", "broadcaster", "recorder")),
)


@dataclass
class Logged:
    """How an event is logged, by all places that do."""

    levels: set[str] = field(default_factory=set)
    fields: set[str] = field(default_factory=set)
    modules: set[str] = field(default_factory=set)


def logged() -> dict[str, Logged]:
    """Every event, by its name, as the source has it."""
    events: dict[str, Logged] = {}
    for root in ROOTS:
        for path in sorted((ROOT / root).rglob("*.py")):
            module = str(path.relative_to(ROOT))
            for function in _functions(ast.parse(path.read_text())):
                aliases = _aliases(function)
                for call in (node for node in ast.walk(function) if isinstance(node, ast.Call)):
                    found = _event(call, aliases)
                    if found is None or module in PASSED_ON:
                        continue
                    levels, names, fields = found
                    assert names, f"{module}:{call.lineno} logs an event whose name is no literal"
                    for name in names:
                        event = events.setdefault(name, Logged())
                        event.levels |= levels
                        event.fields |= fields
                        event.modules.add(module)
    return events


def _functions(tree: ast.Module) -> Iterator[ast.AST]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def _level(node: ast.AST) -> str | None:
    """`log.info` is of the level info; anything but a logger's method is none."""
    if not isinstance(node, ast.Attribute) or node.attr not in LEVELS:
        return None
    owner = node.value
    name = owner.id if isinstance(owner, ast.Name) else owner.attr if isinstance(owner, ast.Attribute) else ""
    return node.attr if name in LOGGERS else None


def _aliases(function: ast.AST) -> dict[str, set[str]]:
    """`report = log.warning if … else log.info`: the levels of `report`."""
    return {
        node.targets[0].id: {level for branch in ast.walk(node.value) if (level := _level(branch))}
        for node in ast.walk(function)
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and isinstance(node.value, ast.IfExp)
    }


def _event(call: ast.Call, aliases: dict[str, set[str]]) -> tuple[set[str], set[str], set[str]] | None:
    """Levels, names and fields of a call that logs; `…` stands for fields that are not spelled there."""
    fields = {keyword.arg or "…" for keyword in call.keywords} - {"exc_info"}
    level = _level(call.func)
    if isinstance(call.func, ast.Name) and aliases.get(call.func.id):
        return aliases[call.func.id], _names(call.args[0]), fields
    if level is None:
        return None
    throttled = "throttled" in ast.unparse(call.func)
    return {level}, _names(call.args[0]), fields | ({"times"} if throttled else set())


def _names(node: ast.AST) -> set[str]:
    if isinstance(node, ast.IfExp):
        return _names(node.body) | _names(node.orelse)
    return {node.value} if isinstance(node, ast.Constant) and isinstance(node.value, str) else set()


def rows(path: Path, columns: int) -> Iterator[list[str]]:
    """The cells of all tables of a page, header lines aside."""
    for line in path.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")] if line.startswith("| `") else []
        if len(cells) == columns:
            yield cells


def words(cell: str) -> set[str]:
    return set(re.findall(r"`([^`]+)`", cell)) | ({"…"} if "…" in cell else set())


def test_every_event_is_in_the_table_with_its_levels_fields_and_places() -> None:
    told = {}
    for event, levels, fields, modules, meaning in rows(ROOT / "docs/observability.md", 5):
        assert meaning.endswith("."), event
        (name,) = words(event)
        assert name not in told, f"{name} is there twice"
        told[name] = Logged(set(levels.split(", ")), words(fields), words(modules))
    assert told == logged()


def test_every_metric_is_in_the_table_with_its_type_labels_and_help() -> None:
    for module in METRICS:
        import_module(module)
    defined = {}
    for collector in REGISTRY._collector_to_names:
        for metric in collector.collect():
            if metric.name.startswith("cottage_") and not metric.name.startswith("cottage_test_"):
                name = metric.name + ("_total" if metric.type == "counter" else "")
                labels = getattr(metric, "_labelnames", ()) or getattr(collector, "_labelnames", ())
                defined[name] = (metric.type, set(labels), metric.documentation)
    told = {}
    for name, kind, labels, meaning in rows(ROOT / "docs/observability.md", 4):
        told[name.strip("`")] = (kind, words(labels), meaning)
    assert told == defined


def test_no_label_tells_who_a_client_is() -> None:
    """Neither `sub` nor `jti` of a token: a label's values are kept for ever, and read by others."""
    labels = {word for _name, _kind, cell, _help in rows(ROOT / "docs/observability.md", 4) for word in words(cell)}
    assert "reason" in labels
    assert not labels & {"sub", "jti", "principal", "subject", "client", "user", "token", "kid"}


def test_each_word_of_the_glossary_is_in_the_module_that_is_named() -> None:
    entries = list(rows(ROOT / "docs/glossary.md", 3))
    assert len(entries) >= 20
    for names, _meaning, modules in entries:
        for module in words(modules):
            text = re.sub(r"[\s_-]+", " ", (ROOT / module).read_text().lower())
            for name in words(names):
                assert name in text, f"{module} does not speak of {name}"
