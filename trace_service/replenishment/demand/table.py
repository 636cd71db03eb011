"""Reads `demand.csv` into a history; nothing wrong in it becomes a silent number."""

import csv
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from itertools import chain
from pathlib import Path
from typing import Final, NamedTuple, TextIO
from zoneinfo import ZoneInfo

import numpy as np

from trace_service.replenishment.demand.fields import Flag, Row, RowReader
from trace_service.replenishment.demand.history import History, Series, spikes
from trace_service.replenishment.demand.kernel import Mask
from trace_service.replenishment.demand.sheets import UTF8, delimiter, encodings, opened
from trace_service.replenishment.errors import DemandTableError

NEEDED: Final = ("sku", "date", "units")
OPTIONAL: Final = ("node", "stock", "price", "pack", "lead_time", "expiry_days", "promotion")
_BUSY: Final = 10
"""So many products with sales on a mean day, and a day without any is no chance."""
_HALF: Final = 0.5
_THIN: Final = 0.05
_WEEKDAYS: Final = 7


@dataclass(frozen=True, slots=True)
class Reading:
    """How a table is to be read: headers of columns that are called otherwise, and what holds where it says nothing."""

    columns: Mapping[str, str] = field(default_factory=dict)
    node: str = "all"
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))
    lead: int = 5
    pack: int = 6
    prices: Mapping[str, float] = field(default_factory=dict)


class Table(NamedTuple):
    """A history, and what is wrong with the table that it was read from."""

    history: History
    flags: list[Flag]
    rows: int
    sold_out_days: int


def read_demand(path: Path, reading: Reading) -> Table:
    """Return the demand in a CSV file, gzipped if its name says so. Raises DemandTableError, naming line and column."""
    try:
        for encoding in encodings(path):
            try:
                with opened(path, encoding) as stream:
                    return _read(stream, path, reading, encoding)
            except UnicodeDecodeError:
                continue
    except (OSError, EOFError) as error:
        raise DemandTableError(f"{path}: {error}", advice="Give a CSV file in UTF-8.") from error
    raise DemandTableError(f"{path} is no text", advice="Give a CSV file in UTF-8; Excel calls it CSV UTF-8.")


def _read(stream: TextIO, path: Path, reading: Reading, encoding: str) -> Table:
    first = stream.readline()
    if not first.strip():
        raise DemandTableError(f"{path}, line 1 is empty", advice=f"It must name {', '.join(NEEDED)}.")
    rows = csv.reader(chain([first], stream), delimiter=delimiter(first))
    header = [name.strip() for name in next(rows, [])]
    places = {}
    for column in (*NEEDED, *OPTIONAL):
        name = reading.columns.get(column, column)
        if header.count(name) > 1:
            raise DemandTableError(f"{path}, line 1: two columns are called {name!r}", advice="Rename one of them.")
        if name in header:
            places[column] = header.index(name)
        elif column in NEEDED or column in reading.columns:
            meant = "" if name == column else f" for {column}"
            raise DemandTableError(
                f"{path}, line 1: no column {name!r}{meant}, only {', '.join(header)[:200]}",
                advice=f"The first line must name {', '.join(NEEDED)}; --column {column}=NAME maps another name.",
            )
    reader = RowReader(places, len(header), reading.node, reading.zone)
    if encoding != UTF8:
        reader.flags.append(Flag(None, "", "encoding", "noted", f"it is not in UTF-8: read as {encoding}"))
    gathered = _Gathered(reader)
    for line, cells in _numbered(rows, path):
        if cells:
            gathered.take(line, cells)
    return gathered.table(reading, lead_column="lead_time" in places)


def _numbered(rows: "Iterator[list[str]]", path: Path) -> Iterator[tuple[int, list[str]]]:
    line = 1
    try:
        for cells in rows:
            line += 1
            yield line, cells
    except csv.Error as error:
        raise DemandTableError(f"{path}, line {line + 1}: {error}", advice="Quote what holds commas.") from error


