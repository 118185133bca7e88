"""What is read is what was written, and everything else is refused."""

import fcntl
import functools
import io
import json
import math
import random
import zipfile
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cottage.reference import PlainSample
from services.feynman import checkpoint
from services.feynman.checkpoint import (
    CheckpointPart,
    CheckpointRefused,
    CheckpointTooOld,
    CheckpointWriter,
    leave_aside,
    read,
    sweep,
)
from services.feynman.vector import Vectors, compute
from services.feynman.windows import LASTING, SAVED, Rows, Windows
from tests.services.feynman.agreement import nth
from tests.services.feynman.histories import feed, windows_of

SETTINGS: dict[str, Any] = {"window": 50, "tick_seconds": 1.0, "shard": "0/1"}
NOW = 1_766_318_400.0
NAMES = ["SPY", "QQQ", "BTC-USD"]


def history(seed: int, number: int) -> list[PlainSample]:
    generator = random.Random(seed)
    price, volume, trades, samples = 100.0, 0.0, 0.0, []
    for i in range(number):
        price *= 1 + generator.gauss(0, 1e-3)
        volume, trades = volume + generator.choice([0, 3, 500]), trades + generator.choice([0, 1, 7])
        samples.append(PlainSample(1e9 + i + 100 * (i > 20), price, volume, trades))
    return samples


@functools.cache
def three_windows() -> tuple[Windows, Rows]:
    """Full, half full and just begun. Nobody appends to them."""
    return windows_of(history(1, 130), history(2, 30), history(3, 1), length=50)


def parts() -> tuple[Windows, list[CheckpointPart]]:
    """These windows, saved in two parts."""
    windows, rows = three_windows()
    cut = [(NAMES[:1], rows[:1]), (NAMES[1:], rows[1:])]
    return windows, [CheckpointPart(names, ["live"] * len(names), windows.saved(rows)) for names, rows in cut]


def opened(path: Path, settings: dict[str, Any] = SETTINGS) -> CheckpointWriter:
    writer = CheckpointWriter(path, settings)
    writer.open()
    return writer


def written(path: Path, settings: dict[str, Any] = SETTINGS, now: float = NOW) -> list[CheckpointPart]:
    _, several = parts()
    writer = opened(path, settings)
    for part in several:
        writer.add(part)
    assert writer.finish(now) == path.stat().st_size
    return several


def test_windows_come_back_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "windows.npz"
    written(path)
    windows, _ = parts()
    other = Windows(50)
    for part in read(path, SETTINGS, NOW + 10, 3600):
        other.restore(np.array([other.add() for _ in part.symbols]), part.arrays)
        assert part.sources == ["live"] * len(part.symbols)
    rows = np.arange(3)
    one, same = compute(windows, rows), compute(other, rows)
    for field in fields(Vectors):
        np.testing.assert_array_equal(getattr(one, field.name), getattr(same, field.name))
    assert [p.name for p in path.parent.iterdir()] == ["windows.npz"]
    assert [name for part in read(path, SETTINGS, NOW, 3600) for name in part.symbols] == NAMES


VERSIONS = [Path(__file__).with_name(f"checkpoint-version-{number}.npz") for number in (1, 2, 3, 4)]
"""Of `parts`, as the programs wrote it whose format had these versions."""
WITHOUT_VOLUME = ("entropy", "alpha_coefficient", "regime", "samples", "nonzero")


@pytest.mark.parametrize("path", VERSIONS)
def test_older_versions_are_read_to_the_last_bit(path: Path) -> None:
    found = list(read(path, SETTINGS, NOW, 3600))
    assert [(part.symbols, part.sources) for part in found] == [(NAMES[:1], ["live"]), (NAMES[1:], ["live"] * 2)]
    blank = Windows(50)
    blank.add()
    with np.load(path) as raw:
        for number, part in enumerate(found):
            assert set(part.arrays) == set(SAVED)
            for name, array in part.arrays.items():
                if f"{number}/{name}" in raw:
                    before = raw[f"{number}/{name}"]
                    # They did not tell a counter that was missing from one of 0.
                    counter = name in ("session_volume", "session_trades")
                    np.testing.assert_array_equal(array, np.where(before == 0, np.nan, before) if counter else before)
                else:
                    assert (np.nan_to_num(array) == np.nan_to_num(getattr(blank, name)[0]).max()).all(), name
    windows, rows = parts()[0], np.arange(3)
    again = Windows(50)
    for part in found:
        again.restore(np.array([again.add() for _ in part.symbols]), part.arrays)
    assert np.isnan(again.feed_time[rows]).all()
    one, other = compute(again, rows), compute(windows, rows)
    for field in fields(Vectors):
        # The second has a gap in its window, whose volume was one tick's then.
        same = slice(None) if field.name in WITHOUT_VOLUME else [0, 2]
        values, expected = getattr(one, field.name)[same], getattr(other, field.name)[same]
        np.testing.assert_allclose(values, expected, rtol=1e-9, atol=1e-12)


