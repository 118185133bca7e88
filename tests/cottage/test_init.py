"""`from cottage import NAME`: each name is there, documented, typed, and loaded only when it is used."""

import ast
import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import cottage

CLASSES_AND_FUNCTIONS = [
    name
    for name in cottage.__all__
    if inspect.isclass(getattr(cottage, name)) or inspect.isroutine(getattr(cottage, name))
]


def typed() -> dict[str, str]:
    """What a type checker believes: each name's module."""
    tree = ast.parse(Path(inspect.getfile(cottage)).read_text())
    branch = next(node for node in tree.body if isinstance(node, ast.If))
    assert ast.unparse(branch.test) == "TYPE_CHECKING"
    return {
        alias.asname or alias.name: node.module
        for node in branch.body
        if isinstance(node, ast.ImportFrom) and node.module is not None and node.module != "typing"
        for alias in node.names
    }


def test_type_checkers_know_the_same_names() -> None:
    modules = typed()
    assert {*modules, "__version__"} == set(cottage.__all__)
    for name, module in modules.items():
        assert getattr(cottage, name) is getattr(importlib.import_module(module), name)


def test_a_name_that_is_none_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        cottage.Nothing  # noqa: B018  # it is asked for its error
    assert set(cottage.__all__) <= set(dir(cottage))


@pytest.mark.parametrize("name", CLASSES_AND_FUNCTIONS)
def test_each_says_what_it_is(name: str) -> None:
    value = getattr(cottage, name)
    assert value.__doc__, name
    assert not value.__doc__.startswith(f"{name}("), f"{name} has a dataclass's docstring alone"
    for method, member in vars(value).items() if inspect.isclass(value) else ():
        if not method.startswith("_") and callable(getattr(value, method)) and method != "__init__":
            assert inspect.getdoc(getattr(value, method)), f"{name}.{method}: {member}"


@pytest.mark.parametrize(
    ("used", "absent"),
    [
        ("cottage", ["redis", "websockets", "orjson"]),
        ("cottage.StateClient", ["redis", "hiredis", "pandas"]),
        ("cottage.PhysicsReader", ["websockets", "pandas"]),
    ],
)
def test_only_what_is_used_is_loaded(used: str, absent: list[str]) -> None:
    code = f"import sys, cottage; {used}; print(*[name for name in {absent!r} if name in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert loaded.stdout.split() == []
