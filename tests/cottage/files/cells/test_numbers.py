import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cottage.errors import UnusableSource
from cottage.files.cell_table import Ambiguous
from cottage.files.cells.numbers import is_missing, is_number, number_style, number_styles, style_for
from cottage.files.rows import BadRow


def read(*cells: str, stated: str = "") -> list[float | None]:
    """What a column of these cells reads."""
    style = number_style("price", cells, stated)
    return [style.read(cell) for cell in cells]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12.5", 12.5),
        (" 12.5 ", 12.5),
        ('"12.5"', 12.5),
        ("+12", 12),
        ("-12.25", -12.25),
        ("\u221212.25", -12.25),
        ("12.25-", -12.25),
        ("(1,234.5)", -1234.5),
        (".5", 0.5),
        ("5.", 5),
        ("1.5e3", 1500),
        ("1,5", 1.5),
        ("0,123", 0.123),
        ("1.234.567", 1_234_567),
        ("1,234,567", 1_234_567),
        ("12,34,567", 1_234_567),
        ("1.234,5", 1234.5),
        ("1 234,5", 1234.5),
        ("1\u202f234,567", 1234.567),
        ("1'234.50", 1234.5),
        ("1’234", 1234),
        ("$1,200.00", 1200),
        ("US$12.50", 12.5),
        ("-$12.50", -12.5),
        ("$-12.50", -12.5),
        ("USD 12.50", 12.5),
        ("12,50 €", 12.5),
        ("12.50 EUR", 12.5),
        ("44.66K", 44_660),
        ("1.2M", 1_200_000),
        ("3.75B", 3_750_000_000),
        ("2.71%", 0.0271),
    ],
)
def test_one_number_as_people_write_it(text: str, value: float) -> None:
    assert read(text) == [value]
    assert is_number(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "-",
        "–",
        "null",
        "NULL",
        "NaN",
        "#N/A",
        "n/a",
        "None",
        "\\N",
        "9223372036854775807",
        "9223372036.854775807",
    ],
)
def test_what_stands_for_no_value(text: str) -> None:
    assert is_missing(text)
    assert read(text, "1.5") == [None, 1.5]


@pytest.mark.parametrize(
    "text",
    [
        "inf",
        "-Infinity",
        "1_000",
        "0x10",
        "1.5.2",
        "1,5",
        "1,2,3",
        "١٢",
        "1e999",
        "--1",
        "1 2",
        "ten",
        "(5",
        "12 apples",
    ],
)
def test_what_is_no_number(text: str) -> None:
    with pytest.raises(BadRow) as bad:
        number_style("price", ["1.5", "2.25"]).read(text)
    assert bad.value.reason == "price"


@given(st.floats(allow_nan=False, allow_infinity=False, max_value=1e300, min_value=-1e300))
def test_every_float_that_python_prints_is_a_number(value: float) -> None:
    assert number_style("price", ["0.5"]).read(repr(value)) == value


def test_a_thousand_or_a_fraction_is_settled_by_the_column() -> None:
    assert read("1.234", "1.25") == [1.234, 1.25]
    assert read("1.234", "0.999") == [1.234, 0.999]
    assert read("1.234", "1234.567") == [1.234, 1234.567]
    assert read("1.234", "1,5") == [1234, 1.5]
    assert read("1.234", "1.234.567") == [1234, 1_234_567]
    assert read("1,234", "1.5") == [1234, 1.5]
    assert read("1.234", "12", stated=".") == [1.234, 12]
    assert read("1.234", "12", stated=",") == [1234, 12]


@pytest.mark.parametrize("text", ["1.234", "1,234", "-12.345", "$1,234", "1.234K"])
def test_a_thousand_or_a_fraction_that_nothing_settles_is_refused(text: str) -> None:
    with pytest.raises(Ambiguous, match=r"FORMAT=decimal-\w+ or FORMAT=decimal-\w+ chooses"):
        read(text, "5")
    with pytest.raises(BadRow, match="thousand or a fraction"):
        number_style("size", ["5", "6"]).read(text)


def test_columns_of_a_file_settle_it_for_one_another() -> None:
    styles = number_styles({"price": ["240,00", "1.240,00"], "size": ["1.234", "5"]})
    assert styles["size"].read("1.234") == 1234
    with pytest.raises(Ambiguous):
        number_styles({"price": ["240,00"], "bid": ["240.00"], "size": ["1.234"]})


