"""What all tests here share."""

import pytest


@pytest.fixture(autouse=True)
def only_the_test_runs_here(no_debug: None) -> None:
    """All that is tried are processes of their own, which asyncio's debug mode of this one says nothing about."""
