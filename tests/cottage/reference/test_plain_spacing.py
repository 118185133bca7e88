"""How long a step is, followed from the beginning, and from the middle on."""

import random

import pytest

from cottage.reference.plain_spacing import YOUNG, Spacing, follow_steps, spacings_of


def market(seed: int, number: int = 600) -> list[tuple[float, float | None]]:
    """Distances between samples whose usual one changes now and then; of every fourth market the bars say how long
    they last."""
    draw, usual = random.Random(seed), 1.0
    found: list[tuple[float, float | None]] = []
    for place in range(number):
        if place % 120 == 60:
            usual = draw.choice([1.0, 4.0, 10.0, 60.0])
        seconds = draw.choice([usual, 2 * usual, draw.expovariate(1 / usual)])
        found.append((seconds, usual if seed % 4 == 3 and place > 50 else None))
    return found


@pytest.mark.parametrize("seed", range(8))
def test_from_the_middle_on_the_steps_are_those_from_the_beginning(seed: int) -> None:
    distances = market(seed)
    steps, _odd = follow_steps(distances, [None] * len(distances), [Spacing()], 0, slack=0.0)
    assert len(set(steps)) > 1
    for middle in (100, 333):
        known = steps[middle:]
        found = follow_steps(distances[middle:], known, spacings_of(steps[middle - 1]), YOUNG)
        assert found == (known, [])
        some = [step if place % 5 == 0 else None for place, step in enumerate(known)]
        assert follow_steps(distances[middle:], some, spacings_of(steps[middle - 1]), YOUNG).contradicted == []


def test_a_step_that_does_not_follow_is_named_and_the_others_go_on_from_it() -> None:
    distances: list[tuple[float, float | None]] = [(1.0, None)] * 50
    recorded: list[float | None] = [1.0] * 20 + [7.0] + [None] * 29
    found = follow_steps(distances, recorded, [Spacing()], 0)
    assert found.contradicted == [20]
    assert found.steps[19:21] == [1.0, 7.0]


def test_a_distance_that_is_the_median_may_be_either_side_of_it() -> None:
    assert len(Spacing(4.0, 2.0).possible(4.0004, False, None, 0.001)) == 2
    assert len(Spacing(4.0, 2.0).possible(4.0004, False, None, 0.0)) == 1


def test_a_bar_says_how_long_it_lasts() -> None:
    assert Spacing().possible(3.0, True, 60.0, 0.0) == [Spacing(120.0, 60.0)]
    assert Spacing().possible(3.0, True, 1e12, 0.0) == [Spacing(2e9, 1e9)]
