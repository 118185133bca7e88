from cottage.files.rows import shown


def test_what_a_complaint_shows_is_short_and_printable() -> None:
    assert len(shown("x" * 10_000)) == 60
    assert shown("a\x1bb") == "'a\\x1bb'"
