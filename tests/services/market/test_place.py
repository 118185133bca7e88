import pytest

from services.market.place import place

HOUR = 3_600_000_000
OPEN = 1_381_138_200_000_000  # 2013-10-07T09:30:00Z


@pytest.mark.parametrize(
    ("elapsed", "share", "told"),
    [
        (3.01863 * HOUR, 0.4644, "12:31:07 of 6 h 30, 46 %"),
        (0.5 * HOUR, 0.75, "10:00:00 of 40 min, 75 %"),
        (10_000_000, 0.2, "09:30:10 of 50 s, 20 %"),
        (60 * HOUR, 0.5, "2013-10-09 21:30:00 of 5 d 0 h, 50 %"),
        (0, 0.0, "09:30:00 of 0 s, 0 %"),
    ],
)
def test_a_place_has_its_time_the_length_of_all_and_the_share(elapsed: float, share: float, told: str) -> None:
    assert place(OPEN, OPEN + round(elapsed), share) == told