class _Gathered:
    """The rows of a table as they come: numbers of series, days and units, and the last word on each series."""

    def __init__(self, reader: RowReader) -> None:
        self._reader = reader
        self._series: dict[Series, int] = {}
        self._sums: dict[tuple[int, int], float] = {}
        self._promoted: set[tuple[int, int]] = set()
        self._empty: set[tuple[int, int]] = set()
        self._latest: dict[tuple[int, str], float] = {}
        self._rows = 0

    def take(self, line: int, cells: list[str]) -> None:
        self._rows += 1
        row = self._reader.read(line, cells)
        if row is None:
            return
        number = self._series.setdefault(Series(row.node, row.sku), len(self._series))
        cell = (number, row.day.toordinal())
        if row.timed:
            # A time means a sale, of which a day has many.
            self._sums[cell] = self._sums.get(cell, 0.0) + row.units
        elif cell not in self._sums:
            self._sums[cell] = row.units
        elif self._sums[cell] == row.units:
            self._reader.flags.append(
                Flag(line, "date", "duplicate_row", "repaired", "the day was there: counted once")
            )
        else:
            self._sums[cell] += row.units
            self._reader.flags.append(Flag(line, "date", "duplicate_day", "repaired", "the day was there: added to it"))
        self._note(number, cell, row)

    def _note(self, number: int, cell: tuple[int, int], row: Row) -> None:
        if row.promoted:
            self._promoted.add(cell)
        if row.stock is not None and row.stock <= 0 and row.units <= 0:
            self._empty.add(cell)
        for name in ("price", "pack", "lead", "expiry_days"):
            value = getattr(row, name)
            if value is not None:
                self._latest[number, name] = value

    def table(self, reading: Reading, *, lead_column: bool) -> Table:
        if not self._sums:
            raise DemandTableError("the table holds no usable row", advice=_first(self._reader.flags))
        flags = self._reader.flags
        cells = np.array(list(self._sums))
        units = np.array(list(self._sums.values()))
        ordinals = _trading_days(cells, units, flags)
        place = {int(ordinal): index for index, ordinal in enumerate(ordinals)}
        days = tuple(date.fromordinal(int(each)) for each in ordinals)
        shape = (len(self._series), len(days))
        matrix = np.zeros(shape)
        kept = np.isin(cells[:, 1], ordinals)
        matrix[cells[kept, 0], np.searchsorted(ordinals, cells[kept, 1])] = units[kept]
        empty = _marked(self._empty, place, shape)
        series = tuple(self._series)
        known = ~empty & ~_gaps(series, days, matrix, flags) & ~_spikes(series, days, matrix, flags)
        if lead_column:
            self._unknown_leads(series, reading, flags)
        priced = bool(reading.prices) or any(name == "price" for _, name in self._latest)
        prices = self._prices(series, reading.prices, flags if priced else [])
        history = History(
            series, days, matrix, known, _marked(self._promoted, place, shape), prices,
            self._column("pack", reading.pack), self._column("lead", reading.lead), self._column("expiry_days", 0),
            priced,
        )  # fmt: skip
        return Table(history, flags, self._rows, int(empty.sum()))

    def _column(self, name: str, default: int) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
        return np.array([int(self._latest.get((each, name), default)) for each in range(len(self._series))])

    def _prices(
        self, series: tuple[Series, ...], listed: Mapping[str, float], flags: list[Flag]
    ) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
        found = np.array([self._latest.get((at, "price"), listed.get(s.sku, np.nan)) for at, s in enumerate(series)])
        unknown = np.isnan(found)
        middle = float(np.median(found[~unknown])) if not unknown.all() else 1.0
        for at in np.flatnonzero(unknown):
            detail = f"{series[at].node} {series[at].sku}: the median, {middle:g}, is taken"
            flags.append(Flag(None, "price", "price_unknown", "repaired", detail))
        found[unknown] = middle
        return found

    def _unknown_leads(self, series: tuple[Series, ...], reading: Reading, flags: list[Flag]) -> None:
        for at, each in enumerate(series):
            if (at, "lead") not in self._latest:
                detail = f"{each.node} {each.sku}: {reading.lead} days are taken"
                flags.append(Flag(None, "lead_time", "lead_time_unknown", "repaired", detail))


