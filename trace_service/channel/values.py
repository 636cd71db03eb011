"""Cells become values: what people type, what spreadsheets make of it, and which of it is beyond repair."""

import re
import unicodedata
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import Any, Final, TypeAlias
from zoneinfo import ZoneInfo

from openpyxl.utils.datetime import from_excel

from contracts.gs1 import check_digit
from contracts.topics import is_reserved
from trace_service.channel.problems import FieldError

Cell: TypeAlias = str | int | float | bool | datetime | date | time | None
Parser: TypeAlias = Callable[[Cell], Any]

BUSINESS_ZONE: Final = ZoneInfo("Asia/Shanghai")
_LONGEST: Final = 200
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_SCIENTIFIC: Final = re.compile(r"\d(\.\d+)?[eE]\+?\d+")
_DATE: Final = re.compile(r"(\d{4})\s*[-/.年]\s*(\d{1,2})\s*[-/.月]\s*(\d{1,2})\s*日?")
_SPLIT: Final = re.compile(r"[;,、|\s]+")
# Days since 1899-12-30 as spreadsheets count them, for the years 1954 to 2119.
_SERIALS: Final = range(20000, 80000)
_GTIN_LENGTHS: Final = (8, 12, 13, 14)
_GTIN, _GLN = 14, 13
_YES: Final = frozenset({"yes", "y", "true", "1", "是", "独家", "已停用"})
_NO: Final = frozenset({"no", "n", "false", "0", "否", "非独家", "启用"})


def plain(cell: Cell) -> str:
    """Return a cell as text: full-width forms made ordinary, outer blanks gone, whole numbers without a point."""
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell)
    if isinstance(cell, datetime | date | time):
        return cell.isoformat()
    return unicodedata.normalize("NFKC", "" if cell is None else str(cell)).strip()


def text(cell: Cell) -> str:
    """Return a name: as written, without blanks at its ends; raises FieldError when it is too long or unprintable."""
    found = str(cell).strip() if isinstance(cell, str) else plain(cell)
    if len(found) > _LONGEST:
        raise FieldError("TOO_LONG", longest=_LONGEST)
    if not found.isprintable():
        raise FieldError("UNPRINTABLE")
    return found


def identifier(cell: Cell) -> str:
    """Return an id of letters, digits, hyphens and underscores."""
    found = plain(cell)
    if not _ID.fullmatch(found):
        raise FieldError("BAD_ID", value=found[:80])
    return found


def device_name(cell: Cell) -> str:
    """Return the id of a device, which may be none of those that are kept for ingest on the broker."""
    found = identifier(cell)
    if is_reserved(found):
        raise FieldError("RESERVED_ID", value=found)
    return found


def _digits(cell: Cell, lengths: tuple[int, ...], width: int) -> str:
    found = plain(cell).replace(" ", "")
    if _SCIENTIFIC.fullmatch(found):
        raise FieldError("PRECISION_LOST", value=found)
    if isinstance(cell, int | float) and found.isdecimal():
        found = found.zfill(width)  # a number has lost its leading zeros
    if not (found.isascii() and found.isdecimal()) or len(found) not in lengths:
        raise FieldError("BAD_KEY", value=found[:80], lengths=", ".join(map(str, lengths)))
    expected = check_digit(found[:-1])
    if expected != int(found[-1]):
        raise FieldError("CHECK_DIGIT", value=found, expected=str(expected), found=found[-1])
    return found.zfill(width)


def gtin(cell: Cell) -> str:
    """Return a GTIN of 8, 12, 13 or 14 digits with 14."""
    return _digits(cell, _GTIN_LENGTHS, _GTIN)


def gln(cell: Cell) -> str:
    """Return a GLN."""
    return _digits(cell, (_GLN,), _GLN)


