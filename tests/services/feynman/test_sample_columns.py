"""What is looked at column by column is accepted, refused and read exactly as one by one."""

import math
import struct
import zlib

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from cottage.errors import InvalidMessage
from cottage.notes import BITS
from cottage.snapshot import LONGEST_NUMBER, MARKET_FIELDS, QUOTES, RawSample, Sample, parse_sample
from services.feynman.sample_columns import CHUNK, SampleColumns, parse

NOW = 1_766_318_400.0
USUAL: RawSample = (b"450.32", b"1766318399.5", b"7.0", b"3", b"live", None, None, b"FEED", *[None] * 9)

_nasty = st.sampled_from(
    [
        *(b"1_000", b" 1", b"1 ", b"\t1", b"1\n", b"nan", b"inf", b"-inf", b"Infinity", b"0x10", b"1e999", b"-1e999"),
        *(b"", b",", b"1,2", b"1,", b",1", b"[1]", b"1]", b"[1", b"null", b"true", b'"1"', b"{}", b"1e", b"e1", b"."),
        *(b"+1", b".5", b"1.", b"007", b"1e5", b"1E+5", b"1e-400", b"-0", b"-0.0", b"0", b"0e0", b"--1", b"+-1"),
        *("٣".encode(), "１".encode(), "1²".encode(), b"\x00", b"1\x00", b"\xff"),
        *(b"1" * LONGEST_NUMBER, b"1" * (LONGEST_NUMBER + 1), b"0." + b"3" * 62, b"9" * 400, b"1" * 20, b"1" * 19),
        *(
            b"18446744073709551615",
            b"18446744073709551616",
            b"9007199254740993",
            b"5e-324",
            b"1.7976931348623157e308",
        ),
    ]
)
_written = st.floats(0, allow_infinity=False).map(lambda value: repr(value).encode())
_numerals = st.text("+-.0123456789Ee", max_size=LONGEST_NUMBER + 2).map(str.encode)
_values = _written | st.integers(0, 2**70).map(lambda n: str(n).encode()) | _numerals | _nasty | st.binary(max_size=9)
_times = st.floats(0, NOW + 61).map(lambda value: repr(value).encode()) | _values
_words = st.sampled_from([b"live", b"simulate", "Lévy".encode()]) | st.binary(max_size=40) | st.none()
_price = _written.filter(lambda text: float(text) > 0)
_count = st.none() | _written
_said = st.none() | st.sampled_from([b"2025-12-21", b"auction, late", b"mid jump", b"\xff", b"x" * 2000])
_market = (st.none() | _times, *[st.none() | _values] * 2, st.none() | _times)
_quotes = st.none() | _values | st.floats(0, 10).map(lambda value: repr(value).encode())
_sound = st.tuples(
    _price, st.just(b"1"), _count, _count, st.just(b"live"), *[_said] * 5, *[_count] * 4, *[_quotes] * 2, _count
)
_any = st.tuples(
    st.none() | _values,
    st.none() | _times,
    st.none() | _values,
    st.none() | _values,
    _words,
    *[_said] * 5,
    *_market,
    *[_quotes] * 2,
    _values,
)
_text = _any.map(lambda row: tuple(None if value is None else value.decode(errors="replace") for value in row))


def one_by_one(rows: list[RawSample], now: float) -> tuple[dict[int, Sample], dict[int, str]]:
    accepted: dict[int, Sample] = {}
    refused: dict[int, str] = {}
    for i, row in enumerate(rows):
        try:
            accepted[i] = parse_sample(row, now)
        except InvalidMessage as error:
            refused[i] = str(error)
    return accepted, refused


NUMBERS = ("price", "timestamp", "volume", "trades", *MARKET_FIELDS, *QUOTES, "fill")
Rest = tuple[str, int, str | None, int, tuple[str, ...], str | None, float, str | None]


def numbers(samples: SampleColumns, i: int) -> list[float]:
    return [float(getattr(samples, name)[i]) for name in NUMBERS]


