import numpy as np

from services.feynman.arrays import CHUNK_ELEMENTS, chunks, grown, histogram, ratio


def test_chunks_cover_each_row_once() -> None:
    for number, width in ((0, 10), (1, 1000), (5000, 1000), (3, 10 * CHUNK_ELEMENTS), (7, 0)):
        covered = [row for part in chunks(number, width) for row in range(number)[part]]
        assert covered == list(range(number))


def test_grown_keeps_what_there_was() -> None:
    larger = grown(np.array([[1, 2], [3, 4]], np.int32), 3)
    assert larger.tolist() == [[1, 2], [3, 4], [0, 0]]
    assert larger.dtype == np.int32


def test_a_ratio_of_nothing_is_0() -> None:
    assert ratio(np.array([1.0, 0.0, 3.0]), np.array([0.0, 0.0, 2.0])).tolist() == [0, 0, 1.5]


def test_histograms_are_counted_row_by_row() -> None:
    bins = np.array([[0, 0, 2], [1, 1, 1]])
    assert histogram(bins, 3).tolist() == [[2, 0, 1], [0, 3, 0]]
    weight = np.array([[0.5, 1, 2], [1, 2, 3]])
    assert histogram(bins, 3, weight).tolist() == [[1.5, 0, 2], [0, 6, 0]]