def whole(least: int, largest: int) -> Parser:
    """Return a parser of whole numbers in a range."""

    def parse(cell: Cell) -> int:
        value = _decimal(cell)
        if value != value.to_integral_value() or not least <= value <= largest:
            raise FieldError("OUT_OF_RANGE", value=plain(cell)[:80], least=str(least), largest=str(largest))
        return int(value)

    return parse


def money(cell: Cell) -> str:
    """Return an amount with two digits after the point."""
    value = _decimal(cell)
    if not 0 <= value < 10**10 or value != round(value, 2):
        raise FieldError("OUT_OF_RANGE", value=plain(cell)[:80], least="0", largest="9999999999.99")
    return f"{value:.2f}"


def degrees(limit: int) -> Parser:
    """Return a parser of degrees up to ± `limit`."""

    def parse(cell: Cell) -> float:
        value = _decimal(cell)
        if abs(value) > limit:
            raise FieldError("COORDINATE_RANGE", value=plain(cell)[:80], limit=str(limit))
        return float(round(value, 7))

    return parse


def _decimal(cell: Cell) -> Decimal:
    found = plain(cell).replace(",", "")
    try:
        value = Decimal(found)
    except InvalidOperation as error:
        raise FieldError("NOT_A_NUMBER", value=found[:80]) from error
    if not value.is_finite() or abs(value.adjusted()) > 20:  # noqa: PLR2004  far beyond every range below
        raise FieldError("NOT_A_NUMBER", value=found[:80])
    return value


def yes_or_no(cell: Cell) -> bool:
    """Return a choice: yes, no, 是, 否, true, false, 1 or 0."""
    found = plain(cell).lower()
    if found in _YES | _NO:
        return found in _YES
    raise FieldError("NOT_YES_OR_NO", value=found[:80])


def choice(options: Mapping[str, str]) -> Parser:
    """Return a parser of one of several words; `options` gives the Chinese word of each."""
    known = {word.lower(): name for name, chinese in options.items() for word in (name, chinese)}

    def parse(cell: Cell) -> str:
        found = plain(cell)
        if found.lower() not in known:
            raise FieldError("UNKNOWN_CHOICE", value=found[:80], options=", ".join(options))
        return known[found.lower()]

    return parse


def many(cell: Cell) -> list[str]:
    """Return a list of words, sorted, each once; commas, semicolons and blanks part them."""
    return sorted({word for word in _SPLIT.split(plain(cell)) if word})


def day(cell: Cell) -> str:
    """Return a day as YYYY-MM-DD, from a date, a text or a spreadsheet's serial; a time with offset stays one."""
    if isinstance(cell, str) and "T" in cell:
        return moment(cell).isoformat()
    return _day(cell).isoformat()


def _day(cell: Cell) -> date:
    if isinstance(cell, datetime):
        return cell.date()
    if isinstance(cell, date):
        return cell
    found = plain(cell)
    if found.isdecimal() and int(found) in _SERIALS:
        serial = from_excel(int(found))
        if isinstance(serial, datetime):
            return serial.date()
    parts = _DATE.fullmatch(found)
    try:
        if parts is not None:
            return date(*map(int, parts.groups()))
        return datetime.fromisoformat(found).date()
    except ValueError as error:
        raise FieldError("NOT_A_DATE", value=found[:80]) from error


def moment(cell: Cell) -> datetime:
    """Return a moment in UTC: an ISO time with its offset, or the beginning of a day in China."""
    found = plain(cell)
    if "T" in found and not isinstance(cell, datetime):
        try:
            value = datetime.fromisoformat(found)
        except ValueError as error:
            raise FieldError("NOT_A_DATE", value=found[:80]) from error
        if value.tzinfo is None:
            raise FieldError("NO_TIME_ZONE", value=found[:80])
        return value.astimezone(UTC)
    return start_of(_day(cell))


def start_of(value: date) -> datetime:
    """Return the beginning of a day in China, in UTC."""
    return datetime.combine(value, time(), BUSINESS_ZONE).astimezone(UTC)
