"""One row of a demand table: its texts become figures, or flags that say line, column and reason."""

import math
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from trace_service.replenishment.demand.sheets import with_iso_day

_MOST: Final = 1e9
_TRUE: Final = frozenset({"1", "true", "yes", "y"})
_FALSE: Final = frozenset({"", "0", "false", "no", "n"})
_LONGEST_NAME: Final = 128


class Flag(NamedTuple):
    """Something wrong with the input: where, what, and what was done about it (`refused`, `repaired`, `noted`)."""

    line: int | None
    column: str
    reason: str
    done: str
    detail: str


@dataclass(slots=True)
class Row:
    """What a usable row says; None where a cell is empty or was flagged."""

    node: str
    sku: str
    day: date
    units: float
    timed: bool
    price: float | None = None
    stock: float | None = None
    pack: int | None = None
    lead: int | None = None
    expiry_days: int | None = None
    promoted: bool = False


class RowReader:
    """Reads rows whose columns lie at `places`; `node` stands where there is no such column."""

    def __init__(self, places: dict[str, int], width: int, node: str, zone: ZoneInfo) -> None:
        self._places = places
        self._width = width
        self._node = node
        self._zone = zone
        self._days: dict[str, tuple[date, bool, str] | str] = {}
        self.flags: list[Flag] = []

    def read(self, line: int, cells: list[str]) -> Row | None:
        """Return what a row says, None where it is refused."""
        if len(cells) != self._width:
            self._flag(line, "", "field_count", "refused", f"{len(cells)} fields, not {self._width}")
            return None
        node = self._text("node", cells) if "node" in self._places else self._node
        sku = self._text("sku", cells)
        for column, value in (("node", node), ("sku", sku)):
            if not 0 < len(value) <= _LONGEST_NAME:
                self._flag(line, column, "name", "refused", "empty or longer than 128 characters")
                return None
        when = self._day(self._text("date", cells))
        if isinstance(when, str):
            self._flag(line, "date", "date", "refused", when)
            return None
        if when[2]:
            self._flag(line, "date", "no_time_zone", "repaired", when[2])
        units = self._number(line, "units", cells, "refused")
        if units is None:
            return None
        if units < 0:
            self._flag(line, "units", "negative_units", "repaired", f"{units:g} is a return: demand counts as 0")
            units = 0.0
        row = Row(node, sku, when[0], units, when[1])
        self._extras(line, cells, row)
        return row

    def _extras(self, line: int, cells: list[str], row: Row) -> None:
        places = self._places
        if "price" in places:
            row.price = self._positive(line, "price", cells)
        if "stock" in places:
            row.stock = self._positive(line, "stock", cells)
        if "pack" in places:
            row.pack = self._whole(line, "pack", cells, 1)
        if "lead_time" in places:
            row.lead = self._whole(line, "lead_time", cells, 1)
        if "expiry_days" in places:
            row.expiry_days = self._whole(line, "expiry_days", cells, 1)
        if "promotion" in places:
            text = self._text("promotion", cells).lower()
            row.promoted = text in _TRUE
            if not row.promoted and text not in _FALSE:
                self._flag(line, "promotion", "not_yes_or_no", "repaired", f"{text[:40]!r} counts as no promotion")

    def _day(self, text: str) -> tuple[date, bool, str] | str:
        """Return (day, whether the text has a time, what was assumed), or why there is no day."""
        found = self._days.get(text)
        if found is None:
            found = self._days[text] = self._parsed(text)
        return found

    def _parsed(self, text: str) -> tuple[date, bool, str] | str:
        text = with_iso_day(text)
        try:
            if len(text) <= len("2011-01-01"):
                return date.fromisoformat(text), False, ""
            moment = datetime.fromisoformat(text)
        except ValueError:
            return f"{text[:40]!r} is no date such as 2011-08-18"
        if moment.tzinfo is None:
            return moment.date(), True, "a time without a zone: taken as the store's own"
        return moment.astimezone(self._zone).date(), True, ""

    def _number(self, line: int, column: str, cells: list[str], done: str) -> float | None:
        text = self._text(column, cells)
        try:
            value = float(text)
        except ValueError:
            self._flag(line, column, "not_a_number", done, f"{text[:40]!r} is no number")
            return None
        if not math.isfinite(value) or abs(value) > _MOST:
            self._flag(line, column, "out_of_range", done, f"{text[:40]!r} is beyond a thousand million")
            return None
        return value

    def _positive(self, line: int, column: str, cells: list[str]) -> float | None:
        if not self._text(column, cells):
            return None
        value = self._number(line, column, cells, "repaired")
        if value is not None and value < 0:
            self._flag(line, column, "negative", "repaired", f"{value:g} is ignored")
            return None
        return value

    def _whole(self, line: int, column: str, cells: list[str], least: int) -> int | None:
        if not self._text(column, cells):
            return None
        value = self._number(line, column, cells, "repaired")
        if value is None:
            return None
        if value < least or value != int(value):
            self._flag(line, column, "not_whole", "repaired", f"{value:g} is no whole number from {least} on: ignored")
            return None
        return int(value)

    def _text(self, column: str, cells: list[str]) -> str:
        return cells[self._places[column]].strip()

    def _flag(self, line: int, column: str, reason: str, done: str, detail: str) -> None:
        self.flags.append(Flag(line, column, reason, done, detail))