def test_a_break_of_version_3_is_none(tmp_path: Path) -> None:
    written(tmp_path / "w")
    noted = io.BytesIO()
    np.save(noted, np.full((1, len(LASTING)), 70))
    of_version_3 = {
        "manifest.json": lambda new: json.dumps(json.loads(new) | {"version": 3}).encode(),
        "0/noted_until.npy": lambda _new: noted.getvalue(),
    }
    rewritten(tmp_path / "w", **of_version_3)
    first, _second = read(tmp_path / "w", SETTINGS, NOW, 3600)
    words = dict(zip(LASTING, first.arrays["noted_until"][0].tolist(), strict=True))
    assert words == dict.fromkeys(LASTING, 70) | {"break": 0}


def test_of_an_older_version_other_settings_are_refused_too() -> None:
    with pytest.raises(CheckpointRefused, match="it was sampled with window 50, now it is 60"):
        list(read(VERSIONS[0], SETTINGS | {"window": 60}, NOW, 3600))


def test_a_newer_version_is_refused_by_that_word(tmp_path: Path) -> None:
    written(tmp_path / "w")
    newer = {"version": checkpoint.VERSION + 1, "settings": "in a form that nobody knows yet"}
    rewritten(tmp_path / "w", **{"manifest.json": lambda old: json.dumps(json.loads(old) | newer).encode()})
    with pytest.raises(CheckpointRefused, match="it was written by a newer version"):
        list(read(tmp_path / "w", SETTINGS, NOW, 3600))


