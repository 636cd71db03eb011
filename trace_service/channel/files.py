"""Files become rows of cells: CSV in UTF-8, UTF-16 or GB18030, and Excel without macros, within limits of size."""

import csv
import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, Final

from openpyxl import load_workbook
from openpyxl.utils.exceptions import InvalidFileException

from trace_service.channel.problems import FileProblemError, Problem, Spot
from trace_service.channel.values import Cell, plain

LARGEST_FILE: Final = 32 * 1024 * 1024
_LARGEST_UNPACKED: Final = 512 * 1024 * 1024
_MOST_PARTS: Final = 200
_MOST_ROWS: Final = 500_000
_MOST_COLUMNS: Final = 64
_LONGEST_CELL: Final = 10_000
_LEGACY_EXCEL: Final = b"\xd0\xcf\x11\xe0"
_ZIP: Final = b"PK\x03\x04"
_DOCTYPE_WITHIN: Final = 4096
# What a spreadsheet may run when it opens a text that begins so; the export puts an apostrophe before it.
DANGEROUS: Final = ("=", "+", "-", "@", "\t", "\r", "'")
_FORMULA_LETTERS: Final = ("=", "+", "@")


@dataclass(frozen=True)
class Formula:
    """A cell that holds a formula or an error instead of a value."""

    code: str


@dataclass(frozen=True)
class Sheet:
    """One table of a file: its name decides what it is about; rows are numbered as a spreadsheet shows them."""

    file: str
    name: str
    rows: Iterator[tuple[int, list[Cell | Formula]]]

    @property
    def spot(self) -> Spot:
        """Where it is, for problems of the whole sheet."""
        return Spot(self.file, self.name)


def read_sheets(name: str, content: bytes) -> list[Sheet]:
    """Return the sheets of one file. Raises FileProblemError for what cannot be read, or not safely."""
    spot = Spot(name)
    if len(content) > LARGEST_FILE:
        raise _refusal("FILE_TOO_LARGE", spot, megabytes=LARGEST_FILE // 2**20)
    if content.startswith(_LEGACY_EXCEL):
        raise _refusal("LEGACY_EXCEL", spot)
    if content.startswith(_ZIP):
        return _excel(name, content)
    return [Sheet(name, PurePath(name).stem, _csv_rows(_decoded(content, spot), spot))]


def _refusal(code: str, spot: Spot, **parameters: object) -> FileProblemError:
    return FileProblemError(Problem(code, spot, dict(parameters)))


def _decoded(content: bytes, spot: Spot) -> str:
    for encoding in ("utf-16",) if content.startswith((b"\xff\xfe", b"\xfe\xff")) else ("utf-8-sig", "gb18030"):
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    raise _refusal("UNKNOWN_ENCODING", spot)


def _csv_rows(text: str, spot: Spot) -> Iterator[tuple[int, list[Cell | Formula]]]:
    heading = text.split("\n", 1)[0]
    delimiter = max(",;\t，", key=heading.count)
    reader = csv.reader(io.StringIO(text), delimiter=delimiter, strict=True)
    first = 1
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise _refusal("BROKEN_CSV", spot._replace(row=first), reason=str(error)) from error
        _within_limits(first, len(cells), spot)
        yield first, [_csv_cell(cell) for cell in cells]
        first = reader.line_num + 1


def _csv_cell(cell: str) -> Cell | Formula:
    if len(cell) > _LONGEST_CELL:
        return Formula("TOO_LONG_CELL")
    bare = cell.strip()
    if len(bare) > 1 and bare.startswith('="') and bare.endswith('"'):
        return bare[2:-1]  # how spreadsheets are told to keep leading zeros
    if bare.startswith("'") and bare[1:2] in DANGEROUS:
        return bare[1:]  # how our own export keeps a text from being run
    return Formula("FORMULA") if bare.startswith(_FORMULA_LETTERS) else cell


def _within_limits(row: int, columns: int, spot: Spot) -> None:
    if row > _MOST_ROWS or columns > _MOST_COLUMNS:
        raise _refusal("TOO_MANY_ROWS", spot._replace(row=row), rows=_MOST_ROWS, columns=_MOST_COLUMNS)


def _excel(name: str, content: bytes) -> list[Sheet]:
    spot = Spot(name)
    _require_harmless(content, spot)
    try:
        book = load_workbook(io.BytesIO(content), read_only=True, data_only=False, keep_links=False)
    except (InvalidFileException, zipfile.BadZipFile, KeyError, ValueError, SyntaxError, OSError) as error:
        raise _refusal("BROKEN_EXCEL", spot, reason=str(error)[:200]) from error
    return [Sheet(name, sheet.title, _excel_rows(sheet, spot._replace(sheet=sheet.title))) for sheet in book.worksheets]


def _require_harmless(content: bytes, spot: Spot) -> None:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            parts = archive.infolist()
            names = [part.filename for part in parts]
            if "[Content_Types].xml" not in names or not any(name.startswith("xl/") for name in names):
                raise _refusal("NOT_A_TABLE", spot)
            if any("vbaproject" in name.lower() for name in names):
                raise _refusal("MACROS", spot)
            if len(parts) > _MOST_PARTS or sum(part.file_size for part in parts) > _LARGEST_UNPACKED:
                raise _refusal("UNPACKS_TOO_LARGE", spot, megabytes=_LARGEST_UNPACKED // 2**20)
            for part in parts:
                _require_plain_xml(archive, part, spot)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError) as error:
        raise _refusal("BROKEN_EXCEL", spot, reason=str(error)[:200]) from error


def _require_plain_xml(archive: zipfile.ZipFile, part: zipfile.ZipInfo, spot: Spot) -> None:
    """Refuse what could define entities: no spreadsheet needs a document type."""
    if part.filename.endswith((".xml", ".rels")):
        with archive.open(part) as file:
            head = file.read(_DOCTYPE_WITHIN)
        if b"<!" in head.replace(b"<!--", b"") or b"<\0!" in head:
            raise _refusal("UNSAFE_XML", spot, part=part.filename[:80])


def _excel_rows(sheet: Any, spot: Spot) -> Iterator[tuple[int, list[Cell | Formula]]]:  # noqa: ANN401  openpyxl's own
    sheet.reset_dimensions()  # what a file says of its size is a claim
    try:
        for number, row in enumerate(sheet.iter_rows(), start=1):
            _within_limits(number, 0 if len(row) <= _MOST_COLUMNS else _used(row), spot)
            yield number, [_excel_cell(cell) for cell in row[:_MOST_COLUMNS]]
    except (zipfile.BadZipFile, KeyError, ValueError, SyntaxError, OSError) as error:
        raise _refusal("BROKEN_EXCEL", spot, reason=str(error)[:200]) from error


def _used(row: tuple[Any, ...]) -> int:
    return max((index for index, cell in enumerate(row, start=1) if cell.value is not None), default=0)


def _excel_cell(cell: Any) -> Cell | Formula:  # noqa: ANN401  openpyxl's own
    value = cell.value
    if cell.data_type == "f":
        return Formula("FORMULA")
    if cell.data_type == "e":
        return Formula("CELL_ERROR")
    if isinstance(value, str):
        return Formula("TOO_LONG_CELL") if len(value) > _LONGEST_CELL else value
    return value if isinstance(value, int | float) or hasattr(value, "isoformat") else plain(value)
