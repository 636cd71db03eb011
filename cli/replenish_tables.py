"""What the commands of `codefence replenish` share: options that name columns, days, zones and small tables."""

import csv
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click

from trace_service.replenishment.errors import DemandTableError


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
        try:
            found[row["sku"]] = float(row["price"])
        except ValueError as error:
            raise DemandTableError(f"{path}, line {line}, column price: {row['price']!r} is no number") from error
    return found


def holiday_list(path: Path | None) -> dict[date, str]:
    """Return the names of days; raises DemandTableError with line and column."""
    found = {}
    for line, row in table_rows(path, ("date", "name")):
        try:
            found[date.fromisoformat(row["date"])] = row["name"]
        except ValueError as error:
            raise DemandTableError(f"{path}, line {line}, column date: {row['date']!r} is no date") from error
    return found


def table_rows(path: Path | None, needed: tuple[str, ...]) -> list[tuple[int, dict[str, str]]]:
    """Return the rows of a small CSV with their lines, none for no file; raises DemandTableError."""
    if path is None:
        return []
    with path.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.DictReader(stream, restval="")
        missing = [name for name in needed if name not in (reader.fieldnames or ())]
        if missing:
            raise DemandTableError(f"{path}, line 1: no column {missing[0]!r}", advice=f"Name {', '.join(needed)}.")
        return [(reader.line_num, row) for row in reader]