def rest(samples: SampleColumns, i: int) -> Rest:
    who = samples.feed[i], float(samples.rival_until[i]), samples.native[i]
    session = int(samples.session[i]), samples.mark[i]
    return samples.source[i], *session, int(samples.notes[i]), samples.other_notes[i], *who


def rest_of(sample: Sample) -> Rest:
    mark = 0 if sample.session is None else zlib.crc32(sample.session.encode())
    return sample.source, mark, sample.session, *sample.notes, sample.feed, sample.rival_until, sample.native


def assert_same(rows: list[RawSample], now: float = NOW) -> None:
    samples, refused = parse(rows, now)
    accepted, faults = one_by_one(rows, now)
    assert {i: str(error) for i, error in refused} == faults
    assert samples.index.tolist() == list(accepted)
    assert len(samples) == len(accepted)
    for place, sample in enumerate(accepted.values()):  # to the last bit; -0.0 and 0.0 are one number
        assert [struct.pack("d", value + 0.0) for value in numbers(samples, place)] == [
            struct.pack("d", value + 0.0) for value in (*sample[:4], *sample[10:])
        ]
        assert rest(samples, place) == rest_of(sample)


@given(st.lists(_sound | _any | _text, max_size=6))
@example([])
def test_any_rows_are_read_as_one_by_one(rows: list[RawSample]) -> None:
    assert_same(rows)


@given(_values, st.sampled_from([0, 1, 2, 3, *range(10, 17)]), st.integers(0, 2))
def test_each_value_among_usual_rows(value: bytes, field: int, place: int) -> None:
    odd = list(USUAL)
    odd[field] = value
    rows = [USUAL, USUAL]
    rows.insert(place, tuple(odd))
    assert_same(rows)
    assert_same([tuple(odd)])


@given(st.lists(_written, min_size=1, max_size=50))
def test_written_numbers_are_read_to_the_last_bit(texts: list[bytes]) -> None:
    rows: list[RawSample] = [(b"1", b"1", text, text, *[None] * 13) for text in texts]
    samples, refused = parse(rows, NOW)
    assert refused == []
    assert samples.volume.tolist() == samples.trades.tolist() == [float(text) for text in texts]


def test_a_counter_that_is_missing_or_too_great_spoils_no_chunk() -> None:
    rows: list[RawSample] = [(b"1", b"1", text, *[None] * 14) for text in (b"7", None, b"9007199254740993")]
    samples, refused = parse(rows, NOW)
    assert refused == []
    np.testing.assert_array_equal(samples.volume, [7.0, math.nan, math.inf])
    assert np.isnan(samples.trades).all()


def test_a_fault_slows_its_chunk_and_is_named_among_thousands() -> None:
    rows = [USUAL] * (3 * CHUNK + 7)
    for i, field in ((0, 0), (CHUNK - 1, 1), (CHUNK, 2), (3 * CHUNK + 6, 4)):
        row = list(USUAL)
        row[field] = b""
        rows[i] = tuple(row)
    samples, refused = parse(rows, NOW)
    assert [(i, error.reason) for i, error in refused] == [
        (0, "price"),
        (CHUNK - 1, "timestamp"),
        (CHUNK, "volume"),
        (3 * CHUNK + 6, "source"),
    ]
    assert samples.index.tolist() == [i for i in range(len(rows)) if rows[i] == USUAL]
    assert set(samples.price.tolist()) == {450.32}
    assert set(samples.source) == {"live"}


def test_only_the_fields_of_the_specification_are_usual() -> None:
    samples, refused = parse([(b"450.32", b"1703174400", b"89234567", *[None] * 14)] * 3, NOW)
    assert refused == []
    assert np.isnan(samples.trades).all()
    assert samples.session.tolist() == samples.notes.tolist() == [0] * 3
    assert samples.source == ["unknown"] * 3


