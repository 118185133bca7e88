"""A recorder that is killed at any moment, or gets no disk: what was closed is there, once, and it goes on."""

import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from unittest import mock

import pytest

from cottage.record.chain_recovery import recovered
from cottage.record.manifest import RecordDamaged, read_manifest
from cottage.record.record import Record
from cottage.record.record_writer import RecordWriter
from cottage.record.verification import verify
from cottage.record.write_ahead import ahead_files
from tests.cottage.record.endless_recorder import PER_FLUSH, sort_here
from tests.cottage.record.rows_of_samples import BEGIN, keys_of, samples
from tests.support import ROOT

HOUR_SECONDS = 3600


def writer(folder: Path, seconds: float = BEGIN / 1e6) -> RecordWriter:
    return RecordWriter(folder, clock=lambda: seconds)


def keys(folder: Path) -> list[tuple[str, int]]:
    return keys_of(Record(folder).scan("samples", ["symbol", "seq"]))


def expected(until: int, since: int = 1) -> list[tuple[str, int]]:
    return [(symbol, seq) for symbol in ("QQQ", "SPY") for seq in range(since, until + 1)]


def killed_after(folder: Path, seconds: float) -> int:
    """Record until a SIGKILL some time after the first flush; returns the newest seq that was said to be on disk."""
    command = [sys.executable, "-m", "tests.cottage.record.endless_recorder", str(folder)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        said = [process.stdout.readline(), process.stdout.readline()]
        time.sleep(seconds)
        process.kill()
        said += process.stdout.readlines()
        assert process.wait() == -signal.SIGKILL, process.stderr.read()
    return int([line for line in said if line.endswith(b"\n")][-1])


def kill_often(folder: Path, times: int, seed: int) -> None:
    chance = random.Random(seed)
    steps = set()
    for _ in range(times):
        said = killed_after(folder, chance.uniform(0, 0.4))
        found = keys(folder)  # as a reader finds it before the next recorder comes
        newest = len(found) // 2
        assert found == expected(newest)
        assert said <= newest <= said + PER_FLUSH
        steps |= {path.name for path in folder.iterdir()}
    with writer(folder):
        assert keys(folder) == expected(newest)
        assert verify(folder) == []
    assert keys(folder) == expected(newest)
    assert verify(folder) == []
    assert "staging" in steps  # some were killed within a job


def test_a_recorder_killed_at_any_moment(tmp_path: Path) -> None:
    kill_often(tmp_path, 15, 0)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_a_recorder_killed_two_hundred_times(tmp_path: Path, seed: int) -> None:
    """In four parts, since a test may take 300 s on a busy machine."""
    kill_often(tmp_path, 50, seed)


class KilledError(BaseException):
    """Stands for a SIGKILL: nothing catches it."""


@pytest.mark.parametrize(
    "place",
    ["sort_in_child", "place_files", "RecordChain.append", "RecordChain.save"],
)
@pytest.mark.parametrize("step", ["roll", "compact", "expire"])
def test_a_recorder_that_ends_at_this_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, step: str
) -> None:
    """Before and after each thing that a change of files is made of."""
    monkeypatch.setattr("cottage.record.record_writer.sort_in_child", sort_here)
    for after in (False, True):
        folder = tmp_path / str(after)
        record = writer(folder, BEGIN / 1e6 + 2 * HOUR_SECONDS)
        record.append("samples", samples(seqs=(1, 2)))
        record.roll()
        if step == "expire":
            record.compact()
        record.append("samples", samples(seqs=(3,)))
        record.flush()
        with killing(place, after=after) as reached:
            with suppress(KilledError):
                record.expire(max_bytes=0) if step == "expire" else getattr(record, step)()
            reached()
        os.close(record._lock)  # as the kernel does
        left = keys(folder)
        assert left == (expected(3) if step != "expire" or len(left) == 6 else expected(3, since=3))
        assert len(list((folder / "samples").rglob("*.parquet"))) <= 1
        with writer(folder) as record:
            assert keys(folder) == left or step == "expire"
            left = keys(folder)
            assert verify(folder) == []
        assert keys(folder) == left
        assert verify(folder) == []


