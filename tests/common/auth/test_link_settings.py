"""The secrets of both ends of the link."""

import pytest
from pydantic import ValidationError

from common.auth.link_settings import LinkSettings

NEW, OLD = "n" * 32, "o" * 32


def test_the_new_one_comes_first() -> None:
    assert LinkSettings().link_secrets() == ()
    assert LinkSettings(LINK_SECRET=NEW).link_secrets() == (NEW,)
    assert LinkSettings(LINK_SECRET=NEW, LINK_SECRET_BEFORE=OLD).link_secrets() == (NEW, OLD)
    assert NEW not in repr(LinkSettings(LINK_SECRET=NEW))


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"LINK_SECRET": "n" * 31}, "32 bytes"),
        ({"LINK_SECRET": NEW + " x"}, "without blanks"),
        ({"LINK_SECRET_BEFORE": OLD}, "goes with LINK_SECRET"),
    ],
)
def test_what_is_no_secret_is_refused(given: dict[str, str], named: str) -> None:
    with pytest.raises(ValidationError, match=named):
        LinkSettings.model_validate(given)
