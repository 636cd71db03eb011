"""CSV and JSON-lines files of a world folder, plain or gzipped: errors name file, line and column."""

import codecs
import csv
import gzip
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from math import inf
from pathlib import Path
from typing import BinaryIO, Final, TextIO, TypeVar, cast

import msgspec

from trace_service.backtest.errors import WorldError

T = TypeVar("T")
BOM: Final = codecs.BOM_UTF8
"""Some programs begin a text so; no reader minds."""
# Brackets in brackets in brackets are no error of the form, and still cannot be read.
UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
# As many approvers as a number says, where it is no list.
_NUMBERS: Final = frozenset(("lat", "lon", "accuracy_m", "count", "scanned_items", "approvers"))
_LISTS: Final = frozenset(("codes", "approvers"))
_FOLDER_FORMAT: Final = "docs/detection.md lists the files and their columns."


def find(folder: Path, name: str) -> Path | None:
    """Return a file of the folder, plain or gzipped, or None."""
    return next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)


def require(folder: Path, name: str) -> Path:
    """Return a file of the folder. Raises WorldError where there is none."""
    if not folder.is_dir():
        raise WorldError(f"{folder} is no folder", advice="Name a folder that `codefence world generate` wrote.")
    found = find(folder, name)
    if found is None:
        raise WorldError(f"{folder}: there is no {name} or {name}.gz", advice=_FOLDER_FORMAT)
    return found


def open_bytes(path: Path) -> BinaryIO:
    """Open a file for reading, unpacked where its name ends in .gz."""
    return cast("BinaryIO", gzip.open(path, "rb")) if path.suffix == ".gz" else path.open("rb")


def _open_text(path: Path) -> TextIO:
    if path.suffix == ".gz":
        return cast("TextIO", gzip.open(path, "rt", encoding="utf-8-sig", newline=""))
    return path.open(encoding="utf-8-sig", newline="")


class Row:
    """One row, whose cells are read by column name and blamed by file, line and column."""

    __slots__ = ("_cells", "_columns", "_line", "_path")

    def __init__(self, path: Path, columns: dict[str, int]) -> None:
        self._path, self._columns = path, columns
        self._cells: list[str] = []
        self._line = 0

    def fill(self, line: int, cells: list[str]) -> None:
        """Become the next row; one object serves a whole file."""
        self._line, self._cells = line, cells

    def text(self, column: str) -> str:
        """Return a cell without the space around it."""
        return self._cells[self._columns[column]].strip()

    def name(self, column: str) -> str:
        """Return a cell that identifies something, so that it cannot be empty."""
        return self._read(column, _filled, "id or code")

    def texts(self, column: str) -> tuple[str, ...]:
        """Return the parts of a cell that `;` separates."""
        return tuple(part for each in self.text(column).split(";") if (part := each.strip()))

    def _read(self, column: str, convert: Callable[[str], T], wanted: str) -> T:
        text = self.text(column)
        try:
            return convert(text)
        except (ValueError, OverflowError):
            raise WorldError(
                f"{self._path}, line {self._line}, column {column}: {text!r} is no {wanted}", advice=_FOLDER_FORMAT
            ) from None

    def number(self, column: str, default: float | None = None) -> float:
        """Return a finite number, or the default for an empty cell."""
        if default is not None and not self.text(column):
            return default
        return self._read(column, _finite, "number")

    def at_least(self, column: str, least: float, default: float) -> float:
        """Return a number that cannot be smaller, or the default for an empty cell."""
        if not self.text(column):
            return default
        return self._read(column, lambda text: _between(text, least, inf), f"number of at least {least:g}")

    def degrees(self, default: float | None = None) -> tuple[float, float]:
        """Return latitude and longitude of WGS-84, the default for each empty cell."""
        lat, lon = (
            default
            if default is not None and not self.text(column)
            else self._read(column, partial(_between, least=-most, most=most), f"number from −{most} to {most}")
            for column, most in (("lat", 90), ("lon", 180))
        )
        return lat, lon

    def moment(self, column: str) -> int:
        """Return a time in milliseconds since the epoch."""
        return self._read(column, milliseconds, "time such as 2026-03-01T08:00:00.000Z")

    def perhaps(self, column: str) -> int | None:
        """Return a time in milliseconds since the epoch, None for an empty cell."""
        return self.moment(column) if self.text(column) else None


def _finite(text: str) -> float:
    number = float(text)
    if number - number != 0:
        raise ValueError(text)
    return number


def _filled(text: str) -> str:
    if not text:
        raise ValueError(text)
    return text


def _between(text: str, least: float, most: float) -> float:
    if not least <= (number := _finite(text)) <= most:
        raise ValueError(text)
    return number


def milliseconds(text: str) -> int:
    """Return a time as milliseconds since the epoch; one without a zone is UTC. Raises ValueError."""
    return to_milliseconds(datetime.fromisoformat(text))


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def to_milliseconds(moment: datetime) -> int:
    """Return a time as milliseconds since the epoch; one without a zone is UTC."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    passed = aware - _EPOCH
    return (passed.days * 86_400 + passed.seconds) * 1000 + passed.microseconds // 1000


def rows(folder: Path, name: str, columns: Sequence[str], notice: Callable[[str], None]) -> Iterator[Row]:
    """Yield the rows of a table. Raises WorldError for a missing file or column, and for a short row."""
    path = require(folder, name)
    with _open_text(path) as lines:
        reader = csv.reader(lines)
        try:
            header = [each.strip() for each in next(reader, [])]
            for column in columns:
                if column not in header:
                    raise WorldError(f"{path}, line 1: column {column} is missing", advice=_FOLDER_FORMAT)
            for unknown in [each for each in header if each not in columns]:
                notice(f"{path.name}: unknown column {unknown} ignored")
            row = Row(path, {column: header.index(column) for column in columns})
            for cells in reader:
                if not cells:
                    continue
                if len(cells) < len(header):
                    missing = header[len(cells)]
                    raise WorldError(
                        f"{path}, line {reader.line_num}, column {missing} is missing", advice=_FOLDER_FORMAT
                    )
                row.fill(reader.line_num, cells)
                yield row
        except (csv.Error, UnicodeDecodeError, EOFError, gzip.BadGzipFile) as error:
            raise WorldError(f"{path}, line {reader.line_num + 1}: {error}", advice="Write it anew.") from error


def told(value: object, key: str = "") -> object:
    """Return what JSON says in the kinds of values that its keys have: ids are texts, and null is nothing said."""
    if isinstance(value, dict):
        return {name: told(each, name) for name, each in value.items() if each is not None and each != ""}
    if key in _LISTS and isinstance(value, str):
        return [part for each in value.split(";") if (part := each.strip())]
    if isinstance(value, list):
        return [told(each) for each in value]
    if key in _NUMBERS or isinstance(value, bool):
        return value
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value) if isinstance(value, int) else value
