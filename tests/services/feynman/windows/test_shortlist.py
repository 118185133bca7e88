import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from services.feynman.windows.shortlist import Shortlist


def listed(shortlist: Shortlist, row: int) -> list[float]:
    _, values = shortlist.values(np.array([row]))
    return sorted(values.tolist())


@settings(deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 5), st.booleans()), max_size=60))
def test_it_holds_what_was_put_on_and_not_taken_off(changes: list[tuple[int, int, bool]]) -> None:
    shortlist = Shortlist(4, 3)
    expected: list[dict[int, float]] = [{}, {}, {}]
    for number, (row, column, put) in enumerate(changes):
        rows, columns = np.array([row]), np.array([column])
        if not put:
            shortlist.remove(rows, columns)
            expected[row].pop(column, None)
        elif column not in expected[row]:
            room = shortlist.add(rows, columns, np.array([float(number)]))
            assert room.tolist() == [len(expected[row]) < 4]
            if room[0]:
                expected[row][column] = float(number)
    for row in range(3):
        assert listed(shortlist, row) == sorted(expected[row].values())


def test_several_rows_at_once() -> None:
    shortlist = Shortlist(3, 5)
    chosen = np.array([[True, False, True, False], [True, True, True, True], [False, False, False, False]])
    values = np.arange(12.0).reshape(3, 4)
    # Four are too many for the second of them.
    assert shortlist.choose(np.array([4, 0, 2]), chosen, values).tolist() == [True, False, True]
    assert [listed(shortlist, row) for row in (4, 0, 2)] == [[0, 2], [], []]
    shortlist.add(np.array([4, 2]), np.array([3, 1]), np.array([7.0, 8.0]))
    shortlist.remove(np.array([2, 4]), np.array([1, 0]))
    row, value = shortlist.values(np.array([2, 4]))
    assert (row.tolist(), sorted(value.tolist())) == ([1, 1], [2, 7])


def test_choosing_again_forgets_what_was_chosen_before() -> None:
    shortlist = Shortlist(3, 1)
    rows, values = np.array([0]), np.array([[1.0, 2.0, 3.0]])
    shortlist.choose(rows, np.array([[True, True, True]]), values)
    shortlist.choose(rows, np.array([[False, True, False]]), values)
    assert listed(shortlist, 0) == [2]
    shortlist.remove(rows, np.array([2]))
    assert listed(shortlist, 0) == [2]


def test_it_grows() -> None:
    shortlist = Shortlist(2, 1)
    shortlist.add(np.array([0]), np.array([5]), np.array([1.5]))
    shortlist.grow(3)
    shortlist.add(np.array([2]), np.array([5]), np.array([2.5]))
    assert [listed(shortlist, row) for row in range(3)] == [[1.5], [], [2.5]]
