"""The rules that a component of a value may have to keep, by name. Each returns what is wrong, or None.

Source: GS1 General Specifications, sections 3 and 7, and the GS1 Barcode Syntax Dictionary. The set of characters and
the length were checked before, so that "digits" is no question here.
"""

import calendar
import re
from collections.abc import Callable, Mapping
from typing import Final

from contracts.gs1.codelists import ALPHA2, COUNTRIES, CURRENCIES, MEDIA, PACKAGES
from contracts.gs1.coupons import coupon, positive_offer
from contracts.gs1.errors import Fault
from contracts.gs1.keys import check_digit, has_check_digit

Check = Callable[[str], Fault | None]

_SET82: Final = "!\"%&'()*+,-./0123456789:;<=>?ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"
_SET32: Final = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
_PRIMES: Final = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83)
_SHORTEST_PREFIX: Final = 4
_SHORTEST_IBAN: Final = 11
_LATITUDE_LIMIT: Final = 1_800_000_000
_LONGITUDE_LIMIT: Final = 3_600_000_000
_PERCENT: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_IMPORTER: Final = re.compile(r"[-0-9A-Za-z_]")
_IBAN_OTHER: Final = re.compile(r"[^0-9A-Z]")
_POSITION: Final = re.compile(r"(\d+)/(\d+)")


def _digit(value: str) -> Fault | None:
    if has_check_digit(value):
        return None
    due = check_digit(value[:-1])
    return Fault("CHECK_DIGIT", len(value) - 1, f"ends in {value[-1]}, {due} is due")


def _pair(value: str) -> Fault | None:
    """Check characters of an alphanumeric key: prime weights from the right, modulo 1021, in base 32."""
    body, pair = value[:-2], value[-2:]
    if len(pair) < 2:  # noqa: PLR2004  a pair
        return Fault("CHECK_PAIR", 0, "is too short for a pair of check characters")
    for offset, character in enumerate(pair):
        if character not in _SET32:
            return Fault("CHECK_PAIR", len(body) + offset, f"may not end in {character!r}")
    total = sum(_SET82.index(character) * prime for character, prime in zip(reversed(body), _PRIMES, strict=False))
    due = _SET32[total % 1021 >> 5] + _SET32[total % 1021 & 31]
    return None if pair == due else Fault("CHECK_PAIR", len(body), f"ends in {pair}, {due} is due")


def _prefix(value: str, start: int = 0) -> Fault | None:
    """Require the shortest company prefix, four digits."""
    if value[start : start + _SHORTEST_PREFIX].isdigit() and len(value) >= start + _SHORTEST_PREFIX:
        return None
    if len(value) < start + _SHORTEST_PREFIX:
        return Fault("COMPANY_PREFIX", 0, "is too short for a GS1 company prefix")
    for offset in range(start, start + _SHORTEST_PREFIX):
        if not "0" <= value[offset] <= "9":
            return Fault("COMPANY_PREFIX", offset, "does not begin with a GS1 company prefix")
    return None


def _prefix_at_1(value: str) -> Fault | None:
    return _prefix(value, 1)


def _day(year: int, value: str, at: int, first_day: int) -> Fault | None:
    month, day = int(value[at : at + 2]), int(value[at + 2 : at + 4])
    if not 1 <= month <= 12:  # noqa: PLR2004  months
        return Fault("DATE_MONTH", at, f"has no month {value[at : at + 2]}")
    if not first_day <= day <= calendar.monthrange(year or 2000, month)[1]:
        return Fault("DATE_DAY", at + 2, f"has no day {value[at + 2 : at + 4]} in that month")
    return None


def _date(value: str) -> Fault | None:
    # Leap years repeat every four within the hundred years that two digits can mean (General Specifications, 7.12).
    return _day(2000 + int(value[:2]), value, 2, 1)


def _date_or_month(value: str) -> Fault | None:
    return _day(2000 + int(value[:2]), value, 2, 0)


def _long_date(value: str) -> Fault | None:
    return _day(int(value[:4]), value, 4, 1)


def _below(limit: int, unit: str) -> Check:
    def check(value: str) -> Fault | None:
        return None if int(value) < limit else Fault(f"TIME_{unit}", 0, f"has no {unit.lower()} {value}")

    return check


_hour, _minute, _second = _below(24, "HOUR"), _below(60, "MINUTE"), _below(60, "SECOND")


def _hour_and_minute(value: str) -> Fault | None:
    found = _hour(value[:2])
    if found is None:
        found = _minute(value[2:])
        found = found and found._replace(offset=2)
    return found


def _one_of(codes: frozenset[str], reason: str, what: str) -> Check:
    def check(value: str) -> Fault | None:
        return None if value in codes else Fault(reason, 0, f"has {value!r}, which is no {what}")

    return check


_alpha2 = _one_of(ALPHA2, "COUNTRY", "ISO 3166 country of two letters")


