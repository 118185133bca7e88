from collections.abc import Callable
from typing import Any

import pytest

from cottage.formats import NewerFormat, check_version, migrated

Content = dict[str, Any]

# Three changes that only make sense one after the other.
MIGRATIONS: tuple[Callable[[Content], Content], ...] = (
    lambda content: {"price": content["p"]},
    lambda content: content | {"cents": content.pop("price") * 100},
    lambda content: content | {"currency": "USD"},
)


@pytest.mark.parametrize(
    ("version", "content"),
    [
        (1, {"p": 4}),
        (2, {"price": 4}),
        (3, {"cents": 400}),
        (4, {"cents": 400, "currency": "USD"}),
    ],
)
def test_every_older_version_becomes_the_newest_step_by_step(version: int, content: Content) -> None:
    assert migrated(content, version, MIGRATIONS) == {"cents": 400, "currency": "USD"}


def test_a_newer_version_is_refused_by_that_word() -> None:
    with pytest.raises(NewerFormat, match="written by a newer version: its format is 5, this one reads 4"):
        migrated({"p": 4}, 5, MIGRATIONS)
    with pytest.raises(NewerFormat):
        check_version(2, 1)
    check_version(1, 1)


@pytest.mark.parametrize("version", [0, -1])
def test_what_is_no_version_is_no_file_of_ours(version: int) -> None:
    with pytest.raises(ValueError, match="is no version"):
        migrated({"p": 4}, version, MIGRATIONS)
