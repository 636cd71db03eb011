"""Templates: where on a label the symbol, the logo and the texts stand; sizes in millimetres, from TOML."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final

import msgspec

from trace_service.labels.model import Kind, LabelError

MM_PER_INCH: Final = 25.4
FIELDS: Final = frozenset({"name", "gtin", "serial", "counter", "lot", "produced", "expires", "sscc", "data"})
"""What a text may name in braces."""
VARIABLE: Final = frozenset({"serial", "counter", "sscc", "data"})
"""Those of them that differ from label to label."""
_FIELD: Final = re.compile(r"\{(\w+)\}")
_LARGEST_BYTES: Final = 100_000
_Length = Annotated[float, msgspec.Meta(gt=0, le=500)]
_Place = Annotated[float, msgspec.Meta(ge=0, le=500)]


class Symbol(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The symbol's top left corner without its quiet zone, the width of a module, and the height of bars."""

    x_mm: _Place
    y_mm: _Place
    module_mm: Annotated[float, msgspec.Meta(ge=0.1, le=5)]
    height_mm: _Length = 20.0


class Text(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A line of text; `x_mm` is its left end, `y_mm` its base line, `size_mm` the height of its font."""

    text: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    x_mm: _Place
    y_mm: _Place
    size_mm: Annotated[float, msgspec.Meta(ge=0.8, le=100)]

    @property
    def is_variable(self) -> bool:
        """Whether it differs from label to label."""
        return any(name in VARIABLE for name in _FIELD.findall(self.text))


class Logo(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A picture, printed in black where it is darker than the middle; its height follows from its width."""

    file: str
    x_mm: _Place
    y_mm: _Place
    width_mm: _Length


class Template(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A label of `width_mm` by `height_mm`, printed at `dpi`; `font` is a font file for texts beyond ASCII."""

    width_mm: _Length
    height_mm: _Length
    symbol: Symbol
    dpi: Annotated[int, msgspec.Meta(ge=72, le=2400)] = 300
    text: tuple[Text, ...] = ()
    logo: Logo | None = None
    font: str | None = None

    def dots(self, millimetres: float) -> int:
        """Return a length in dots of the printer."""
        return round(millimetres * self.dpi / MM_PER_INCH)

    @property
    def module_dots(self) -> int:
        """The width of a module: whole dots, or its edges would be blurred."""
        return max(1, self.dots(self.symbol.module_mm))

    @property
    def module_mm(self) -> float:
        """The width of a module as it is printed."""
        return self.module_dots * MM_PER_INCH / self.dpi


def expand(text: str, values: Mapping[str, str]) -> str:
    """Return a text with its fields filled in; a field without a value is empty."""
    return _FIELD.sub(lambda match: values.get(match[1], ""), text)


def load_template(path: Path) -> Template:
    """Return the template in a TOML file, with file names in it taken from its folder; raises `LabelError`."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise LabelError(f"{path} cannot be read: {error.strerror}", advice="Check its name.") from error
    if len(content) > _LARGEST_BYTES:
        raise LabelError(f"{path} is no template: it is too large", advice="Check its name.")
    try:
        template = msgspec.toml.decode(content, type=Template)
    except msgspec.MsgspecError as error:
        raise LabelError(f"{path}: {error}", advice="See docs/labels.md for what a template holds.") from error
    for line in template.text:
        for name in _FIELD.findall(line.text):
            if name not in FIELDS:
                raise LabelError(f"{path}: {{{name}}} is no field", advice=f"Use {', '.join(sorted(FIELDS))}.")
    logo = template.logo
    if logo is not None:
        logo = msgspec.structs.replace(logo, file=str(path.parent / logo.file))
    font = str(path.parent / template.font) if template.font is not None else None
    return msgspec.structs.replace(template, logo=logo, font=font)


def default_template(kind: Kind, dpi: int) -> Template:
    """Return what a kind of label looks like where nobody says otherwise."""
    return msgspec.structs.replace(_DEFAULTS[kind], dpi=dpi)


_ITEM_TEXTS: Final = (
    Text("{name}", 18.5, 5, 3),
    Text("{gtin}", 18.5, 8.5, 2.2),
    Text("{serial}", 18.5, 11.5, 1.9),
    Text("{lot}", 18.5, 14.5, 2.2),
    Text("{expires}", 18.5, 17.5, 2.2),
)
_DEFAULTS: Final = {
    Kind.QR: Template(50, 20, Symbol(2.6, 2.6, 0.42), text=_ITEM_TEXTS),
    Kind.DATAMATRIX: Template(50, 20, Symbol(2.6, 2.6, 0.42), text=_ITEM_TEXTS),
    Kind.GS1_128: Template(
        105, 74, Symbol(10, 28, 0.5, 32), text=(Text("{name}", 10, 14, 7), Text("{data}", 10, 68, 5))
    ),
    Kind.ITF14: Template(
        105, 60, Symbol(14, 18, 0.508, 30), text=(Text("{name}", 14, 11, 6), Text("{data}", 26, 57, 5))
    ),
}
