import pytest

from cottage.unknown_arguments import unknown_arguments


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--tokn", "s3cret"], "unrecognized arguments: --tokn"),
        (["--tokn=s3cret", "--more"], "unrecognized arguments: --tokn --more"),
        (["--batch-size=250"], "unrecognized arguments: --batch-size=250"),
        (["--s3cret"], "what is no flag is not taken"),
        (["-ps3cret", "s3cret"], "what is no flag is not taken"),
    ],
)
def test_flags_are_shown_and_nothing_that_may_be_a_secret(given: list[str], said: str) -> None:
    assert unknown_arguments(given) == said
