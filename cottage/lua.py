"""Lua scripts, which lie in `.lua` files beside the modules that send them to Redis."""

from importlib import resources


def load(package: str, name: str) -> str:
    """The text of `name`.lua in the folder of a package. Its head says what KEYS, ARGV and the answer are."""
    return (resources.files(package) / f"{name}.lua").read_text(encoding="utf-8")
