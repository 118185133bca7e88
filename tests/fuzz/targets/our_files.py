"""Files of our own that somebody may have changed: checkpoints, exports, records. The first line says which."""

import io
import random
import shutil
import tempfile
import weakref
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

from tests.fuzz.mutation import of_json
from tests.fuzz.target import Run, Target

CHECKPOINT, VERSIONS, DUMP, MANIFEST, CHAIN, AHEAD = (
    b"checkpoint",
    b"versions",
    b"dump",
    b"manifest",
    b"chain",
    b"ahead",
)
SETTINGS = {"window": 50, "tick_seconds": 1.0, "shard": "0/1"}
NOW = 1_795_694_400.0


def _prepare() -> Run:
    from cottage.errors import CottageError
    from cottage.record import checkpoints, manifest, write_ahead
    from deploy.runbook import dump
    from services.feynman import checkpoint

    folder = Path(tempfile.mkdtemp(prefix="cottage-fuzz-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
    path = folder / "file"

    def checkpoint_of(data: bytes) -> str:
        path.write_bytes(data)
        for _part in checkpoint.read(path, SETTINGS, NOW, 300.0):
            pass
        return "taken"

    def versions_of(data: bytes) -> str:
        path.write_bytes(data)
        try:
            checkpoints.versions(path)
        except ValueError:
            return "refused"
        return "taken"

    def chain_of(data: bytes) -> str:
        (folder / manifest.CHAIN).write_bytes(data)
        for _each in manifest.following(folder, manifest.Manifest()):
            pass
        return "taken"

    def ahead_of(data: bytes) -> str:
        path.write_bytes(data)
        batches = 0
        for batch in write_ahead.whole_batches(write_ahead.mapped(path)):
            batches += 1
            batch.rows.validate()
        return f"taken {min(batches, 2)}"

    readers: dict[bytes, Callable[[bytes], object]] = {
        CHECKPOINT: checkpoint_of,
        VERSIONS: versions_of,
        DUMP: lambda data: dump.check(io.BytesIO(data)),
        MANIFEST: manifest.Manifest.from_bytes,
        CHAIN: chain_of,
        AHEAD: ahead_of,
    }

    def run(data: bytes) -> str:
        kind, _, content = data.partition(b"\n")
        if kind not in readers:
            return "no kind"
        try:
            told = readers[kind](content)
            return f"{kind.decode()} {told if isinstance(told, str) else 'taken'}"
        except CottageError as error:
            if not str(error):
                raise AssertionError("no words for people") from error
            return f"{kind.decode()} {type(error).__name__}"

    weakref.finalize(run, shutil.rmtree, folder, ignore_errors=True)
    return run


def _seeds() -> Iterable[bytes]:
    import orjson

    from cottage.record import manifest
    from deploy.runbook import dump
    from tests.services.feynman.test_checkpoint import written

    path = Path(__file__).parents[2] / "services" / "feynman"
    for number in range(1, 5):
        yield CHECKPOINT + b"\n" + (path / f"checkpoint-version-{number}.npz").read_bytes()
    with tempfile.TemporaryDirectory() as name:
        written(Path(name) / "c.npz", SETTINGS, NOW - 10)
        content = (Path(name) / "c.npz").read_bytes()
        yield CHECKPOINT + b"\n" + content
        yield VERSIONS + b"\n" + content
    into = io.BytesIO()
    dump.write([(1, dump.encode("SET", "a", "b")), (1, dump.encode("HSET", "c", "d", "e"))], into)
    yield DUMP + b"\n" + into.getvalue()
    file = {"path": "samples/date=2026-11-26/14.parquet", "table": "samples", "hour": 498804, "rows": 5, "bytes": 7}
    file |= {"recorded": [1, 2], "at": None, "written": [1, 2], "sources": [["live", 1]], "sha256": "0" * 64}
    file |= {"digest": "ab", "archived": None}
    head = {"before": manifest.NO_ENTRY, "at": "2026-11-26T12:00:00Z", "why": "closed"}
    line = orjson.dumps({"number": 1, **head, "added": [file], "rolled": 1})
    yield CHAIN + b"\n" + line + b"\n"
    yield MANIFEST + b"\n" + manifest.Manifest().after(line).to_bytes()
    import pyarrow

    from cottage.record.arrow_schema import arrow_schema

    schema = arrow_schema("samples")
    sink = io.BytesIO()
    with pyarrow.ipc.new_stream(sink, schema) as stream:
        batch = pyarrow.RecordBatch.from_pylist([{}], schema=schema)
        stream.write_batch(batch, custom_metadata={"digest": "ab"})
    yield AHEAD + b"\n" + sink.getvalue()


def mutate(data: bytes, source: random.Random) -> bytes:
    kind, _, content = data.partition(b"\n")
    if kind in (CHECKPOINT, VERSIONS):
        content = _of_zip(content, source)
    elif kind in (MANIFEST, CHAIN):
        content = of_json(content, source) + b"\n"
    return kind + b"\n" + content


def _of_zip(content: bytes, source: random.Random) -> bytes:
    """One member changed, the checksums right."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
    except Exception:  # noqa: BLE001 - any fault of a file that was changed before
        return content
    if not members:
        return content
    name = source.choice(list(members))
    if name.endswith(".json"):
        members[name] = of_json(members[name], source)
    elif source.random() < 0.2:
        del members[name]
    else:
        at = source.randrange(len(members[name]) + 1)
        members[name] = (
            members[name][:at]
            + source.randbytes(source.choice((1, 2, 8)))
            + members[name][at + source.choice((0, 1, 8)) :]
        )
    into = io.BytesIO()
    with zipfile.ZipFile(
        into, "w", source.choice((zipfile.ZIP_STORED, zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
    ) as archive:
        for each, value in members.items():
            archive.writestr(each, value)
    return into.getvalue()


TARGET = Target(
    name="our_files",
    about="checkpoints, exports, and the files of a record",
    prepare=_prepare,
    seeds=_seeds,
    covered=("cottage.record", "deploy.runbook", "services.feynman"),
    words=(
        *(
            b"*3\r\n$3\r\nSET\r\n",
            b"$1\r\na\r\n",
            b"ECHO",
            b"FLUSHALL",
            b"EVAL",
            b"\r\n",
            b'"path"',
            b"../..",
            b"/etc/passwd",
        ),
    ),
    mutate=mutate,
    looked_at_every=1,
    longest=256 * 1024,
    seconds=20.0,
)
