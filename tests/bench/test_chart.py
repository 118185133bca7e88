import xml.etree.ElementTree as ET
from collections.abc import Callable

import pytest

from tests.bench.chart import Axis, Line, chart

SVG = "{http://www.w3.org/2000/svg}"


def parsed(*lines: Line, x: Axis | None = None, y: Axis | None = None) -> ET.Element:
    return ET.fromstring(chart("Cost & time", x or Axis("x"), y or Axis("y"), lines))


def texts(svg: ET.Element) -> list[str]:
    return [str(text.text) for text in svg.iter(f"{SVG}text")]


def places(svg: ET.Element) -> list[tuple[float, float]]:
    return [(float(c.attrib["cx"]), float(c.attrib["cy"])) for c in svg.iter(f"{SVG}circle")]


def test_points_stand_where_the_axes_say() -> None:
    svg = parsed(Line("a", [(0, 0), (5, 10), (10, 20)]))
    (x0, y0), (x1, y1), (x2, y2) = places(svg)
    assert (x1 - x0, y0 - y1) == pytest.approx((x2 - x1, y1 - y2), abs=0.2)
    assert x2 > x0
    assert y2 < y0  # upwards
    assert {"Cost & time", "x", "y", "a", "0", "10", "20"} <= set(texts(svg))


def test_a_logarithmic_axis_has_powers_of_ten() -> None:
    svg = parsed(Line("a", [(10, 1), (100, 10), (1000, 100)]), x=Axis("x", log=True), y=Axis("y", log=True))
    (x0, y0), (x1, y1), (x2, y2) = places(svg)
    assert (x1 - x0, y0 - y1) == pytest.approx((x2 - x1, y1 - y2), abs=0.2)
    assert {"1", "10", "100", "1,000"} <= set(texts(svg))


def test_error_bars_and_one_point_alone_stay_inside() -> None:
    svg = parsed(Line("a", [(1, 5)], errors=[2]), Line("b", [(1, 5)], dashed=True))
    assert all(0 < x < 720 and 0 < y < 420 for x, y in places(svg))
    assert sum("V" in path.attrib["d"] and "stroke-width" in path.attrib for path in svg.iter(f"{SVG}path")) == 1


@pytest.mark.parametrize(
    ("draw", "reason"),
    [
        (lambda: parsed(), "nothing to draw"),
        (lambda: parsed(Line("a", [(0, 1)]), x=Axis("x", log=True)), "a logarithmic axis cannot show 0"),
    ],
)
def test_what_cannot_be_drawn_is_refused(draw: Callable[[], object], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        draw()


def test_names_that_do_not_fit_beside_each_other_stand_in_two_rows() -> None:
    svg = parsed(*(Line(f"a rather long name, number {i}", [(0, 0), (1, i)]) for i in range(4)))
    found = [text for text in svg.iter(f"{SVG}text") if str(text.text).startswith("a rather")]
    assert len({text.attrib["y"] for text in found}) == 2
    assert all(float(text.attrib["x"]) + 7.2 * len(str(text.text)) <= 720 for text in found)