@contextmanager
def killing(place: str, *, after: bool) -> Iterator[Callable[[], None]]:
    """Ends the writer before or after a function of record_writer is called."""
    import cottage.record.record_writer as module
    from cottage.record.manifest import RecordChain

    owner, name = (RecordChain, place.partition(".")[2]) if "." in place else (module, place)
    original = getattr(owner, name)
    calls = 0

    def stand_in(*args: object, **named: object) -> object:
        nonlocal calls
        calls += 1
        if not after:
            raise KilledError
        original(*args, **named)
        raise KilledError

    def reached() -> None:
        assert calls == 1 or place == "sort_in_child"

    with mock.patch.object(owner, name, stand_in):
        yield reached


def test_a_torn_end_is_left_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    record = writer(tmp_path)
    for seq in (1, 2, 3):
        record.append("samples", samples(seqs=(seq,)))
        record.flush()
    os.close(record._lock)
    (file,) = ahead_files(tmp_path, 0)
    whole = file.path.read_bytes()
    for cut in (1, 100, 1500):
        file.path.write_bytes(whole[:-cut])
        assert keys(tmp_path) == expected(2)
    # The length is there and the content is not, as a power cut may leave it.
    file.path.write_bytes(whole[: whole.rindex(b"SPY")] + bytes(len(whole) - whole.rindex(b"SPY")))
    with writer(tmp_path) as record:
        record.roll()
        assert keys(tmp_path) == expected(2)
    assert "record_torn_end path='00000001.samples.arrow'" in caplog.text
    assert verify(tmp_path) == []


