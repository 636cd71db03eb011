"""Plots as inline SVG; colours are classes of the page."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Final

from trace_service.backtest.scoring import Share
from trace_service.words import Words

_WIDTH: Final = 320
_HEIGHT: Final = 270
_LEFT: Final = 48
_BOTTOM: Final = 230
_SPAN: Final = _WIDTH - _LEFT - 10
_RISE: Final = _BOTTOM - 10


def reliability(words: Words, bins: Sequence[tuple[float, int, int]]) -> str:
    """Draw mean probability against frequency, a dot for each tenth; its size tells how many cells."""
    marks = [f'<line class="axis" x1="{_x(0)}" y1="{_y(0)}" x2="{_x(1)}" y2="{_y(1)}" stroke-dasharray="4"/>']
    for total, true, number in bins:
        if number:
            radius = min(9.0, 2 + number**0.25)
            marks.append(
                f'<circle class="mark" cx="{_x(total / number):.1f}" cy="{_y(true / number):.1f}" r="{radius:.1f}">'
                f"<title>{_told(words, number, total / number, true / number)}</title></circle>"
            )
    axes = words("backtest.axis.said"), words("backtest.axis.true")
    return _svg(words("backtest.plot.reliability"), [*_axes((0, 0.5, 1)), *_titles(*axes), *marks])


def recall(words: Words, by_scans: Mapping[str, Share]) -> str:
    """Draw a bar for each group of attacks, with the 95 % interval."""
    groups = [(name, by_scans[name]) for name in ("0", "1-2", "3-5", "6-10", "11+") if name in by_scans]
    step = _SPAN / max(1, len(groups))
    marks = []
    for index, (name, share) in enumerate(groups):
        value, (low, high) = share.value or 0.0, share.interval or (0.0, 0.0)
        left = _LEFT + index * step
        marks.append(
            f'<rect class="good" x="{left + 8:.1f}" y="{_y(value):.1f}" width="{step - 16:.1f}" '
            f'height="{_BOTTOM - _y(value):.1f}"><title>{share.hits}/{share.of}</title></rect>'
            f'<line class="whisker" x1="{left + step / 2:.1f}" x2="{left + step / 2:.1f}" '
            f'y1="{_y(low):.1f}" y2="{_y(high):.1f}"/>'
            f'<text x="{left + step / 2:.1f}" y="{_BOTTOM + 16}" text-anchor="middle">{name}</text>'
        )
    axes = words("backtest.axis.scanned"), words("backtest.axis.found")
    return _svg(words("backtest.plot.recall"), [*_axes(()), *_titles(*axes), *marks])


def timeline(words: Words, alerts: Sequence[tuple[int, bool | None]], days: int) -> str:
    """Draw how many alerts came in each month of thirty days: right ones up, wrong ones down."""
    months = max(1, -(-days // 30))
    up, down = [0] * months, [0] * months
    for day, right in alerts:
        (down if right is False else up)[min(months - 1, max(0, day // 30))] += 1
    largest = max([*up, *down, 1])
    step, middle = _SPAN / months, (_BOTTOM + 10) / 2
    marks = [f'<line class="axis" x1="{_LEFT}" y1="{middle}" x2="{_WIDTH - 10}" y2="{middle}"/>']
    for month, (good, bad) in enumerate(zip(up, down, strict=True)):
        left, scale = _LEFT + month * step + 1, (_RISE / 2 - 8) / largest
        marks.append(
            f'<rect class="good" x="{left:.1f}" y="{middle - good * scale:.1f}" width="{step - 2:.1f}" '
            f'height="{good * scale:.1f}"><title>{escape(words("backtest.tip.right", alerts=good))}</title></rect>'
            f'<rect class="bad" x="{left:.1f}" y="{middle:.1f}" width="{step - 2:.1f}" '
            f'height="{bad * scale:.1f}"><title>{escape(words("backtest.tip.wrong", alerts=bad))}</title></rect>'
        )
    marks += [f'<text x="{_LEFT - 6}" y="{y:.1f}" text-anchor="end">{largest}</text>' for y in (22, _BOTTOM - 4)]
    marks += [
        f'<text x="{_LEFT + (month - 0.5) * step:.1f}" y="{_BOTTOM + 16}" text-anchor="middle">{month}</text>'
        for month in sorted({1, (months + 1) // 2, months})
    ]
    axes = words("backtest.axis.month"), words("backtest.axis.alerts")
    return _svg(words("backtest.plot.timeline"), [*marks, *_titles(*axes)])


def _told(words: Words, cells: int, said: float, true: float) -> str:
    shown = {name: words.number(value, 2) for name, value in (("said", said), ("true", true))}
    return escape(words("backtest.tip.cells", cells=cells, **shown))


def _titles(across: str, up: str) -> list[str]:
    """Return the words of both axes."""
    middle = (_BOTTOM + 10) / 2
    return [
        f'<text x="{_LEFT + _SPAN / 2}" y="{_HEIGHT - 6}" text-anchor="middle">{escape(across)}</text>',
        f'<text transform="translate(12 {middle}) rotate(-90)" text-anchor="middle">{escape(up)}</text>',
    ]


def _axes(across: Sequence[float]) -> list[str]:
    found = [
        f'<line class="axis" x1="{_LEFT}" y1="{_BOTTOM}" x2="{_WIDTH - 10}" y2="{_BOTTOM}"/>',
        f'<line class="axis" x1="{_LEFT}" y1="{_BOTTOM}" x2="{_LEFT}" y2="10"/>',
    ]
    found += [f'<text x="{_LEFT - 6}" y="{_y(each) + 4:.1f}" text-anchor="end">{each:g}</text>' for each in (0, 0.5, 1)]
    return found + [
        f'<text x="{_x(each):.1f}" y="{_BOTTOM + 16}" text-anchor="middle">{each:g}</text>' for each in across
    ]


def _svg(label: str, marks: Sequence[str]) -> str:
    return (
        f'<svg width="{_WIDTH}" height="{_HEIGHT}" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="{escape(label)}">{"".join(marks)}</svg>'
    )


def _x(share: float) -> float:
    return _LEFT + share * _SPAN


def _y(share: float) -> float:
    return _BOTTOM - share * _RISE
