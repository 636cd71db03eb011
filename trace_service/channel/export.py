"""The channel as files: what is in force at a moment, in the tables that the import reads, and empty templates."""

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final, Literal, TypeAlias

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE
from openpyxl.styles import Font

from trace_service.channel.files import DANGEROUS
from trace_service.channel.tables import TABLES, Column, Table
from trace_service.channel.versions import ALWAYS, Channel, Version

_NEGATIVE: Final = re.compile(r"-\d+(\.\d+)?")
Language: TypeAlias = Literal["zh", "en"]
Value: TypeAlias = str | int | float | Decimal | date | None


def rows_of(channel: Channel, brand: str, table: Table, moment: datetime) -> Iterator[list[str]]:
    """Yield what is in force of one kind, a text per column, in the order of the columns."""
    for key, version in channel.in_force(table.kind, moment):
        if channel.lines[table.kind, key].brand == brand:
            yield [_text(column, key, version, table) for column in table.all_columns]


def _text(column: Column, key: str, version: Version, table: Table) -> str:
    if column is table.key:
        return key
    if column.name == "valid_from":
        return "" if version.valid_from == ALWAYS else version.valid_from.isoformat()
    value: Any = version.ended if column.name == "ended" else version.facts.get(column.name)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ";".join(value)
    return "" if value is None else str(value)


def headings(table: Table, language: Language) -> list[str]:
    """Return a table's headings in a language."""
    return [column.zh if language == "zh" else column.name for column in table.all_columns]


def as_csv(head: list[str], rows: Iterator[list[str]]) -> bytes:
    """Return a CSV file in UTF-8 with a byte order mark, as spreadsheets expect; no cell can be run."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(head)
    writer.writerows([_harmless(cell) for cell in row] for row in rows)
    return text.getvalue().encode("utf-8-sig")


def _harmless(cell: str) -> str:
    return cell if not cell.startswith(DANGEROUS) or _NEGATIVE.fullmatch(cell) else f"'{cell}"


def as_excel(tables: Mapping[str, tuple[list[str], Iterator[Sequence[Value]]]]) -> bytes:
    """Return a workbook with a sheet per table; texts are cells of text, so that codes keep their zeros."""
    book = Workbook(write_only=True)
    for name, (head, rows) in tables.items():
        sheet = book.create_sheet(name)
        sheet.freeze_panes = "A2"
        sheet.append([_cell(sheet, heading, bold=True) for heading in head])
        for row in rows:
            sheet.append([None if value in {None, ""} else _cell(sheet, value) for value in row])
    target = io.BytesIO()
    book.save(target)
    return target.getvalue()


def _cell(sheet: Any, value: Value, *, bold: bool = False) -> Any:  # noqa: ANN401  openpyxl's own
    cell: Any = WriteOnlyCell(sheet)
    # One such character, pasted into a note, would leave nobody a table.
    cell.value = ILLEGAL_CHARACTERS_RE.sub("", value) if isinstance(value, str) else value
    if not isinstance(value, str):
        return cell
    cell.data_type = "s"
    cell.number_format = "@"
    if bold:
        cell.font = Font(bold=True)
    return cell


def template_row(table: Table) -> list[str]:
    """Return the example of a template."""
    return [column.example for column in table.all_columns]


def all_tables(
    channel: Channel, brand: str, moment: datetime, language: Language
) -> dict[str, tuple[list[str], Iterator[list[str]]]]:
    """Return every table of a brand under its name in a language."""
    return {
        (table.zh if language == "zh" else table.name): (
            headings(table, language),
            rows_of(channel, brand, table, moment),
        )
        for table in TABLES
    }
