import numpy as np

from services.feynman.windows.bins import histogram


def test_histograms_are_counted_row_by_row() -> None:
    bins = np.array([[0, 0, 2], [1, 1, 1]])
    assert histogram(bins, 3).tolist() == [[2, 0, 1], [0, 3, 0]]
    weight = np.array([[0.5, 1, 2], [1, 2, 3]])
    assert histogram(bins, 3, weight).tolist() == [[1.5, 0, 2], [0, 6, 0]]
