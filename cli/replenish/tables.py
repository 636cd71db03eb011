"""What the commands of `codefence replenish` share: options that name columns, days, zones and small tables."""

import csv
from datetime import date, timedelta
from itertools import chain
from pathlib import Path
from typing import Final, TextIO
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click
import numpy as np

from trace_service.replenishment.demand.coming import GREATEST_UPLIFT, LEAST_UPLIFT, LONGEST_PROMOTION, Promotion
from trace_service.replenishment.demand.festivals import festivals
from trace_service.replenishment.demand.history import History, Series
from trace_service.replenishment.demand.sheets import day_of, delimiter, encodings, opened
from trace_service.replenishment.demand.table import Reading
from trace_service.replenishment.errors import DemandTableError
from trace_service.replenishment.lines import MOST_ITEMS, Line
from trace_service.replenishment.night.planning import Stock

_MOST: Final = 10**9
_LARGEST_TABLE: Final = 64 * 2**20


def mapped_columns(pairs: tuple[str, ...]) -> dict[str, str]:
    """Return the headers that `--column NAME=HEADER` gives."""
    found = {}
    for pair in pairs:
        name, separator, header = pair.partition("=")
        if not (name and separator and header):
            raise click.BadParameter(f"{pair!r} is not NAME=HEADER", param_hint="--column")
        found[name] = header
    return found


def time_zone(name: str) -> ZoneInfo:
    """Return a time zone by its name."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise click.BadParameter(f"there is no time zone {name!r}", param_hint="--zone") from error


def calendar_day(text: str, option: str) -> date:
    """Return the date that an option names."""
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is no date such as 2011-08-18", param_hint=option) from error


def price_list(path: Path | None) -> dict[str, float]:
    """Return prices by SKU; raises DemandTableError with line and column."""
    found: dict[str, float] = {}
    for line, row in table_rows(path, ("sku", "price")):
        if not row["price"]:
            continue
        found[row["sku"]] = number(path, line, "price", row["price"])
    return found


def holiday_list(path: Path | None) -> dict[date, str]:
    """Return the names of days; raises DemandTableError with line and column."""
    found = {}
    for line, row in table_rows(path, ("date", "name")):
        try:
            found[day_of(row["date"])] = row["name"]
        except ValueError as error:
            raise DemandTableError(f"{path}, line {line}, column date: {row['date']!r} is no date") from error
    return found


FESTIVALS: Final = click.option(
    "--festivals",
    type=click.Choice(["china"]),
    help="A calendar of holidays and shopping days to learn from and expect.",
)


def named_days(calendar: str | None, path: Path | None, span: tuple[date, date]) -> dict[date, str]:
    """Return the names of days by calendar and file; where both name one, the file's."""
    return (festivals(*span) if calendar == "china" else {}) | holiday_list(path)


def promotion_list(path: Path | None) -> list[Promotion]:
    """Return planned promotions; raises DemandTableError with line and column."""
    found = []
    for line, row in table_rows(path, ("sku", "from", "to")):
        first, last = (_promotion_day(path, line, column, row[column]) for column in ("from", "to"))
        if not timedelta(0) <= last - first <= LONGEST_PROMOTION:
            raise DemandTableError(f"{path}, line {line}, column to: a promotion lasts a day to a year")
        uplift = number(path, line, "uplift", row["uplift"]) if row.get("uplift") else None
        if uplift is not None and not LEAST_UPLIFT <= uplift <= GREATEST_UPLIFT:
            raise DemandTableError(f"{path}, line {line}, column uplift: {uplift:g} is not from .1 to 20")
        nodes = frozenset((row.get("nodes") or "").split())
        found.append(Promotion(gtin_of(row["sku"]), first, last, nodes, uplift, row.get("name") or ""))
    return found


def line_list(path: Path) -> list[Line]:
    """Return configured lines; raises DemandTableError with line and column."""
    found: dict[tuple[str, str], Line] = {}
    for line, row in table_rows(path, ("node", "sku", "reorder", "maximum")):
        reorder, maximum = (whole_number(path, line, name, row[name]) for name in ("reorder", "maximum"))
        if not reorder <= maximum <= MOST_ITEMS:
            raise DemandTableError(
                f"{path}, line {line}, column maximum: {maximum} is not from reorder to {MOST_ITEMS}"
            )
        demand = number(path, line, "daily_demand", row.get("daily_demand") or "0")
        if demand < 0:
            raise DemandTableError(f"{path}, line {line}, column daily_demand: {demand:g} is below 0")
        managed = row.get("managed") or "store"
        if managed not in {"store", "vendor"}:
            raise DemandTableError(f"{path}, line {line}, column managed: {managed!r} is neither store nor vendor")
        place = (row["node"], gtin_of(row["sku"]))
        if place in found:
            raise DemandTableError(f"{path}, line {line}: {' '.join(place)} stands there twice")
        found[place] = Line(*place, reorder, maximum, demand, managed)
    return list(found.values())


