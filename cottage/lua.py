"""Loads Lua scripts, which are `.lua` files beside the modules that send them to Redis."""

from importlib import resources


def load(package: str, name: str) -> str:
    """The text of `name`.lua in the folder of a package. Its first lines describe KEYS, ARGV and the reply."""
    return (resources.files(package) / f"{name}.lua").read_text(encoding="utf-8")