def test_a_migration_may_change_every_member(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a version that never was: prices times 128 under another name, and a manifest without a shard."""

    def in_units(read_member: checkpoint.ReadMember) -> checkpoint.ReadMember:
        def migrated(name: str) -> bytes:
            if name == "manifest.json":
                manifest = json.loads(read_member(name))
                return json.dumps(manifest | {"settings": manifest["settings"] | {"shard": "0/1"}}).encode()
            if not name.endswith("/price.npy"):
                return read_member(name)
            scaled = np.load(io.BytesIO(read_member(name.replace("price", "scaled"))))
            content = io.BytesIO()
            np.save(content, scaled / 128)
            return content.getvalue()

        return migrated

    expected = written(tmp_path / "w", {name: value for name, value in SETTINGS.items() if name != "shard"})
    with zipfile.ZipFile(tmp_path / "w") as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(tmp_path / "w", "w") as archive:
        for name, content in contents.items():
            if name.endswith("/price.npy"):
                with archive.open(name.replace("price", "scaled"), "w") as member:
                    np.save(member, np.load(io.BytesIO(content)) * 128)
            else:
                archive.writestr(name, content)
    monkeypatch.setattr(checkpoint, "MIGRATIONS", (*checkpoint.MIGRATIONS, in_units))
    for one, other in zip(read(tmp_path / "w", SETTINGS, NOW, 3600), expected, strict=True):
        assert {name: array.tobytes() for name, array in one.arrays.items()} == {
            name: array.tobytes() for name, array in other.arrays.items()
        }


def test_until_it_is_finished_the_one_before_stands(tmp_path: Path) -> None:
    path = tmp_path / "windows.npz"
    written(path)
    before = path.read_bytes()
    writer = opened(path)
    writer.add(parts()[1][0])
    assert path.read_bytes() == before
    writer.abandon()
    assert (path.read_bytes(), len(list(tmp_path.iterdir()))) == (before, 1)
    written(path, now=NOW + 5).clear()
    assert path.read_bytes() != before


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"window": 60}, "it was sampled with window 50, now it is 60"),
        ({"tick_seconds": 0.5}, "it was sampled with tick_seconds 1.0, now it is 0.5"),
        ({"shard": "0/2"}, "it was sampled with shard 0/1, now it is 0/2"),
    ],
)
def test_other_settings_are_refused_by_name(tmp_path: Path, changed: dict[str, Any], reason: str) -> None:
    written(tmp_path / "w")
    with pytest.raises(CheckpointRefused, match=reason):
        list(read(tmp_path / "w", SETTINGS | changed, NOW, 3600))


def test_age(tmp_path: Path) -> None:
    written(tmp_path / "w")
    assert len(list(read(tmp_path / "w", SETTINGS, NOW + 3600, 3600))) == 2
    with pytest.raises(CheckpointTooOld, match="it is 3601 s old"):
        list(read(tmp_path / "w", SETTINGS, NOW + 3601, 3600))
    assert len(list(read(tmp_path / "w", SETTINGS, NOW - 86_400, 3600))) == 2, "the clock was set back since"
    with pytest.raises(CheckpointRefused, match="it was saved 259200 s in the future"):
        list(read(tmp_path / "w", SETTINGS, NOW - 3 * 86_400, 3600))


def assert_refused_or_right(path: Path, expected: list[CheckpointPart]) -> bool:
    """Whether it was refused; what is not refused is what was written."""
    try:
        found = list(read(path, SETTINGS, NOW, 3600))
    except CheckpointRefused:
        return True
    assert [part[:2] for part in found] == [part[:2] for part in expected]
    for one, other in zip(found, expected, strict=True):
        for name in one.arrays:
            np.testing.assert_array_equal(one.arrays[name], other.arrays[name])
    return False


def test_torn_anywhere(tmp_path: Path) -> None:
    path = tmp_path / "w"
    expected = written(path)
    whole = path.read_bytes()
    for length in [*range(0, len(whole), 211), *range(len(whole) - 40, len(whole))]:
        path.write_bytes(whole[:length])
        assert assert_refused_or_right(path, expected)


@pytest.mark.parametrize("every", [13, pytest.param(1, marks=pytest.mark.slow)])
def test_a_bit_fallen_anywhere(tmp_path: Path, every: int) -> None:
    path = tmp_path / "w"
    expected = written(path)
    whole = path.read_bytes()
    generator = random.Random(5)
    refused = 0
    # The directory at the end is the part with most ways to be wrong. A step of 13 bytes meets every field of its
    # entries, which have some sixty, in one or another of them.
    places = [generator.randrange(len(whole)) for _ in range(300 // every)]
    places += range(len(whole) - 1600, len(whole), every)
    for place in places:
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << generator.randrange(8)]) + whole[place + 1 :])
        refused += assert_refused_or_right(path, expected)
    assert refused > 0.5 * len(places)  # the others fell where it does not matter, such as a member's date


@pytest.mark.parametrize("content", [b"", b"\x00" * 5000, b"PK\x05\x06" + b"\x00" * 18, b"some text\n" * 100])
def test_files_that_are_none_of_ours(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "w").write_bytes(content)
    with pytest.raises(CheckpointRefused, match=r"damaged, or no checkpoint"):
        list(read(tmp_path / "w", SETTINGS, NOW, 3600))


def test_another_program_s_zip(tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", price=np.ones(3))
    with pytest.raises(CheckpointRefused, match=r"no item named 'manifest.json'"):
        list(read(tmp_path / "other.npz", SETTINGS, NOW, 3600))
    manifests: tuple[object, ...] = ([], {"format": "curiosity cottage windows 99"}, {"format": 7}, {"version": 2})
    for manifest in manifests:
        with zipfile.ZipFile(tmp_path / "w", "w") as archive:
            archive.writestr("manifest.json", json.dumps(manifest))
        with pytest.raises(CheckpointRefused, match="no checkpoint of this suite"):
            list(read(tmp_path / "w", SETTINGS, NOW, 3600))


def rewritten(path: Path, **members: Callable[[bytes], bytes]) -> None:
    """The same file with other members, whose checksums are right."""
    with zipfile.ZipFile(path) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, members.get(name, bytes)(content))


@pytest.mark.parametrize(
    "changed",
    [
        {"version": 0},
        {"version": "two"},
        {"version": None},
        {"settings": []},
        {"settings": None},
        {"saved_at": None},
        {"saved_at": "now"},
        {"saved_at": math.nan},
        {"saved_at": math.inf},
        {"parts": 3},
        {"parts": "2"},
        {"parts": 10**12},
    ],
)
def test_a_manifest_that_makes_no_sense(tmp_path: Path, changed: dict[str, Any]) -> None:
    written(tmp_path / "w")
    rewritten(tmp_path / "w", **{"manifest.json": lambda old: json.dumps(json.loads(old) | changed).encode()})
    with pytest.raises(CheckpointRefused):
        list(read(tmp_path / "w", SETTINGS, NOW, 3600))


@pytest.mark.parametrize("shape", ["(1000000000000,)", "(-1,)", "()", "(0, 0)", "(10**12,)"])
def test_an_array_of_another_size_than_its_file_has(tmp_path: Path, shape: str) -> None:
    head = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    array = b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head
    written(tmp_path / "w")
    rewritten(tmp_path / "w", **{"1/price.npy": lambda _old: array})
    parts_read = read(tmp_path / "w", SETTINGS, NOW, 3600)
    with pytest.raises(CheckpointRefused):
        next(parts_read)  # before the first part, which is right, is given out


def changed(part: CheckpointPart, name: str, value: float, at: int = 0) -> CheckpointPart:
    array = part.arrays[name].copy()
    array[at] = value
    return part._replace(arrays=part.arrays | {name: array})


IMPOSSIBLE: dict[str, list[float]] = {
    "price": [np.nan, 0.0, -1.0, np.inf],
    "volume": [-1.0, np.inf],
    "trades": [-1.0, np.inf],
    "log_return": [np.inf, 2000.0],
    "samples": [0, 51, 20],
    "newest": [-1, 50],
    "last_timestamp": [np.nan, np.inf, -1.0],
    "last_price": [0.0, np.nan],
    "feed_time": [-1.0, np.inf],
    "session_volume": [-1.0],
    "session_trades": [-1.0],
    "session": [-1],
    "taken": [-1],
    "score_volume": [-1],
    "score_trades": [-1],
    "fell_from_volume": [-1.0, np.inf],
    "fell_from_trades": [-1.0],
    "tick_notes": [-1, 2**40],
    "noted_until": [-1],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name in IMPOSSIBLE for value in IMPOSSIBLE[name]])
def test_what_no_window_can_hold_is_refused(tmp_path: Path, name: str, value: float) -> None:
    _, several = parts()
    writer = opened(tmp_path / "w")
    writer.add(changed(several[0], name, value))
    writer.finish(NOW)
    with pytest.raises(CheckpointRefused, match="invalid "):
        list(read(tmp_path / "w", SETTINGS, NOW, 3600))


EVERYTHING = {"jump", "gap", "session", "correction", "rolling", "overflow", "no_volume"}


def unusual() -> list[PlainSample]:
    """A jump, a gap, a counter that is missing and one that has turned out to be a rolling figure."""
    samples = [PlainSample(1e9 + i, 100.0 + i % 3, 100.0 * i, 5.0 + 4 * (-1) ** i, 7) for i in range(40)]
    samples += [PlainSample(1e9 + 40, 1000.0, 4000.0, 5.0, 7), PlainSample(1e9 + 200, 1001.0, 4100.0, 5.0, 8)]
    return [*samples, PlainSample(1e9 + 201, 1002.0, None, math.inf, 8)]


def test_what_is_unknown_and_what_is_said_of_it_come_back_too(tmp_path: Path) -> None:
    windows, rows = windows_of(unusual(), length=50)
    writer = opened(tmp_path / "w")
    writer.add(CheckpointPart(NAMES[:1], ["live"], windows.saved(rows)))
    writer.finish(NOW)
    again = Windows(50)
    for part in read(tmp_path / "w", SETTINGS, NOW, 3600):
        again.restore(np.array([again.add()]), part.arrays)
    for seconds in range(60):  # both forget alike, too
        one, other = (nth(compute(each, rows), 0) for each in (windows, again))
        assert one == other
        assert seconds > 0 or one.notes == EVERYTHING
        for each in (windows, again):
            feed(
                each,
                [0],
                [PlainSample(1e9 + 202 + seconds, 1002.0 + seconds % 2, 5000.0 + seconds, 9.0 + seconds, 8)],
            )
    assert not one.notes


def test_names_and_shapes_that_cannot_be_are_refused(tmp_path: Path) -> None:
    _, several = parts()
    two = several[1]
    narrow = {name: array.astype(np.float32) for name, array in two.arrays.items()}
    for part in (
        two._replace(symbols=["spy", "QQQ"]),
        two._replace(symbols=["QQQ", "QQQ"]),
        two._replace(symbols=["QQQ"]),
        two._replace(sources=["live"]),
        two._replace(arrays=narrow),
        two._replace(arrays=two.arrays | {"trades": two.arrays["trades"][:, :-1]}),
        two._replace(arrays=two.arrays | {"newest": two.arrays["newest"][:1]}),
        two._replace(arrays=two.arrays | {"price": two.arrays["newest"]}),
        two._replace(arrays=two.arrays | {"noted_until": two.arrays["noted_until"][:1]}),
        two._replace(arrays=two.arrays | {"noted_until": np.ones((2, 99), np.int64)}),
        two._replace(arrays=two.arrays | {"noted_until": two.arrays["newest"]}),
    ):
        writer = opened(tmp_path / "w")
        writer.add(part)
        writer.finish(NOW)
        with pytest.raises(CheckpointRefused):
            list(read(tmp_path / "w", SETTINGS, NOW, 3600))


def test_what_the_dead_have_left_is_swept_and_what_the_living_write_is_not(tmp_path: Path) -> None:
    path = tmp_path / "w"
    (tmp_path / ".w.abc.tmp").write_bytes(b"half")
    (tmp_path / ".other.abc.tmp").write_bytes(b"half")
    writer = opened(path)
    assert sweep(path) == 1
    writer.add(parts()[1][0])
    writer.finish(NOW)
    assert sorted(p.name for p in tmp_path.iterdir()) == [".other.abc.tmp", "w"]
    # One that locks its file and dies leaves no lock.
    with (tmp_path / ".w.def.tmp").open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert sweep(path) == 0
    assert sweep(path) == 1


def test_what_was_refused_is_kept_under_another_name(tmp_path: Path) -> None:
    path = tmp_path / "w"
    path.write_bytes(b"what")
    assert leave_aside(path) == tmp_path / "w.refused"
    assert ((tmp_path / "w.refused").read_bytes(), path.exists()) == (b"what", False)


def test_what_is_refused_later_replaces_nothing(tmp_path: Path) -> None:
    names = []
    for content in (b"first", b"second", b"third"):
        (tmp_path / "w").write_bytes(content)
        aside = leave_aside(tmp_path / "w")
        names.append((aside.name, aside.read_bytes()))
    assert names == [("w.refused", b"first"), ("w.refused-2", b"second"), ("w.refused-3", b"third")]
    assert {path.name for path in tmp_path.iterdir()} == {name for name, _content in names}


def test_a_folder_that_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OSError, match="file"):
        opened(tmp_path / "file" / "w")


@pytest.mark.parametrize("way", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_one_that_unfolds_to_more_than_is_there_is_refused(tmp_path: Path, way: int) -> None:
    path = tmp_path / "w"
    written(path)
    with zipfile.ZipFile(path) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", way) as archive:
        for name, content in contents.items():
            archive.writestr(name, content + b" " * 4_000_000 if name == "manifest.json" else content)
    with pytest.raises(CheckpointRefused, match=r"manifest\.json is compressed"):
        list(read(path, SETTINGS, NOW, 3600))


def test_a_part_with_more_symbols_than_any_has_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path / "w")
    monkeypatch.setattr(checkpoint, "MOST_PART_SYMBOLS", 1)
    with pytest.raises(CheckpointRefused, match="more than 1 symbols"):
        list(read(tmp_path / "w", SETTINGS, NOW, 3600))


class Pickled:
    """What is unpickled runs what it names."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (print, ("it ran",))


def test_an_array_that_holds_a_program_is_refused_and_does_not_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written(tmp_path / "w")
    content = io.BytesIO()
    np.lib.format.write_array(content, np.array([Pickled()], dtype=object), allow_pickle=True)
    rewritten(tmp_path / "w", **{"0/price.npy": lambda _content: content.getvalue()})
    with pytest.raises(CheckpointRefused, match="pickle"):
        list(read(tmp_path / "w", SETTINGS, NOW, 3600))
    assert capsys.readouterr().out == ""