def test_a_manifest_that_is_older_than_the_chain_is_mended(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with writer(tmp_path) as record:
        older = (tmp_path / "manifest.json").read_bytes()
        record.append("samples", samples(seqs=(1,)))
    newest = read_manifest(tmp_path)
    for content in (older, b"{", None):
        (tmp_path / "manifest.json").unlink()
        if content is not None:
            (tmp_path / "manifest.json").write_bytes(content)
        assert recovered(tmp_path, "2025-11-26T13:00:00Z").manifest == newest == read_manifest(tmp_path)


def test_a_chain_that_is_older_than_the_manifest_goes_on_and_says_so(tmp_path: Path) -> None:
    with writer(tmp_path) as record:
        record.append("samples", samples(seqs=(1,)))
    lines = (tmp_path / "chain.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "chain.jsonl").write_bytes(b"".join(lines[:-1]) + lines[-1][:50])
    with writer(tmp_path) as record:
        record.append("samples", samples(seqs=(2,)))
    assert keys(tmp_path) == expected(2)
    assert [(each.kind, each.where) for each in verify(tmp_path)] == [("chain broken", f"entry {len(lines)}")]


@pytest.mark.parametrize(
    "foreign",
    [b"{}\n", b"not JSON\n", b"doubled", b'{"number":4,"before":"HEAD","added":[{"recorded":7}]}\n{"number":5}\n'],
)
def test_what_is_foreign_at_the_end_of_the_chain_is_left_aside(
    tmp_path: Path, foreign: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with writer(tmp_path) as record:
        record.append("samples", samples(seqs=(1,)))
    manifest, chain = read_manifest(tmp_path), tmp_path / "chain.jsonl"
    whole = chain.read_bytes()
    last = whole.splitlines(keepends=True)[-1]
    foreign = foreign.replace(b"doubled", last).replace(b"HEAD", manifest.head.encode())
    chain.write_bytes(whole + foreign)
    assert [(each.kind, each.where) for each in verify(tmp_path)] == [
        ("chain broken", f"entry {manifest.number + 1}")
    ]
    with writer(tmp_path) as record:
        assert (tmp_path / f"chain-left-aside-{manifest.number}.jsonl").read_bytes() == foreign
        assert chain.read_bytes() == whole
    chain.write_bytes(whole + foreign)
    with writer(tmp_path) as record:
        assert (tmp_path / f"chain-left-aside-{manifest.number}-2.jsonl").read_bytes() == foreign
        record.append("samples", samples(seqs=(2,)))
    assert "record_chain_left_aside" in caplog.text
    assert keys(tmp_path) == expected(2)
    assert verify(tmp_path) == []


def test_a_broken_chain_without_a_manifest_is_left_as_it_is(tmp_path: Path) -> None:
    """Nobody knows which of its files are alive, so none is removed."""
    with writer(tmp_path) as record:
        record.append("samples", samples(seqs=(1,)))
    (tmp_path / "manifest.json").unlink()
    chain = tmp_path / "chain.jsonl"
    chain.write_bytes(chain.read_bytes() + b"{}\n")
    content = chain.read_bytes()
    with pytest.raises(RecordDamaged, match=r"entry \d does not follow .* and no manifest.json says what is alive"):
        writer(tmp_path)
    assert chain.read_bytes() == content


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """No file of this process and its children may become larger than this: what a full disk is to a writer."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_rows_wait_for_a_disk_that_is_full(tmp_path: Path) -> None:
    with writer(tmp_path) as record:
        record.append("samples", samples(seqs=range(1, 11)))
        assert record.flush().rows == 20
        (file,) = ahead_files(tmp_path, 0)
        for seq in (11, 12):
            record.append("samples", samples(seqs=(seq,)))
            with largest_file(file.path.stat().st_size + 1000):
                flushed = record.flush()
            assert (flushed.rows, flushed.waiting) == (0, 2 * (seq - 10))
            assert "File too large" in str(flushed.error)
            assert keys(tmp_path) == expected(10)
        assert record.flush().rows == 4
        assert keys(tmp_path) == expected(12)
    assert keys(tmp_path) == expected(12)


def test_what_is_given_up_is_told(tmp_path: Path) -> None:
    with RecordWriter(tmp_path, clock=lambda: BEGIN / 1e6, most_waiting=2000) as record:
        lost = []
        for seq in range(1, 8):
            record.append("samples", samples(seqs=(seq,)))
            with largest_file(10):
                flushed = record.flush()
            lost += [row for batch in flushed.lost.get("samples", ()) for row in keys_of(batch)]
        assert flushed.waiting > 0
        record.flush()
    assert 0 < len(lost) < 14
    assert sorted(keys(tmp_path) + lost) == expected(7)


@pytest.mark.parametrize("size", [10, 3000])
def test_files_wait_for_a_disk_that_is_full(tmp_path: Path, size: int) -> None:
    with writer(tmp_path) as record:
        record.append("samples", samples(seqs=range(1, 11)))
        record.flush()
        with largest_file(size):
            assert not record.roll()
        assert keys(tmp_path) == expected(10)
        assert record.roll()
        with largest_file(size):
            assert not record.compact(unfinished=True)
        assert keys(tmp_path) == expected(10)
        assert record.compact(unfinished=True)
        assert keys(tmp_path) == expected(10)
    assert verify(tmp_path) == []


def test_a_compaction_that_is_killed_is_done_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with writer(tmp_path) as record:
        record.append("samples", samples(seqs=range(1, 11)))
        assert record.roll()
        with mock.patch("sys.executable", str(ROOT / "tests/cottage/record/killed_child.sh")):
            assert not record.compact(unfinished=True)
        assert "the child process ended with -9" in caplog.text
        assert keys(tmp_path) == expected(10)
        assert record.compact(unfinished=True)
    assert keys(tmp_path) == expected(10)
    assert verify(tmp_path) == []


def test_a_child_ends_with_its_recorder(tmp_path: Path) -> None:
    """Its standard input ends then, whatever it does."""
    child = subprocess.Popen(
        [sys.executable, "-m", "cottage.record.compaction"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with child:
        os.mkfifo(tmp_path / "never.parquet")  # opening it blocks
        assert child.stdin is not None
        child.stdin.write(
            b'{"inputs":{"samples":["%s"]},"folder":"%s"}\n' % (bytes(tmp_path / "never.parquet"), bytes(tmp_path))
        )
        child.stdin.flush()
        time.sleep(0.1)
        assert child.poll() is None
        child.stdin.close()
        assert child.wait(30) == 1
