"""Recordings of markets: whatever file somebody downloads, or has exchanged, and plays.

An input is a file. Those that begin with `pack:` are packed first, as the names say: `pack:gz,zst` and a line end, so
that what is within is changed and not only what is around it.
"""

import bz2
import gzip
import io
import lzma
import random
import shutil
import tempfile
import weakref
import zipfile
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path

from tests.fuzz.mutation import of_json, of_lines
from tests.fuzz.target import Run, Target

PACK = b"pack:"
MOST_ROWS = 2_000


def _zip(data: bytes) -> bytes:
    into = io.BytesIO()
    with zipfile.ZipFile(into, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, part in enumerate(data.split(b"\n---\n")):
            archive.writestr(f"trades-{number}.csv", part)
    return into.getvalue()


def _zst(data: bytes) -> bytes:
    import zstandard

    return zstandard.compress(data)


PACKERS: dict[bytes, Callable[[bytes], bytes]] = {
    b"gz": gzip.compress, b"zst": _zst, b"zip": _zip, b"bz2": bz2.compress, b"xz": lzma.compress
}  # fmt: skip


def packed(data: bytes) -> bytes:
    head, end, rest = data.partition(b"\n")
    if not (end and head.startswith(PACK)):
        return data
    for name in head.removeprefix(PACK).split(b",")[:3]:
        rest = PACKERS.get(name, bytes)(rest)
    return rest


def _prepare() -> Run:
    from cottage.errors import SourceError, UnusableSource
    from cottage.files.options import ReadOptions
    from cottage.files.recording import Recording
    from cottage.files.report import inspect, refusal

    folder = Path(tempfile.mkdtemp(prefix="cottage-fuzz-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
    path = folder / "recording"

    def run(data: bytes) -> str:
        path.write_bytes(packed(data))
        outcome = "taken"
        try:
            recording = Recording(path)
            try:
                rows = sum(1 for _ in islice(recording, MOST_ROWS))
            finally:
                recording.close()
            outcome = "taken" if rows else "no row"
            if len(data) % 4 == 0:
                inspect(path, ReadOptions()).lines()
        except SourceError as error:
            if not str(error) or "\n" in str(error) or len(str(error)) > 2_000:
                raise AssertionError(f"no words for people: {error!r}") from error
            outcome = f"{type(error).__name__} {' '.join(filter(str.isalpha, str(error).split()[1:5]))}"
            if len(data) % 4 == 0 and isinstance(error, UnusableSource):
                refusal(path, ReadOptions(), error)
        return outcome

    weakref.finalize(run, shutil.rmtree, folder, ignore_errors=True)
    return run


def _seeds() -> Iterable[bytes]:
    import pyarrow
    from pyarrow import feather, parquet

    rows = [(f"2026-11-26T12:00:{second:02}Z", "SPY", 100 + second / 4, second) for second in range(60)]
    csv = b"timestamp,symbol,price,size\n" + b"".join(
        b"%b,%b,%b,%d\n" % (time.encode(), symbol.encode(), str(price).encode(), size)
        for time, symbol, price, size in rows
    )
    yield csv
    yield csv.replace(b",", b";").replace(b".", b",")
    yield csv.replace(b",", b"\t")
    yield csv.decode().encode("utf-16")
    yield b"date,open,high,low,close,volume\n" + b"".join(
        b"2026-01-%02d,%d,%d,%d,%d,1000\n" % (day, day + 5, day + 9, day + 1, day + 6) for day in range(1, 29)
    )
    yield b"Date,AAPL,MSFT,SPY\n" + b"".join(
        b"2026-01-%02d,%d.5,%d.5,%d.25\n" % (d, d, d + 1, d + 2) for d in range(1, 29)
    )
    yield b"".join(
        b'{"T":"t","S":"SPY","p":%d.5,"s":2,"t":"2026-11-26T12:00:%02dZ"}\n' % (s + 50, s) for s in range(60)
    )
    chart = b'"timestamp":[1795694400,1795694460,1795694520],"close":[1.5,1.6,1.7],"volume":[5,6,7]'
    yield b'{"chart":{"result":[{"meta":{"symbol":"SPY"},%b}]}}' % chart
    yield (
        b"["
        + b",".join(b'[%d,"1.5","1.7","1.4","1.6","100"]' % (1795694400000 + 60000 * i) for i in range(20))
        + b"]"
    )
    for name in PACKERS:
        yield PACK + name + b"\n" + csv
    yield PACK + b"zip\n" + csv + b"\n---\n" + csv
    yield PACK + b"gz,gz\n" + csv
    table = pyarrow.table(
        {name: [row[place] for row in rows] for place, name in enumerate(("timestamp", "symbol", "price", "size"))}
    )
    for compression in ("none", "zstd"):
        sink = io.BytesIO()
        parquet.write_table(table, sink, compression=compression, use_dictionary=compression == "none")
        yield sink.getvalue()
    for compression in ("uncompressed", "zstd"):
        sink = io.BytesIO()
        feather.write_feather(table, sink, compression=compression)
        yield sink.getvalue()
    sink = io.BytesIO()
    with pyarrow.ipc.new_stream(sink, table.schema, options=pyarrow.ipc.IpcWriteOptions(compression="lz4")) as stream:
        stream.write_table(table)
    yield sink.getvalue()


def mutate(data: bytes, source: random.Random) -> bytes:
    head, end, rest = data.partition(b"\n")
    if end and head.startswith(PACK):
        if source.random() < 0.3:  # change what is packed, not what is to be packed
            return packed(data)
        return head + end + mutate(rest, source)
    if data[:1] in (b"{", b"["):
        if source.random() < 0.5 and b"\n" in data:
            lines = data.split(b"\n")
            at = source.randrange(len(lines))
            lines[at] = of_json(lines[at], source)
            return b"\n".join(lines)
        return of_json(data, source)
    if data[:4] in (b"PAR1", b"ARRO", b"\xff\xff\xff\xff", b"PK\x03\x04"):
        return data
    return of_lines(data, source)


TARGET = Target(
    name="market_files",
    about="recordings of markets, of any form, compressed or not",
    prepare=_prepare,
    seeds=_seeds,
    covered=("cottage.files",),
    words=(
        *(b"pack:gz\n", b"pack:zip\n", b"pack:gz,gz\n", b"timestamp", b"symbol", b"price", b"size", b"bid", b"ask"),
        *(b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd", b"PK\x03\x04", b"PK\x05\x06", b"PAR1", b"ARROW1", b"\n---\n"),
        *(b'"', b"\xff\xfe", b"\xef\xbb\xbf", b"2026-11-26", b"America/New_York", b"Close", b"volume", b"\r\n"),
    ),
    mutate=mutate,
    looked_at_every=1,
    seconds=30.0,
    most_bytes=256 * 1024 * 1024,
)