def test_a_part_of_the_samples() -> None:
    rows: list[RawSample] = [
        (
            b"%d" % i,
            b"1",
            None,
            None,
            b"%d" % i,
            b"s%d" % i,
            b"auction w%d" % i,
            b"F%d" % i,
            b"%d000 x" % i,
            b"N%d" % i,
            b"%d" % (10 * i),
            b"%d" % (60 * i),
            b"0.%d" % i,
            b"%d.5" % (10 * i),
            b"%d" % i,
            b"%d.5" % i,
            b"%d" % (100 * i),
        )
        for i in range(1, 6)
    ]
    samples, _ = parse(rows, NOW)
    part = samples.where(samples.index[[0, 3]])
    assert part.price.tolist() == [1.0, 4.0]
    assert part.source == ["1", "4"]
    assert part.index.tolist() == [0, 3]
    assert part.session.tolist() == [zlib.crc32(b"s1"), zlib.crc32(b"s4")]
    assert (part.feed, part.rival_until.tolist()) == (["F1", "F4"], [1.0, 4.0])
    assert part.native == ["N1", "N4"]
    assert part.fill.tolist() == [100, 400]
    assert (part.event_time.tolist(), part.interval.tolist(), part.tick.tolist()) == ([10, 40], [60, 240], [0.1, 0.4])
    assert (part.received.tolist(), part.bid.tolist(), part.ask.tolist()) == ([10.5, 40.5], [1, 4], [1.5, 4.5])
    assert part.mark == ["s1", "s4"]
    assert (part.notes.tolist(), part.other_notes) == ([BITS["auction"]] * 2, [("w1",), ("w4",)])


def test_no_clock_is_later_than_what_can_be_written() -> None:
    rows: list[RawSample] = [(b"1", time, *[None] * 15) for time in (b"253402300799", b"253402300800")]
    assert_same(rows, math.inf)
    assert parse(rows, math.inf)[0].index.tolist() == [0]


def test_what_the_market_says_of_itself() -> None:
    rows: list[RawSample] = [(*USUAL[:10], b"1381143600.25", b"60", b"0.25", b"1381143600.5", *[None] * 3), USUAL]
    samples, _ = parse(rows, NOW)
    assert samples.event_time.tolist() == [1381143600.25, NOW - 0.5], "else the timestamp"
    np.testing.assert_array_equal(samples.interval, [60.0, math.nan])
    np.testing.assert_array_equal(samples.tick, [0.25, math.nan])
    np.testing.assert_array_equal(samples.received, [1381143600.5, math.nan])


def test_quotes_that_cannot_be_true_are_left_out_and_named() -> None:
    doubts: list[tuple[int, str]] = []
    quotes = [(b"450.31", b"450.33"), (b"450.33", b"450.31"), (b"1", b"450.33"), (b"x", None), (None, b"1e9")]
    rows: list[RawSample] = [(*USUAL[:14], *pair, None) for pair in quotes]
    samples, refused = parse(rows, NOW, on_doubt=lambda i, error: doubts.append((i, error.reason)))
    assert refused == []
    np.testing.assert_array_equal(samples.bid, [450.31, *[math.nan] * 4])
    np.testing.assert_array_equal(samples.ask, [450.33, math.nan, 450.33, math.nan, math.nan])
    assert sorted(doubts) == [(1, "ask"), (1, "bid"), (2, "bid"), (3, "bid"), (4, "ask")]


def test_a_doubtful_one_of_it_is_left_out_and_named_and_the_sample_is_used() -> None:
    doubts: list[tuple[int, str]] = []
    rows: list[RawSample] = [
        USUAL,
        (*USUAL[:10], b"1381143600250", b"60", b"0", *[None] * 4),
        (b"no price", *USUAL[1:10], b"soon", *[None] * 6),
        (*USUAL[:10], b"-1", b"a minute", b"0.25", *[None] * 4),
    ]
    samples, refused = parse(rows, NOW, on_doubt=lambda i, error: doubts.append((i, error.reason)))
    assert [i for i, _error in refused] == [2]
    assert samples.event_time.tolist() == [NOW - 0.5] * 3
    np.testing.assert_array_equal(samples.interval, [math.nan, 60.0, math.nan])
    np.testing.assert_array_equal(samples.tick, [math.nan, math.nan, 0.25])
    assert sorted(doubts) == [(1, "event_time"), (1, "tick"), (3, "event_time"), (3, "interval")]