def _iban(value: str) -> Fault | None:
    if len(value) < 4:  # noqa: PLR2004  country and check digits
        return Fault("IBAN", 0, "is too short for an IBAN")
    if _alpha2(value[:2]):
        return Fault("IBAN", 0, "does not begin with a country")
    if len(value) < _SHORTEST_IBAN:
        return Fault("IBAN", 0, "is too short for an IBAN")
    other = _IBAN_OTHER.search(value)
    if other:
        return Fault("IBAN", other.start(), f"may not hold {other[0]!r}")
    number = "".join(str(int(character, 36)) for character in value[4:] + value[:4])
    return None if int(number) % 97 == 1 else Fault("IBAN", 2, "has wrong check digits")


def _percent(value: str) -> Fault | None:
    wrong = _PERCENT.search(value)
    return Fault("PERCENT", wrong.start(), "has a % without two hexadecimal digits") if wrong else None


def _at_most(limit: int, what: str) -> Check:
    def check(value: str) -> Fault | None:
        return None if int(value) <= limit else Fault(what.upper(), 0, f"has no {what} {value}")

    return check


def _importer(value: str) -> Fault | None:
    return None if _IMPORTER.fullmatch(value) else Fault("IMPORTER_INDEX", 0, f"has no importer index {value!r}")


def _hyphen(value: str) -> Fault | None:
    return None if value == "-" else Fault("HYPHEN", 0, "may end in a hyphen only")


def _nonzero(value: str) -> Fault | None:
    return None if value.strip("0") else Fault("ZERO", 0, "may not be zero here")


def _zero(value: str) -> Fault | None:
    return Fault("NOT_ZERO", 0, "begins with zero") if value.strip("0") else None


def _no_leading_zero(value: str) -> Fault | None:
    return Fault("LEADING_ZERO", 0, "may not begin with zero") if value[0] == "0" else None


def _non_digit(value: str) -> Fault | None:
    return Fault("ALL_DIGITS", 0, "must hold something else than digits") if value.isdigit() else None


def _piece(value: str) -> Fault | None:
    half = len(value) // 2
    piece, total = int(value[:half]), int(value[half:])
    if not piece:
        return Fault("PIECE", 0, "has no piece 0")
    if not total:
        return Fault("PIECE", half, "has no total of 0 pieces")
    return None if piece <= total else Fault("PIECE", 0, f"has piece {piece} of only {total}")


def _position(value: str) -> Fault | None:
    found = _POSITION.fullmatch(value)
    if found is None:
        return Fault("POSITION", 0, "is no position like 1/2")
    for group in (1, 2):
        if found[group].startswith("0"):
            return Fault("POSITION", found.start(group), "may not begin with zero")
    return None if int(found[1]) <= int(found[2]) else Fault("POSITION", 0, "lies beyond the end of its sequence")


def _imei(value: str) -> Fault | None:
    doubled = (int(digit) * 2 for digit in value[-2::-2])
    total = sum(int(digit) for digit in value[-1::-2]) + sum(number // 10 + number % 10 for number in doubled)
    return None if total % 10 == 0 else Fault("IMEI", len(value) - 1, "has a wrong last digit (Luhn)")


def _padding(value: str) -> Fault | None:
    body = value.rstrip("=")
    if "=" in body:
        return Fault("NOT_IN_SET_64", body.index("="), "may not hold '=' before its end")
    if body == value or (len(value) % 3 == 0 and len(value) - len(body) <= 2):  # noqa: PLR2004  base64's padding
        return None
    return Fault("PADDING", len(body), "is padded wrongly")


CHECKS: Final[Mapping[str, Check]] = {
    "csum": _digit,
    "pair": _pair,
    "gcp": _prefix,
    "gcp@1": _prefix_at_1,
    "date": _date,
    "date0": _date_or_month,
    "date8": _long_date,
    "hhmm": _hour_and_minute,
    "hh": _hour,
    "mm": _minute,
    "ss": _second,
    "country": _one_of(COUNTRIES, "COUNTRY", "ISO 3166 country"),
    "country9": _one_of(COUNTRIES | {"999"}, "COUNTRY", "ISO 3166 country, nor 999"),
    "alpha2": _alpha2,
    "currency": _one_of(CURRENCIES, "CURRENCY", "ISO 4217 currency"),
    "media": _one_of(MEDIA, "MEDIA_TYPE", "type of AIDC media"),
    "package": _one_of(PACKAGES, "PACKAGE_TYPE", "type of package"),
    "sex": _one_of(frozenset("0129"), "SEX", "ISO 5218 code"),
    "yes": _one_of(frozenset("01"), "YES_NO", "0 or 1"),
    "winding": _one_of(frozenset("019"), "WINDING", "direction of winding"),
    "iban": _iban,
    "percent": _percent,
    "latitude": _at_most(_LATITUDE_LIMIT, "latitude"),
    "longitude": _at_most(_LONGITUDE_LIMIT, "longitude"),
    "importer": _importer,
    "hyphen": _hyphen,
    "nonzero": _nonzero,
    "zero": _zero,
    "nolead": _no_leading_zero,
    "nondigit": _non_digit,
    "piece": _piece,
    "position": _position,
    "imei": _imei,
    "padding": _padding,
    "coupon": coupon,
    "offer": positive_offer,
}
