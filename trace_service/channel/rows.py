"""Sheets become entries: every cell read by its column, every problem with its place."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from trace_service.channel.files import Formula, Sheet
from trace_service.channel.problems import FieldError, FileProblemError, Problem, Spot
from trace_service.channel.tables import Column, Table, table_named
from trace_service.channel.values import Cell, plain

_NOTES = ("readme", "notes", "说明", "填写说明")


@dataclass(frozen=True)
class Entry:
    """One row that could be read; `valid_from` is None where the file gives none."""

    kind: str
    key: str
    facts: dict[str, Any]
    ended: bool
    valid_from: datetime | None
    spot: Spot
    headings: dict[str, str] = field(repr=False)

    def problem(self, code: str, column: str = "", **parameters: object) -> Problem:
        """Return an error at one of the row's cells."""
        return Problem(code, self.spot._replace(column=self.headings.get(column, column)), dict(parameters))

    def warning(self, code: str, column: str = "", **parameters: object) -> Problem:
        """Return a warning at one of the row's cells."""
        return self.problem(code, column, **parameters)._replace(severity="warning")


def read_entries(sheet: Sheet, problems: list[Problem]) -> Iterator[Entry]:
    """Yield the rows of a sheet that can be read, and add to `problems` what cannot."""
    if sheet.name.strip().lower().startswith(_NOTES):
        return
    table = table_named(sheet.name)
    if table is None:
        problems.append(Problem("UNKNOWN_TABLE", sheet.spot, {"name": sheet.name[:80]}))
        return
    try:
        columns: list[tuple[Column, str] | None] | None = None
        for number, cells in sheet.rows:
            if all(isinstance(cell, str | None) and not (cell or "").strip() for cell in cells):
                continue
            if columns is None:
                columns = _columns(table, cells, sheet.spot._replace(row=number), problems)
                if columns is None:
                    return
                continue
            entry = _entry(table, columns, cells, (sheet.spot._replace(row=number), problems))
            if entry is not None:
                yield entry
        if columns is None:
            problems.append(Problem("EMPTY_TABLE", sheet.spot, {}))
    except FileProblemError as error:
        problems.append(error.problem)


def _columns(
    table: Table, cells: list[Cell | Formula], spot: Spot, problems: list[Problem]
) -> list[tuple[Column, str] | None] | None:
    """Match headings; None, with the problems noted, where the table cannot be read by them."""
    found: list[tuple[Column, str] | None] = []
    seen: set[str] = set()
    before = len(problems)
    for cell in cells:
        heading = "" if isinstance(cell, Formula) else plain(cell)
        column = table.column(heading) if heading else None
        if heading and column is None:
            problems.append(Problem("UNKNOWN_COLUMN", spot._replace(column=heading[:80]), {"name": heading[:80]}))
        if column is not None and column.name in seen:
            problems.append(Problem("COLUMN_TWICE", spot._replace(column=heading), {"name": heading}))
        if column is not None:
            seen.add(column.name)
        found.append((column, heading) if column else None)
    problems.extend(
        Problem("COLUMN_MISSING", spot, {"name": column.name, "zh": column.zh})
        for column in table.columns
        if column.required and column.name not in seen
    )
    return found if len(problems) == before else None


def _entry(
    table: Table, columns: list[tuple[Column, str] | None], cells: list[Cell | Formula],
    place: tuple[Spot, list[Problem]],
) -> Entry | None:  # fmt: skip
    spot, problems = place
    before = len(problems)
    values: dict[str, Any] = {each.name: _default(each) for each in table.all_columns}
    headings: dict[str, str] = {}
    for known, cell in zip(columns, cells, strict=False):
        if known is not None:
            column, heading = known
            headings[column.name] = heading
            _read(column, cell, values, (spot._replace(column=heading), problems))
    for extra in cells[len(columns) :]:
        if not isinstance(extra, str | None) or (extra or "").strip():
            problems.append(Problem("CELL_BEYOND", spot, {}))
    for column in table.columns:
        if column.required and not values[column.name] and values[column.name] != 0 and len(problems) == before:
            problems.append(Problem("VALUE_MISSING", spot._replace(column=headings.get(column.name, "")), {}))
    if len(problems) > before:
        return None
    key, ended, valid_from = values.pop(table.key.name), values.pop("ended"), values.pop("valid_from")
    if "name_en" in values:
        values["name_en"] = values["name_en"] or values["name_zh"]
    return Entry(table.kind, key, values, ended, valid_from, spot, headings)


def _default(column: Column) -> Any:  # noqa: ANN401  a value of the column's own type
    return list(column.default) if isinstance(column.default, tuple) else column.default


def _read(column: Column, cell: Cell | Formula, values: dict[str, Any], place: tuple[Spot, list[Problem]]) -> None:
    spot, problems = place
    if isinstance(cell, Formula):
        problems.append(Problem(cell.code, spot, {}))
        return
    if plain(cell) == "":
        return
    try:
        values[column.name] = column.parse(cell)
    except FieldError as error:
        problems.append(Problem(error.code, spot, error.parameters))
