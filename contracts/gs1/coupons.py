"""North American coupons: AI (8110), and positive offer files, AI (8112); both are fields with length indicators."""

import calendar
from collections.abc import Callable
from typing import Final

from contracts.gs1.errors import Fault

_PREFIX_EXTRA: Final = 6  # an indicator of 0 means six digits
_NO_PREFIX: Final = "9"


class _Wrong(Exception):  # noqa: N818  never leaves this module
    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


class _Fields:
    """Takes field after field from the front."""

    def __init__(self, value: str) -> None:
        self.value = value
        self.at = 0

    def starts(self, digit: str) -> bool:
        """Take the optional field's own digit if it is next."""
        if self.value[self.at : self.at + 1] != digit:
            return False
        self.at += 1
        return True

    def digits(self, count: int, what: str) -> str:
        """Take `count` digits."""
        found = self.value[self.at : self.at + count]
        if len(found) < count:
            raise _Wrong(Fault("COUPON_TRUNCATED", self.at, f"ends within the {what}"))
        self.at += count
        return found

    def code(self, allowed: str, what: str) -> str:
        """Take one digit out of `allowed`."""
        found = self.digits(1, what)
        if found not in allowed:
            raise _Wrong(Fault("COUPON_CODE", self.at - 1, f"has {found} as {what}"))
        return found

    def sized(self, allowed: str, extra: int, what: str) -> str:
        """Take a length indicator and that many digits."""
        size = self.code(allowed, f"length of the {what}")
        return self.digits(int(size) + extra, what)

    def date(self, what: str) -> str:
        """Take a date YYMMDD."""
        found = self.digits(6, what)
        year, month, day = int(found[:2]), int(found[2:4]), int(found[4:])
        if not (1 <= month <= 12 and 1 <= day <= calendar.monthrange(2000 + year, month)[1]):  # noqa: PLR2004  months
            raise _Wrong(Fault("COUPON_DATE", self.at - 6, f"has no {what} {found}"))
        return found

    def end(self) -> None:
        """Nothing may be left."""
        if self.at < len(self.value):
            raise _Wrong(Fault("COUPON_EXCESS", self.at, "has digits after its last field"))


def _purchase(fields: _Fields, what: str) -> None:
    fields.sized("12345", 0, f"{what} purchase requirement")
    fields.code("012349", f"{what} purchase requirement code")
    fields.digits(3, f"{what} purchase family code")


def _prefix_of(fields: _Fields, what: str) -> None:
    indicator = fields.code("01234569", f"length of the {what} company prefix")
    if indicator != _NO_PREFIX:
        fields.digits(int(indicator) + _PREFIX_EXTRA, f"{what} company prefix")


def _options(fields: _Fields) -> None:
    if fields.starts("1"):
        fields.code("0123", "additional purchase rules code")
        _purchase(fields, "second")
        _prefix_of(fields, "second")
    if fields.starts("2"):
        _purchase(fields, "third")
        _prefix_of(fields, "third")
    expiry = fields.date("expiration date") if fields.starts("3") else None
    if fields.starts("4"):
        start = fields.date("start date")
        if expiry is not None and expiry < start:
            raise _Wrong(Fault("COUPON_DATE", fields.at - 6, "expires before it starts"))
    if fields.starts("5"):
        fields.sized("0123456789", _PREFIX_EXTRA, "serial number")
    if fields.starts("6"):
        fields.sized("1234567", _PREFIX_EXTRA, "retailer")
    if fields.starts("9"):
        fields.code("01256", "save value code")
        fields.code("012", "item that the save value applies to")
        fields.digits(1, "store coupon flag")
        fields.code("01", "flag against multiplication")


def _coupon(fields: _Fields) -> None:
    fields.sized("0123456", _PREFIX_EXTRA, "company prefix")
    fields.digits(6, "offer code")
    fields.sized("12345", 0, "save value")
    _purchase(fields, "first")
    _options(fields)


def _positive_offer(fields: _Fields) -> None:
    fields.code("01", "format")
    fields.sized("0123456", _PREFIX_EXTRA, "funder")
    fields.digits(6, "offer code")
    fields.sized("0123456789", _PREFIX_EXTRA, "serial number")


def _checked(value: str, layout: Callable[[_Fields], None]) -> Fault | None:
    for offset, character in enumerate(value):
        if not "0" <= character <= "9":
            return Fault("NOT_A_DIGIT", offset, f"may not hold {character!r}")
    fields = _Fields(value)
    try:
        layout(fields)
        fields.end()
    except _Wrong as wrong:
        return wrong.fault
    return None


def coupon(value: str) -> Fault | None:
    """Check a coupon of the North American guideline for GS1 DataBar Expanded."""
    return _checked(value, _coupon)


def positive_offer(value: str) -> Fault | None:
    """Check a coupon of the AI (8112) data specification."""
    return _checked(value, _positive_offer)
