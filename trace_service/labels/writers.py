"""What labels are written as: folders of pictures, sheets, printer commands, tables."""

import csv
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final, TextIO

from trace_service.labels.model import Kind, Label, LabelError
from trace_service.labels.pdf import PdfLabels, Sheet
from trace_service.labels.raster import Raster, png
from trace_service.labels.svg import SvgLabels
from trace_service.labels.template import Template
from trace_service.labels.zpl import ZplLabels

Write = Callable[[Path, Iterable[Label]], int]
"""Writes labels to a path where nothing is yet, and returns their number."""
_COLUMNS: Final = ("data", "name", "gtin", "serial", "sscc", "counter", "lot", "produced", "expires")
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


class Format(StrEnum):
    """What labels are written as."""

    PNG = "png"
    SVG = "svg"
    PDF = "pdf"
    ZPL = "zpl"
    CSV = "csv"

    @property
    def is_text(self) -> bool:
        """Whether a whole job may be one stream."""
        return self in {Format.ZPL, Format.CSV}


@dataclass(frozen=True)
class Design:
    """How the labels of a job look. `constants` are the values that all of them share, by field name."""

    kind: Kind
    format: Format
    template: Template
    constants: Mapping[str, str]
    sheet: Sheet


def writer_of(design: Design) -> Write:
    """Return what writes one part; raises `LabelError` where the logo or a font is missing."""
    look = (design.kind, design.template, design.constants)
    match design.format:
        case Format.PNG:
            raster = Raster(*look)
            return _folder(lambda label: png(raster.draw(label), design.template.dpi), "png")
        case Format.SVG:
            return _folder(SvgLabels(*look).draw, "svg")
        case Format.PDF:
            return PdfLabels(*look, design.sheet).write
        case Format.ZPL | Format.CSV:
            return lambda path, labels: _text_file(design, path, labels)


def _folder(draw: Callable[[Label], bytes], suffix: str) -> Write:
    def write(path: Path, labels: Iterable[Label]) -> int:
        path.mkdir()
        return sum((path / f"{label.name}.{suffix}").write_bytes(draw(label)) > 0 for label in labels)

    return write


def _text_file(design: Design, path: Path, labels: Iterable[Label]) -> int:
    with path.open("w", encoding="utf-8", newline="") as file:
        return text_writer(design, file)(labels)


def text_writer(design: Design, to: TextIO) -> Callable[[Iterable[Label]], int]:
    """Return what appends labels to a stream, whose beginning is written at once."""
    if design.format is Format.ZPL:
        printer = ZplLabels(design.kind, design.template, design.constants)
        to.write(printer.preamble)
        return lambda labels: sum(bool(to.write(printer.draw(label))) for label in labels)
    table = csv.writer(to, lineterminator="\r\n")
    table.writerow(_COLUMNS)
    return lambda labels: sum(bool(table.writerow(_row(design, label))) for label in labels)


def _row(design: Design, label: Label) -> list[str]:
    values = {**design.constants, **label.values}
    row = [values.get(column, "") for column in _COLUMNS]
    for cell in row:
        if cell.startswith(_FORMULA):
            raise LabelError(
                f"{cell!r} would be a formula in a spreadsheet", advice="Print it as ZPL, or name the lot otherwise."
            )
    return row