def test_what_the_kind_of_file_has_counts_where_no_column_shows_another() -> None:
    assert number_styles({"price": ["1.234"]}, likely=".")["price"].read("1.234") == 1.234
    styles = number_styles({"price": ["1.234"], "size": ["1,5"]}, likely=".")
    assert styles["price"].read("1.234") == 1234
    assert number_styles({"price": ["1.234"]}, stated=",", likely=".")["price"].read("1.234") == 1234


def test_thousands_without_a_mark_elsewhere_make_a_fraction_and_that_is_told() -> None:
    style = number_styles({"price": ["150.123", "150.125"], "size": ["12", "1374"]})["price"]
    assert style.read("150.125") == 150.125
    assert style.guess is not None
    assert style.guess.option == "FORMAT=decimal-comma"


def test_many_thousands_beside_whole_numbers_are_no_fractions() -> None:
    cells = [f"{thousand}.{rest:03}" for thousand in range(1, 12) for rest in range(0, 1000, 100)]
    assert read(*cells, "250")[:2] == [1000, 1100]
    with pytest.raises(Ambiguous):
        read(*cells)


def test_a_column_that_mixes_points_and_commas_is_refused() -> None:
    with pytest.raises(UnusableSource, match=r"'1\.5' and '1,5'"):
        read("1.5", "1,5")


def test_a_cell_of_another_style_is_a_bad_row_and_no_thousand() -> None:
    style = number_style("price", ["1.25"] * 200 + ["1,5"])
    for text in ("1,5", "1,234"):
        with pytest.raises(BadRow):
            style.read(text)
    assert number_style("price", ["1.25"] * 200).read("1,234") == 1234


def test_scaled_numbers_and_sentinels() -> None:
    style = style_for(number_style("Px", ["5900000000000", "9999999999"]), "price", -9, [9999999999.0])
    assert style.read("5900000000001") == 5900.000000001
    assert style.read("9999999999") is None
    assert style.read("-5900000000000") == -5900
    style = style_for(number_style("Px", ["1.5", "2"]), "price", 0, [-1.0])
    assert (style.read("-1"), style.read("1.5")) == (None, 1.5)


def _grouped(digits: str, mark: str) -> str:
    return f"{int(digits):,}".replace(",", mark)


@given(
    numbers=st.lists(
        st.tuples(st.integers(0, 10**9), st.integers(0, 999_999), st.booleans(), st.booleans()),
        min_size=1,
        max_size=30,
    ),
    places=st.integers(0, 6),
    marks=st.sampled_from([(".", ""), (".", ","), (".", " "), (".", "'"), (",", ""), (",", "."), (",", "\u00a0")]),
    dress=st.sampled_from(["{}", "${}", "{} €", '"{}"', "{}%", "{}K", "EUR {}"]),
    short=st.booleans(),
)
def test_a_number_in_any_style_is_read_back_or_refused_but_never_another(
    numbers: list[tuple[int, int, bool, bool]], places: int, marks: tuple[str, str], dress: str, short: bool
) -> None:
    decimal, group = marks
    cells, values = [], []
    for whole, part, negative, _ in numbers:
        fraction = f"{part:06}"[:places]
        fraction = fraction.rstrip("0") if short else fraction
        body = _grouped(str(whole), group) + (f"{decimal}{fraction}" if fraction else "")
        cells.append(dress.format(("-" if negative else "") + body))
        power = {"{}%": "e-2", "{}K": "e3"}.get(dress, "")
        values.append(float(f"{'-' if negative else ''}{whole}.{fraction or 0}{power}"))
    try:
        style = number_style("price", cells)
    except Ambiguous:
        return
    for cell, value in zip(cells, values, strict=True):
        try:
            found = style.read(cell)
        except BadRow:
            continue
        assert found is not None
        assert math.isclose(found, value, rel_tol=1e-15, abs_tol=0), (cell, found, value)


@given(st.text() | st.from_regex(r"[-+(]?[$€]?[\d.,' ]{1,12}[KMB%)]?"))
def test_nothing_else_than_a_number_or_a_bad_row(text: str) -> None:
    for cells in (["1.5"], ["1,5"], ["1"], [""]):
        try:
            value = number_style("price", cells).read(text)
        except BadRow:
            continue
        assert value is None or math.isfinite(value)


def test_prices_in_32nds_are_no_thousands() -> None:
    with pytest.raises(UnusableSource, match="32nds"):
        number_style("Close", ["110'165", "110'150", "109'315"])
    assert number_style("Close", ["110'165", "110'999"]).read("110'165") == 110_165
    assert number_style("Volume", ["20'000", "15'200"]).read("15'200") == 15_200
