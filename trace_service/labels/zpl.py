"""Labels as ZPL II: the printer draws symbols and plain texts; logo and Chinese travel once, as a stored picture."""

import re
from collections.abc import Iterator, Mapping
from typing import Final

import numpy as np

from contracts.gs1 import SEPARATOR
from trace_service.labels.elements import element_string
from trace_service.labels.faces import Dots
from trace_service.labels.model import Kind, Label, LabelError
from trace_service.labels.raster import BEARER_MODULES, Raster
from trace_service.labels.symbols import modules
from trace_service.labels.template import Template, Text, expand

_STORED: Final = "R:CFLABEL.GRF"
_PAIRS: Final = re.compile(r"(?:[0-9]{2})+")
_SPECIAL: Final = re.compile(r"[\^~_\\]")


class ZplLabels:
    """Writes the labels of one job as ZPL. `constants` are the values that all of its labels share."""

    def __init__(self, kind: Kind, template: Template, constants: Mapping[str, str]) -> None:
        """Draw what never changes; raises `LabelError` where the logo or a font is missing."""
        self._kind, self._template, self._constants = kind, template, constants
        self._raster = Raster(kind, template, constants)
        self._variable = [line for line in template.text if line.is_variable]
        height, width = self._raster.background.shape
        self._start = f"^XA^CI28^PW{width}^LL{height}^LH0,0^FO0,0^XG{_STORED},1,1^FS"

    @property
    def preamble(self) -> str:
        """What the printer has to know before the first label: the picture that all of them share."""
        packed = np.packbits(self._raster.background, axis=1)
        return f"~DG{_STORED},{packed.size},{packed.shape[1]},{packed.tobytes().hex().upper()}\n"

    def draw(self, label: Label) -> str:
        """Return the commands of one label, on one line."""
        self._raster.check(modules(self._kind, label.data))
        values = {**self._constants, **label.values}
        texts = "".join(self._text(line, expand(line.text, values)) for line in self._variable)
        return f"{self._start}{''.join(self._symbol(label.data))}{texts}^XZ\n"

    def _symbol(self, data: str) -> Iterator[str]:
        if "^" in data or "~" in data:
            raise LabelError(f"{data!r} holds a character of ZPL's own", advice="No GS1 value holds ^ or ~.")
        template, size = self._template, self._template.module_dots
        left, top = template.dots(template.symbol.x_mm), template.dots(template.symbol.y_mm)
        height = template.dots(template.symbol.height_mm)
        yield f"^FO{left},{top}"
        match self._kind:
            case Kind.QR:
                # M: the level; A: the printer chooses the mode, alphanumeric for upper-case links.
                yield f"^BQN,2,{size}^FDMA,{data}^FS"
            case Kind.DATAMATRIX:
                yield f"^BXN,{size},200,,,,_^FD{_escaped(element_string(data))}^FS"
            case Kind.GS1_128:
                yield f"^BY{size}{_code128(data, height)}^FS"
            case Kind.ITF14:
                thick = BEARER_MODULES * size
                width = modules(self._kind, data).shape[1] * size
                yield f"^BY{size},3.0,{height}^B2N,{height},N,N^FD{data}^FS"
                for y in (top, top + height - thick):
                    yield f"^FO{left},{y}^GB{width},{thick},{thick}^FS"

    def _text(self, line: Text, text: str) -> str:
        left, base = self._template.dots(line.x_mm), self._template.dots(line.y_mm)
        size = self._template.dots(line.size_mm)
        if text.isascii():
            data = _SPECIAL.sub(lambda match: f"_{ord(match[0]):02X}", text)
            return f"^FT{left},{base}^A0N,{size},{size}^FH_^FD{data}^FS"
        dots = self._raster.line(line, text)
        return f"^FO{left},{max(0, base - size)}{_graphic(dots)}^FS"


def _escaped(elements: str) -> str:
    """Return an element string for ^BX with _ as its escape: _1 is FNC1, which stands first and between elements."""
    return "_1" + elements.replace("_", "__").replace(SEPARATOR, "_1")


def _code128(data: str, height: int) -> str:
    """Return ^BC for an element string: start in subset C, then FNC1, digits in pairs, and the rest in subset B.

    The subsets are chosen here: the printer's own mode for GS1 would compute check digits of its own.
    """
    elements = element_string(data)
    pairs = _PAIRS.match(elements)
    digits = pairs[0] if pairs else ""
    rest = elements[len(digits) :].replace(">", "><").replace(SEPARATOR, ">8")
    return f"^BCN,{height},N,N,N^FD>;>8{digits}{'>6' if rest else ''}{rest}"


def _graphic(dots: Dots) -> str:
    packed = np.packbits(dots, axis=1)
    return f"^GFA,{packed.size},{packed.size},{packed.shape[1]},{packed.tobytes().hex().upper()}"
