"""Line plots as inline SVG: no script, no font and no file from elsewhere, light and dark by the reader's setting."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10
from typing import Final

Point = tuple[float, float]
_WIDTH: Final = 720
_HEIGHT: Final = 380
_LEFT: Final = 64
_BOTTOM: Final = 48
_TOP: Final = 16
_RIGHT: Final = 150
_TICKS: Final = 6
_GAP: Final = 15.0
COLOURS: Final = ("#808080", "#d1495b", "#2e86ab", "#8c6bb1", "#41a58d", "#e08e2b", "#8d6e4a", "#5566cc")


@dataclass(frozen=True, slots=True)
class Line:
    """One curve: its label, its points in order of x, and which of the colours it has."""

    label: str
    points: Sequence[Point]
    colour: int
    strong: bool = False


@dataclass(frozen=True, slots=True)
class Axis:
    """An axis: its title and the range that is shown; a percentage is given as such, not as a share."""

    title: str
    low: float
    high: float
    unit: str = ""


def plot(lines: Sequence[Line], x: Axis, y: Axis, title: str) -> str:
    """Return an `svg` element; curves are cut at the axes' ranges, labels stand at the curves' ends."""
    parts = [
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title)}">',
        *_axis(x, upright=False), *_axis(y, upright=True),
    ]  # fmt: skip
    ends = []
    for line in sorted(lines, key=lambda each: each.strong):
        points = [_place(point, x, y) for point in line.points if x.low <= point[0] <= x.high]
        points = [(px, py) for px, py in points if _TOP <= py <= _HEIGHT - _BOTTOM]
        if not points:
            continue
        path = " ".join(f"{px:.1f},{py:.1f}" for px, py in points)
        width = 3 if line.strong else 1.6
        parts.append(f'<polyline points="{path}" fill="none" stroke="{COLOURS[line.colour]}" stroke-width="{width}"/>')
        ends.append((points[-1][1], line))
    parts.extend(_labels(ends))
    return "".join([*parts, "</svg>"])


def _labels(ends: list[tuple[float, Line]]) -> list[str]:
    """Write the labels to the right of the plot, pushed apart where curves end close together."""
    heights: list[float] = []
    ordered = sorted(ends, key=lambda end: end[0])
    for height, _ in ordered:
        heights.append(max(height, heights[-1] + _GAP if heights else 0.0))
    low = float(_HEIGHT - _BOTTOM)
    for number in range(len(heights) - 1, -1, -1):
        heights[number] = min(heights[number], low)
        low = heights[number] - _GAP
    found = []
    for height, (_, line) in zip(heights, ordered, strict=True):
        weight = ' font-weight="700"' if line.strong else ""
        found.append(
            f'<circle cx="{_WIDTH - _RIGHT + 10}" cy="{height:.1f}" r="4" fill="{COLOURS[line.colour]}"/>'
            f'<text x="{_WIDTH - _RIGHT + 19}" y="{height + 4:.1f}"{weight}>{escape(line.label)}</text>'
        )
    return found


def _axis(axis: Axis, *, upright: bool) -> list[str]:
    found = []
    for tick in _ticks(axis):
        text = f"{tick:g}{axis.unit}"
        if upright:
            _, at = _place((0, tick), Axis("", 0, 1), axis)
            found.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>')
            found.append(f'<text x="{_LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{text}</text>')
        else:
            at, _ = _place((tick, 0), axis, Axis("", 0, 1))
            found.append(f'<line class="grid" x1="{at:.1f}" x2="{at:.1f}" y1="{_TOP}" y2="{_HEIGHT - _BOTTOM}"/>')
            found.append(f'<text x="{at:.1f}" y="{_HEIGHT - _BOTTOM + 18}" text-anchor="middle">{text}</text>')
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    if upright:
        turned = f"translate(16 {_HEIGHT / 2}) rotate(-90)"
        found.append(f'<text transform="{turned}" text-anchor="middle">{escape(axis.title)}</text>')
    else:
        found.append(f'<text x="{middle}" y="{_HEIGHT - 8}" text-anchor="middle">{escape(axis.title)}</text>')
    return found


def _ticks(axis: Axis) -> list[float]:
    rough = (axis.high - axis.low) / _TICKS
    power = 10.0 ** floor(log10(rough))
    step = next(power * each for each in (1, 2, 5, 10) if power * each >= rough)
    return [round(number * step, 10) for number in range(ceil(axis.low / step), floor(axis.high / step + 1e-9) + 1)]


def _place(point: Point, x: Axis, y: Axis) -> Point:
    across = (point[0] - x.low) / (x.high - x.low)
    up = (point[1] - y.low) / (y.high - y.low)
    return _LEFT + across * (_WIDTH - _RIGHT - _LEFT), _HEIGHT - _BOTTOM - up * (_HEIGHT - _BOTTOM - _TOP)
