"""Labels as dots: what never changes is drawn once, then symbol and variable texts of each label on a copy."""

import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image, UnidentifiedImageError

from trace_service.labels.faces import Dots, Face, face_for
from trace_service.labels.model import QUIET_MODULES, Kind, Label, LabelError
from trace_service.labels.symbols import Modules, modules
from trace_service.labels.template import MM_PER_INCH, Logo, Template, Text, expand

_METRE: Final = 1000
_DARK: Final = 128
_LARGEST_LOGO_PIXELS: Final = 25_000_000
_LARGEST_DOTS: Final = 50_000_000
# Bearer bars keep an ITF scanner from reading a part of the symbol; two modules are the least that GS1 allows.
BEARER_MODULES: Final = 4


class Raster:
    """Draws the labels of one job. `constants` are the values that all of its labels share."""

    def __init__(self, kind: Kind, template: Template, constants: Mapping[str, str]) -> None:
        """Draw what never changes; raises `LabelError` where a font or the logo is missing."""
        self.kind, self.template, self._constants = kind, template, constants
        height, width = template.dots(template.height_mm), template.dots(template.width_mm)
        if height * width > _LARGEST_DOTS:
            raise LabelError(f"a label of {width} by {height} dots is too large", advice="Lower dpi or its size.")
        self.background = np.zeros((height, width), dtype=bool)
        if template.logo is not None:
            self._paste_logo(template.logo)
        for line in template.text:
            if not line.is_variable:
                self._write(self.background, line, constants)
        self._variable = [line for line in template.text if line.is_variable]
        self._checked: tuple[int, ...] = ()

    def draw(self, label: Label) -> Dots:
        """Return a label (rows, columns), true where it is printed."""
        paper = self.background.copy()
        symbol = modules(self.kind, label.data)
        self.check(symbol)
        top, left = self._corner()
        dots = enlarged(self.kind, symbol, self.template)
        paper[top : top + dots.shape[0], left : left + dots.shape[1]] = dots
        for line in self._variable:
            self._write(paper, line, {**self._constants, **label.values})
        return paper

    def _corner(self) -> tuple[int, int]:
        return self.template.dots(self.template.symbol.y_mm), self.template.dots(self.template.symbol.x_mm)

    def check(self, symbol: Modules) -> None:
        """Refuse a symbol that does not fit, or has something else in its quiet zone; each size is checked once."""
        if symbol.shape == self._checked:
            return
        dots = enlarged(self.kind, symbol, self.template)
        (top, left), (rows, columns) = self._corner(), dots.shape
        quiet = QUIET_MODULES[self.kind] * self.template.module_dots
        above = 0 if self.kind.is_linear else quiet
        around = (top - above, top + rows + above, left - quiet, left + columns + quiet)
        height, width = self.background.shape
        if min(around) < 0 or around[1] > height or around[3] > width:
            size = (columns + 2 * quiet) / self.template.dpi * MM_PER_INCH
            raise LabelError(
                f"the symbol does not fit: with its quiet zone it is {size:.1f} mm wide",
                advice="Move it, make the label larger, or its modules smaller.",
            )
        if self.background[around[0] : around[1], around[2] : around[3]].any():
            raise LabelError("a text or the logo reaches into the symbol's quiet zone", advice="Move it away.")
        self._checked = symbol.shape

    def _write(self, paper: Dots, line: Text, values: Mapping[str, str]) -> None:
        text = expand(line.text, values)
        if text.strip():
            face, left = self._face(line, text), self.template.dots(line.x_mm)
            if left + face.width(text) > paper.shape[1]:
                raise LabelError(f"{text!r} is wider than the label", advice="Make its text smaller or move it.")
            face.draw(paper, left, self.template.dots(line.y_mm), text)

    def line(self, line: Text, text: str) -> Dots:
        """Return one line of text alone in dots, as high as its font and a quarter."""
        face, size = self._face(line, text), self.template.dots(line.size_mm)
        paper = np.zeros((size + size // 4, face.width(text)), dtype=bool)
        face.draw(paper, 0, size, text)
        return paper

    def _face(self, line: Text, text: str) -> Face:
        return face_for(text, max(4, self.template.dots(line.size_mm)), self.template.font)

    def _paste_logo(self, logo: Logo) -> None:
        dark = logo_dots(logo, self.template.dots(logo.width_mm))
        top, left = self.template.dots(logo.y_mm), self.template.dots(logo.x_mm)
        place = self.background[top : top + dark.shape[0], left : left + dark.shape[1]]
        if place.shape != dark.shape:
            raise LabelError("the logo reaches beyond the label", advice="Move it or make it smaller.")
        place |= dark


def enlarged(kind: Kind, symbol: Modules, template: Template) -> Dots:
    """Return a symbol in dots, bars at the template's height; an ITF-14 with its bearer bars."""
    size = template.module_dots
    if not kind.is_linear:
        return symbol.repeat(size, axis=0).repeat(size, axis=1)
    bars = symbol.repeat(template.dots(template.symbol.height_mm), axis=0).repeat(size, axis=1)
    if kind is Kind.ITF14:
        bars[: BEARER_MODULES * size] = bars[-BEARER_MODULES * size :] = True
    return bars


def logo_dots(logo: Logo, width: int) -> Dots:
    """Return the logo in dots, `width` of them wide; raises `LabelError` where it is no picture."""
    try:
        with Image.open(Path(logo.file)) as picture:
            if picture.width * picture.height > _LARGEST_LOGO_PIXELS:
                raise LabelError(f"{logo.file} is too large a picture", advice="Make it smaller.")
            flat = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture.convert("RGBA"))
    except (OSError, UnidentifiedImageError) as error:
        raise LabelError(f"the logo {logo.file} cannot be read: {error}", advice="Use a PNG or JPEG.") from error
    height = max(1, round(flat.height * width / flat.width))
    return np.array(flat.convert("L").resize((width, height), Image.Resampling.LANCZOS)) < _DARK


def png(dots: Dots, dpi: int) -> bytes:
    """Return dots as a PNG of one bit a pixel that says its resolution."""
    height, width = dots.shape
    rows = np.packbits(~dots, axis=1)
    filtered = np.empty((height, rows.shape[1] + 1), dtype=np.uint8)
    # Filter 2 says how a row differs from the one above: within a row of modules it does not, and zeros pack fast.
    filtered[:, 0] = 2
    filtered[0, 1:] = rows[0]
    np.subtract(rows[1:], rows[:-1], out=filtered[1:, 1:])
    # What is left are runs: looking for nothing else takes half the time and makes smaller files.
    packer = zlib.compressobj(1, zlib.DEFLATED, zlib.MAX_WBITS, zlib.DEF_MEM_LEVEL, zlib.Z_RLE)
    per_metre = round(dpi / MM_PER_INCH * _METRE)
    chunks = (
        _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)),
        _chunk(b"pHYs", struct.pack(">IIB", per_metre, per_metre, 1)),
        _chunk(b"IDAT", packer.compress(filtered.tobytes()) + packer.flush()),
        _chunk(b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
