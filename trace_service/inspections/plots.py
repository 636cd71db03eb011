"""The result as a picture: what each policy's visits found, with 95 % intervals."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

_WIDTH: Final = 640
_LEFT: Final = 130
_ROW: Final = 44
_TOP: Final = 46
_STYLE: Final = (
    "text{font:13px system-ui,sans-serif;fill:#1d2733}.axis{stroke:#9aa5b1}.bar{fill:#0a6175}"
    ".bound{fill:#9aa5b1}.whisker{stroke:#1d2733;stroke-width:2}.paper{fill:#fff}"
    "@media(prefers-color-scheme:dark){text{fill:#e8edf2}.paper{fill:#12181f}.bar{fill:#4fb3c8}.whisker{stroke:#e8edf2}}"
)


def write_plot(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write a bar for each row of `measuring.table`."""
    height = _TOP + _ROW * len(rows) + 34
    # The bound goes beyond the frame; the others are what is to be compared.
    most = max([0.1, *(float(row["beyond_per_100"][2]) for row in rows if row["policy"] != "oracle")])
    least = min([0.0, *(float(row["beyond_per_100"][1]) for row in rows)])
    scale = (_WIDTH - _LEFT - 70) / (most - least)

    def x(value: float) -> float:
        return _LEFT + (min(value, most) - least) * scale

    marks = [
        f'<rect class="paper" width="{_WIDTH}" height="{height}"/>',
        f'<text x="{_LEFT}" y="24" font-weight="600">Attacks found per 100 visits, beyond those found without</text>',
        f'<line class="axis" x1="{x(0):.1f}" x2="{x(0):.1f}" y1="{_TOP - 8}" y2="{height - 26}"/>',
    ]
    for number, row in enumerate(rows):
        value, low, high = (float(each) for each in row["beyond_per_100"])
        top = _TOP + _ROW * number
        style = "bound" if row["policy"] == "oracle" else "bar"
        marks += [
            f'<text x="{_LEFT - 10}" y="{top + 19}" text-anchor="end">{row["policy"]}</text>',
            _bar((style, min(x(0), x(value)), abs(x(value) - x(0))), top),
            f'<line class="whisker" x1="{x(low):.1f}" x2="{x(high):.1f}" y1="{top + 14}" y2="{top + 14}"/>',
            f'<text x="{x(high) + 8:.1f}" y="{top + 19}">{value:.2f}</text>',
        ]
    worlds = max((int(row["worlds"]) for row in rows), default=0)
    marks.append(f'<text x="{_LEFT}" y="{height - 8}">{worlds} worlds; lines are 95 % intervals</text>')
    size = f'viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}"'
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img"><style>{_STYLE}</style>{"".join(marks)}</svg>\n',
        encoding="utf-8",
    )


def _bar(bar: tuple[str, float, float], top: int) -> str:
    style, left, width = bar
    return f'<rect class="{style}" x="{left:.1f}" y="{top}" width="{width:.1f}" height="28"/>'