def _first(flags: list[Flag]) -> str:
    wrong = next((flag for flag in flags if flag.done == "refused"), None)
    return f"Line {wrong.line}, column {wrong.column}: {wrong.detail}." if wrong else "It has only a header."


def _marked(cells: set[tuple[int, int]], place: dict[int, int], shape: tuple[int, int]) -> Mask:
    found = np.zeros(shape, dtype=bool)
    for number, ordinal in cells:
        if ordinal in place:
            found[number, place[ordinal]] = True
    return found


def _trading_days(
    cells: "np.ndarray[tuple[int, int], np.dtype[np.int64]]",
    units: "np.ndarray[tuple[int], np.dtype[np.float64]]",
    flags: list[Flag],
) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    """Return the days on which anything was sold; where many products sell, a day without a sale was closed."""
    ordinals, at = np.unique(cells[:, 1], return_inverse=True)
    selling = np.bincount(at, weights=units > 0, minlength=len(ordinals))
    busy = float(selling[selling > 0].mean()) >= _BUSY if (selling > 0).any() else False
    closed = [date.fromordinal(int(each)) for each in ordinals[selling == 0]] if busy else []
    flags.extend(Flag(None, "date", "closed_day", "noted", f"{day}: nothing was sold") for day in closed)
    trading = ordinals[selling > 0] if busy else ordinals
    thin = [date.fromordinal(int(each)) for each in ordinals[(selling > 0) & (selling < _THIN * selling.mean())]]
    flags.extend(Flag(None, "date", "thin_day", "noted", f"{day}: hardly anything was sold") for day in thin if busy)
    _missing_days(trading, flags)
    return trading


def _missing_days(trading: "np.ndarray[tuple[int], np.dtype[np.int64]]", flags: list[Flag]) -> None:
    """Note days that are not there although their weekday trades in most weeks: a holiday, or a hole in the data."""
    there = {int(each) for each in trading}
    span = range(int(trading[0]), int(trading[-1]) + 1)
    open_days = Counter(each % _WEEKDAYS for each in there)
    all_days = Counter(each % _WEEKDAYS for each in span)
    for each in span:
        if each not in there and open_days[each % _WEEKDAYS] >= _HALF * all_days[each % _WEEKDAYS]:
            detail = f"{date.fromordinal(each)}: no row, not counted as a trading day"
            flags.append(Flag(None, "date", "missing_day", "noted", detail))


def _gaps(
    series: tuple[Series, ...],
    days: tuple[date, ...],
    units: "np.ndarray[tuple[int, int], np.dtype[np.float64]]",
    flags: list[Flag],
) -> Mask:
    """Return where a node that always sells says nothing at all while others do: such days teach nothing."""
    found = np.zeros(units.shape, dtype=bool)
    week = np.array([day.weekday() for day in days])
    nodes = np.array([each.node for each in series])
    for node in sorted(set(nodes.tolist())):
        own = nodes == node
        selling = (units[own] > 0).sum(axis=0)
        usual = np.array([selling[week == each].mean() if (week == each).any() else 0 for each in range(_WEEKDAYS)])
        silent = (selling == 0) & (selling.mean() >= _BUSY)
        for at in np.flatnonzero(silent):
            found[own, at] = True
            if usual[week[at]] >= _HALF * selling.mean():
                detail = f"{node} {days[at]}: no sale of any product, the day is left out"
                flags.append(Flag(None, "date", "gap", "repaired", detail))
    return found


def _spikes(
    series: tuple[Series, ...],
    days: tuple[date, ...],
    units: "np.ndarray[tuple[int, int], np.dtype[np.float64]]",
    flags: list[Flag],
) -> Mask:
    """Return single days that outdo all others so far that every forecast would follow from them."""
    found = spikes(units)
    for number, at in np.argwhere(found):
        detail = f"{series[number].node} {series[number].sku} {days[at]}: {units[number, at]:g} units in a day"
        flags.append(Flag(None, "units", "spike", "repaired", f"{detail}; it is demand, and teaches nothing"))
    return found
