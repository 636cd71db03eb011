"""Labels as SVG: the symbol as one path of exact modules, texts as text, lengths in millimetres."""

from base64 import b64encode
from collections.abc import Mapping
from html import escape
from typing import Final

import numpy as np

from trace_service.labels.model import Kind, Label
from trace_service.labels.raster import BEARER_MODULES, Raster, logo_dots, png
from trace_service.labels.symbols import Modules, modules
from trace_service.labels.template import Template, Text, expand

_FONTS: Final = "'Noto Sans CJK SC','Source Han Sans SC','Microsoft YaHei',SimSun,sans-serif"


class SvgLabels:
    """Draws the labels of one job as SVG documents. `constants` are the values that all of its labels share."""

    def __init__(self, kind: Kind, template: Template, constants: Mapping[str, str]) -> None:
        """Write what never changes; raises `LabelError` where the logo or a font is missing."""
        self._kind, self._template, self._constants = kind, template, constants
        # The raster knows whether symbol, texts and logo keep out of each other's way.
        self._raster = Raster(kind, template, constants)
        width, height = template.width_mm, template.height_mm
        head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}mm" height="{height:g}mm"'
        paper = f'viewBox="0 0 {width:g} {height:g}"><rect width="100%" height="100%" fill="#fff"/>'
        fixed = "".join(_text(line, expand(line.text, constants)) for line in template.text if not line.is_variable)
        self._before = f"{head} {paper}{self._logo()}{fixed}"
        self._variable = [line for line in template.text if line.is_variable]

    def draw(self, label: Label) -> bytes:
        """Return a label as an SVG document in UTF-8."""
        symbol = modules(self._kind, label.data)
        self._raster.check(symbol)
        values = {**self._constants, **label.values}
        texts = "".join(_text(line, expand(line.text, values)) for line in self._variable)
        return f"{self._before}{self._symbol(symbol)}{texts}</svg>\n".encode()

    def _symbol(self, symbol: Modules) -> str:
        place, size = self._template.symbol, self._template.module_mm
        height = place.height_mm / size if self._kind.is_linear else 1
        path = _path(symbol, height)
        if self._kind is Kind.ITF14:
            width, thick = symbol.shape[1], BEARER_MODULES
            path += f"M0 0h{width}v{thick}h-{width}zM0 {height - thick:.3f}h{width}v{thick}h-{width}z"
        move = f"translate({place.x_mm:g} {place.y_mm:g}) scale({size:.6g})"
        return f'<path transform="{move}" shape-rendering="crispEdges" d="{path}"/>'

    def _logo(self) -> str:
        logo = self._template.logo
        if logo is None:
            return ""
        dots = logo_dots(logo, self._template.dots(logo.width_mm))
        height = logo.width_mm * dots.shape[0] / dots.shape[1]
        picture = b64encode(png(dots, self._template.dpi)).decode()
        return (
            f'<image x="{logo.x_mm:g}" y="{logo.y_mm:g}" width="{logo.width_mm:g}" height="{height:g}"'
            f' href="data:image/png;base64,{picture}"/>'
        )


def _path(symbol: Modules, height: float) -> str:
    """Return the dark runs of each row as rectangles, in modules."""
    edges = np.diff(np.pad(symbol.astype(np.int8), ((0, 0), (1, 1))), axis=1)
    rows, starts = np.nonzero(edges == 1)
    ends = np.nonzero(edges == -1)[1]
    runs = zip(rows.tolist(), starts.tolist(), (ends - starts).tolist(), strict=True)
    return "".join(f"M{start} {row}h{width}v{height:g}h-{width}z" for row, start, width in runs)


def _text(line: Text, text: str) -> str:
    if not text.strip():
        return ""
    place = f'x="{line.x_mm:g}" y="{line.y_mm:g}" font-size="{line.size_mm:g}"'
    return f'<text {place} font-family="{_FONTS}">{escape(text)}</text>'
