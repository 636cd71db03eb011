"""Labels as PDF: sheets of them, or a page for each; symbols as exact one-bit masks, texts as text.

Chinese is set in STSong-Light, one of the fonts that PDF readers know and need no file for, or in the template's
font where that is TrueType; then it is embedded.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from reportlab.lib.units import mm
from reportlab.lib.utils import ImageReader
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfbase.ttfonts import TTFError, TTFont
from reportlab.pdfgen.canvas import Canvas

from trace_service.labels.model import Kind, Label, LabelError
from trace_service.labels.raster import BEARER_MODULES, Raster
from trace_service.labels.symbols import Modules, modules
from trace_service.labels.template import Template, Text, expand

_LATIN: Final = "Helvetica"
_CHINESE: Final = "STSong-Light"
_EMBEDDED: Final = "LabelFont"
_FIXED: Final = "fixed"


class Sheet(NamedTuple):
    """A sheet in millimetres; one without a size is as large as its only label."""

    width: float
    height: float
    margin: float
    gap: float


SHEETS: Final[Mapping[str, Sheet]] = {
    "a4": Sheet(210, 297, 8, 2),
    "a5": Sheet(148, 210, 6, 2),
    "letter": Sheet(215.9, 279.4, 8, 2),
    "label": Sheet(0, 0, 0, 0),
}


class PdfLabels:
    """Lays the labels of one job out on sheets. `constants` are the values that all of its labels share."""

    def __init__(self, kind: Kind, template: Template, constants: Mapping[str, str], sheet: Sheet) -> None:
        """Find the fonts; raises `LabelError` where the logo or a font is missing or a label exceeds the sheet."""
        self._kind, self._template, self._constants = kind, template, constants
        self._raster = Raster(kind, template, constants)
        self._variable = [line for line in template.text if line.is_variable]
        self._sheet = sheet if sheet.width else Sheet(template.width_mm, template.height_mm, 0, 0)
        self._columns = self._fitting(self._sheet.width, template.width_mm)
        self._rows = self._fitting(self._sheet.height, template.height_mm)
        self._beyond_ascii = _font(template.font)

    def write(self, path: Path, labels: Iterable[Label]) -> int:
        """Write labels into a PDF and return their number."""
        canvas = Canvas(str(path), pagesize=(self._sheet.width * mm, self._sheet.height * mm), pageCompression=1)
        canvas.setTitle("Labels")
        self._define_fixed(canvas)
        count = 0
        for count, label in enumerate(labels, start=1):
            place = (count - 1) % (self._columns * self._rows)
            if place == 0 and count > 1:
                canvas.showPage()
            self._draw(canvas, label, *divmod(place, self._columns))
        canvas.save()
        return count

    def _fitting(self, available: float, size: float) -> int:
        count = int((available - 2 * self._sheet.margin + self._sheet.gap + 1e-6) // (size + self._sheet.gap))
        if count < 1:
            raise LabelError("the label is larger than the sheet", advice="Use --sheet label: one label a page.")
        return count

    def _define_fixed(self, canvas: Canvas) -> None:
        """Define what never changes as a form that each label refers to."""
        template = self._template
        canvas.beginForm(_FIXED, 0, 0, template.width_mm * mm, template.height_mm * mm)
        logo = template.logo
        if logo is not None:
            picture = ImageReader(logo.file)
            width, height = picture.getSize()
            tall = logo.width_mm * height / width
            bottom = template.height_mm - logo.y_mm - tall
            canvas.drawImage(picture, logo.x_mm * mm, bottom * mm, logo.width_mm * mm, tall * mm, mask="auto")
        for line in template.text:
            if not line.is_variable:
                self._text(canvas, line, expand(line.text, self._constants), (0, 0))
        canvas.endForm()

    def _draw(self, canvas: Canvas, label: Label, row: int, column: int) -> None:
        template, sheet = self._template, self._sheet
        left = (sheet.margin + column * (template.width_mm + sheet.gap)) * mm
        top = sheet.height - sheet.margin - row * (template.height_mm + sheet.gap)
        bottom = (top - template.height_mm) * mm
        symbol = modules(self._kind, label.data)
        self._raster.check(symbol)
        canvas.saveState()
        canvas.translate(left, bottom)
        canvas.doForm(_FIXED)
        canvas.restoreState()
        canvas.addLiteral(self._symbol(symbol, left, bottom))
        values = {**self._constants, **label.values}
        for line in self._variable:
            self._text(canvas, line, expand(line.text, values), (left, bottom))

    def _symbol(self, symbol: Modules, left: float, bottom: float) -> str:
        """Return the operators that paint a symbol: a mask of one bit a module, scaled."""
        place, size = self._template.symbol, self._template.module_mm
        rows, columns = symbol.shape
        wide, tall = columns * size, place.height_mm if self._kind.is_linear else rows * size
        x, y = left + place.x_mm * mm, bottom + (self._template.height_mm - place.y_mm - tall) * mm
        bits = np.packbits(~symbol, axis=1).tobytes().hex()
        mask = (
            f"q 0 g {wide * mm:.4f} 0 0 {tall * mm:.4f} {x:.4f} {y:.4f} cm "
            f"BI /W {columns} /H {rows} /IM true /F /AHx ID {bits}> EI Q"
        )
        if self._kind is not Kind.ITF14:
            return mask
        thick = BEARER_MODULES * size * mm
        bearers = (f"{x:.4f} {each:.4f} {wide * mm:.4f} {thick:.4f} re" for each in (y, y + tall * mm - thick))
        return f"{mask} q 0 g {' '.join(bearers)} f Q"

    def _text(self, canvas: Canvas, line: Text, text: str, origin: tuple[float, float]) -> None:
        if not text.strip():
            return
        canvas.setFont(_LATIN if text.isascii() else self._beyond_ascii, line.size_mm * mm)
        left, bottom = origin
        canvas.drawString(left + line.x_mm * mm, bottom + (self._template.height_mm - line.y_mm) * mm, text)


def _font(path: str | None) -> str:
    """Register the font for texts beyond ASCII and return its name."""
    if path is not None:
        try:
            pdfmetrics.registerFont(TTFont(_EMBEDDED, path))
        except (TTFError, OSError):
            # Outlines that reportlab cannot embed, as in most .otf and .ttc files with Chinese.
            pass
        else:
            return _EMBEDDED
    pdfmetrics.registerFont(UnicodeCIDFont(_CHINESE))
    return _CHINESE
