import inspect

import pytest

from cottage import errors


def test_every_error_stands_in_the_tree_at_the_head() -> None:
    assert errors.__doc__ is not None
    for name, kind in inspect.getmembers(errors, inspect.isclass):
        assert issubclass(kind, errors.CottageError)
        assert name in errors.__doc__


def test_a_bad_message_has_a_reason_for_counting() -> None:
    error = errors.InvalidMessage("json", "unexpected end")
    assert (error.reason, error.detail, str(error)) == ("json", "unexpected end", "json: unexpected end")


def test_the_leaves_of_a_group_come_in_order() -> None:
    first, second, third = ValueError("1"), KeyError("2"), errors.RedisFull("3")
    group = ExceptionGroup("outer", [first, ExceptionGroup("inner", [second]), third])
    assert errors.leaves(group) == [first, second, third]


@pytest.mark.parametrize("kind", [errors.RedisUnavailable, errors.RedisRefused, errors.RedisFull])
def test_what_a_command_raises_is_one_kind(kind: type[Exception]) -> None:
    assert issubclass(kind, errors.RedisError)
