"""`python -m tests.cottage.record.endless_recorder FOLDER`: records until it is killed, and says what is on the disk.

It goes on where the record ends, a row of two symbols a seq. All steps of the writer come often: what a child process
does otherwise is done by this one. After each flush it prints the newest seq that is on the disk.
"""

import random
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

from cottage.record.compaction import sort_table
from cottage.record.record import Record
from cottage.record.record_writer import RecordWriter
from tests.cottage.record.rows_of_samples import BEGIN, samples

PER_FLUSH = 50


def sort_here(inputs: Mapping[str, Sequence[Path]], folder: Path) -> list[dict[str, Any]]:
    folder.mkdir(parents=True)
    return [sort_table(table, paths, folder) for table, paths in inputs.items()]


def newest(folder: Path) -> int:
    return max(Record(folder).scan("samples", ["seq"])["seq"].to_pylist(), default=0)


def main() -> None:
    folder = Path(sys.argv[1])
    with mock.patch("cottage.record.record_writer.sort_in_child", sort_here):
        record = RecordWriter(folder, clock=lambda: BEGIN / 1e6 + 12 * 3600, grace=0.01)
        seq = newest(folder)
        print(f"from {seq}", flush=True)
        while True:
            for _ in range(random.randint(1, 4)):
                record.append("samples", samples(seqs=range(seq + 1, seq + 1 + PER_FLUSH)))
                seq += PER_FLUSH
                assert record.flush().rows == 2 * PER_FLUSH
                print(seq, flush=True)
            assert record.roll()
            if random.random() < 0.4:
                assert record.compact(unfinished=random.random() < 0.5)


if __name__ == "__main__":
    main()