def gtin_of(sku: str) -> str:
    """Return a GTIN in 14 digits: shorter ones, and those that a spreadsheet took the zeros from, are filled up."""
    return sku.zfill(14) if sku.isascii() and sku.isdecimal() else sku


def _promotion_day(path: Path | None, line: int, column: str, text: str) -> date:
    try:
        return day_of(text)
    except ValueError as error:
        raise DemandTableError(f"{path}, line {line}, column {column}: {text!r} is no date") from error


def table_rows(path: Path | None, needed: tuple[str, ...]) -> list[tuple[int, dict[str, str]]]:
    """Return the rows of a small CSV with their lines, none for no file; raises DemandTableError."""
    if path is None:
        return []
    if path.stat().st_size > _LARGEST_TABLE:
        raise DemandTableError(f"{path} is larger than {_LARGEST_TABLE // 2**20} MB", advice="Load it in parts.")
    for encoding in encodings(path):
        try:
            with opened(path, encoding) as stream:
                return _rows_of(path, stream, needed)
        except UnicodeDecodeError:
            continue
        except csv.Error as error:
            raise DemandTableError(f"{path}: {error}", advice="Save it as CSV UTF-8.") from error
    raise DemandTableError(f"{path} is no text", advice="Save it as CSV UTF-8.")


def _rows_of(path: Path, stream: TextIO, needed: tuple[str, ...]) -> list[tuple[int, dict[str, str]]]:
    first = stream.readline()
    reader = csv.DictReader(chain([first], stream), restval="", delimiter=delimiter(first))
    missing = [name for name in needed if name not in (reader.fieldnames or ())]
    if missing:
        raise DemandTableError(f"{path}, line 1: no column {missing[0]!r}", advice=f"Name {', '.join(needed)}.")
    return [(reader.line_num, {name: (row[name] or "").strip() for name in reader.fieldnames or ()}) for row in reader]


def shelved(history: History, path: Path, reading: Reading) -> tuple[History, Stock]:
    """Return the stock in a CSV of node, sku, on_hand, on_order and capacity, and the history joined by new series."""
    shelf = [(line, row, series_of(row, reading.node)) for line, row in table_rows(path, ("sku", "on_hand"))]
    seen: set[Series] = set()
    for line, _, series in shelf:
        if series in seen:
            raise DemandTableError(f"{path}, line {line}: {series.node} {series.sku} stands there twice")
        seen.add(series)
    known = set(history.series)
    fresh = list(dict.fromkeys(series for _, _, series in shelf if series not in known))
    history = history.joined_by(fresh, reading.lead, reading.pack)
    places = {series: at for at, series in enumerate(history.series)}
    columns = {name: np.zeros(len(places), dtype=np.int64) for name in ("on_hand", "on_order", "capacity")}
    for line, row, series in shelf:
        for name, column in columns.items():
            column[places[series]] = whole_number(path, line, name, row.get(name) or "0")
    return history, Stock(columns["on_hand"], columns["on_order"], columns["capacity"])


def series_of(row: dict[str, str], node: str) -> Series:
    """Return the series that a row is about; `node` stands where it names none."""
    return Series(row.get("node") or node, row["sku"])


def whole_number(path: Path | None, line: int, column: str, text: str) -> int:
    """Return a whole number from 0 on; raises DemandTableError with line and column."""
    try:
        value = int(text)
    except ValueError as error:
        raise DemandTableError(f"{path}, line {line}, column {column}: {text!r} is no whole number") from error
    if not 0 <= value <= _MOST:
        raise DemandTableError(f"{path}, line {line}, column {column}: {value} is out of range")
    return value


def number(path: Path | None, line: int, column: str, text: str) -> float:
    """Return a finite number; raises DemandTableError with line and column."""
    try:
        value = float(text)
    except ValueError as error:
        raise DemandTableError(f"{path}, line {line}, column {column}: {text!r} is no number") from error
    if not abs(value) <= _MOST:
        raise DemandTableError(f"{path}, line {line}, column {column}: {text!r} is out of range")
    return value
