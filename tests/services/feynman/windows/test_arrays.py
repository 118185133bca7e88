import numpy as np

from services.feynman.windows.arrays import CHUNK_ELEMENTS, chunks, grown


def test_chunks_cover_each_row_once() -> None:
    for number, width in ((0, 10), (1, 1000), (5000, 1000), (3, 10 * CHUNK_ELEMENTS), (7, 0)):
        covered = [row for part in chunks(number, width) for row in range(number)[part]]
        assert covered == list(range(number))


def test_grown_keeps_what_there_was() -> None:
    larger = grown(np.array([[1, 2], [3, 4]], np.int32), 3)
    assert larger.tolist() == [[1, 2], [3, 4], [0, 0]]
    assert larger.dtype == np.int32
