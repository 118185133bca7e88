"""Line charts as SVG, readable on a light and on a dark page."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 720, 420
LEFT, RIGHT, TOP, BOTTOM = 70, 24, 76, 56
COLOURS = ("#0969da", "#bc4c00", "#1a7f37", "#8250df", "#bf3989", "#6e7781")

STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1f2328 }
.title { font-size: 16px; font-weight: 600 }
.grid { stroke: #1f2328; stroke-opacity: .15 }
.page { fill: #ffffff }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .grid { stroke: #e6edf3; stroke-opacity: .2 }
  .page { fill: #0d1117 }
}
"""


@dataclass(frozen=True, slots=True)
class Line:
    name: str
    points: Sequence[tuple[float, float]]
    dashed: bool = False
    errors: Sequence[float] = ()
    """Half the height of each point's error bar."""


@dataclass(frozen=True, slots=True)
class Axis:
    label: str
    log: bool = False
    least: float | None = None
    most: float | None = None


def chart(title: str, x: Axis, y: Axis, lines: Sequence[Line]) -> str:
    """An SVG document. Raises ValueError where there is no point, or one that a logarithmic axis cannot show."""
    points = [point for line in lines for point in line.points]
    if not points:
        raise ValueError("nothing to draw")
    errors = [e for line in lines for e in (line.errors or [0.0] * len(line.points))]
    across, x_ticks = _scale(x, [px for px, _ in points], LEFT, WIDTH - RIGHT)
    tops = [py + e for (_, py), e in zip(points, errors, strict=True)]
    bottoms = [py if y.log else py - e for (_, py), e in zip(points, errors, strict=True)]
    up, y_ticks = _scale(y, tops + bottoms, HEIGHT - BOTTOM, TOP)

    parts = [f'<rect class="page" width="{WIDTH}" height="{HEIGHT}"/>']
    parts.append(f'<text class="title" x="{LEFT}" y="26">{escape(title)}</text>')
    for tick in x_ticks:
        parts.append(f'<path class="grid" d="M{across(tick):.1f} {TOP}V{HEIGHT - BOTTOM}"/>')
        parts.append(_text(across(tick), HEIGHT - BOTTOM + 20, f"{tick:,g}", "middle"))
    for tick in y_ticks:
        parts.append(f'<path class="grid" d="M{LEFT} {up(tick):.1f}H{WIDTH - RIGHT}"/>')
        parts.append(_text(LEFT - 8, up(tick) + 4, f"{tick:,g}", "end"))
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 12, x.label, "middle"))
    middle = (TOP + HEIGHT - BOTTOM) / 2
    parts.append(f'<g transform="rotate(-90 16 {middle})">{_text(16, middle, y.label, "middle")}</g>')
    left, below = float(LEFT), 46
    for index, line in enumerate(lines):
        colour = COLOURS[index % len(COLOURS)]
        parts += _drawn(line, colour, across, up)
        width = 28 + 7.2 * len(line.name)
        if left + width > WIDTH:
            left, below = float(LEFT), below + 18
        name = _text(left + 28, below + 4, line.name, "start")
        parts.append(f'<path d="M{left:.0f} {below}h22" {_stroke(line, colour)}/>{name}')
        left += width + 24
    body = "\n".join(parts)
    size = f'width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img"><style>{STYLE}</style>\n{body}\n</svg>\n'


def _drawn(line: Line, colour: str, across: Callable[[float], float], up: Callable[[float], float]) -> list[str]:
    path = "L".join(f"{across(px):.1f} {up(py):.1f}" for px, py in line.points)
    parts = [f'<path d="M{path}" {_stroke(line, colour)}/>']
    for px, py in line.points:
        parts.append(f'<circle cx="{across(px):.1f}" cy="{up(py):.1f}" r="3" fill="{colour}"/>')
    for (px, py), error in zip(line.points, line.errors, strict=False):
        ends = f"M{across(px):.1f} {up(py - error):.1f}V{up(py + error):.1f}"
        parts.append(f'<path d="{ends}" stroke="{colour}" stroke-width="1.5"/>')
    return parts


def _stroke(line: Line, colour: str) -> str:
    return f'fill="none" stroke="{colour}" stroke-width="2"' + (' stroke-dasharray="6 5"' if line.dashed else "")


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _scale(
    axis: Axis, values: Sequence[float], start: float, end: float
) -> tuple[Callable[[float], float], list[float]]:
    """From a value to its place in pixels, and where the ticks are."""
    least = min(values) if axis.least is None else axis.least
    most = max(values) if axis.most is None else axis.most
    if axis.log:
        if least <= 0:
            raise ValueError(f"a logarithmic axis cannot show {least}")
        low, high = math.floor(math.log10(least) + 1e-9), math.ceil(math.log10(most) - 1e-9)
        high = max(high, low + 1)
        ticks = [10.0**power for power in range(low, high + 1)]
        return lambda value: start + (math.log10(value) - low) / (high - low) * (end - start), ticks
    step = _step(most - least or 1.0)
    first = math.floor(least / step + 1e-9) * step
    last = max(math.ceil(most / step - 1e-9) * step, first + step)
    ticks = [round(first + i * step, 12) for i in range(round((last - first) / step) + 1)]
    return lambda value: start + (value - first) / (last - first) * (end - start), ticks


def _step(span: float) -> float:
    """Of 1, 2 or 5 times a power of ten, what parts the span into 4 to 10."""
    power = 10.0 ** math.floor(math.log10(span))
    return next(power * part for part in (0.1, 0.2, 0.5, 1.0) if span / (power * part) <= 10)
