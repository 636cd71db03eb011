"""What the commands of codes take: tenants, GTINs, epochs and counters, each checked with its remedy."""

import re
from typing import Final

import click

from contracts.gs1 import check_digit
from contracts.tc20 import COUNTERS, EPOCHS, Profile

_TENANT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SPAN: Final = re.compile(r"(\d{1,13})(?:-(\d{1,13}))?")
_GTIN_LENGTHS: Final = frozenset({8, 12, 13, 14})


class Gtin(click.ParamType[str]):
    """A GTIN of 8, 12, 13 or 14 digits, made 14 digits long."""

    name = "gtin"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the GTIN-14; fails where length, digits or check digit are wrong."""
        if not value.isascii() or not value.isdigit() or len(value) not in _GTIN_LENGTHS:
            self.fail(f"{value[:40]!r} is no GTIN: 8, 12, 13 or 14 digits are needed", param, ctx)
        due = check_digit(value[:-1])
        if due != int(value[-1]):
            self.fail(f"{value} ends in {value[-1]}, but its check digit is {due}: check the number", param, ctx)
        return value.zfill(14)


class Tenant(click.ParamType[str]):
    """A tenant's name, which goes into the keys."""

    name = "tenant"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name; fails where it is empty, too long or holds other than letters, digits, dots and dashes."""
        if _TENANT.fullmatch(value) is None:
            self.fail(f"{value[:40]!r} is no tenant: 1 to 64 of A-Z a-z 0-9 . _ - are allowed", param, ctx)
        return value


class Span(click.ParamType[tuple[int, int]]):
    """A range of counters, `100-199` or `7`."""

    name = "first-last"

    def convert(
        self, value: str | tuple[int, int], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        """Return the first and the last of the counters; fails for anything else."""
        span = parse_span(value) if isinstance(value, str) else value
        if span is None:
            self.fail(f"{value!r} is no range of counters such as 100-199 or 7", param, ctx)
        return span


def parse_span(word: str) -> tuple[int, int] | None:
    """Return a range of counters, `10-19` or `5`, from its first to its last; None for anything else."""
    match = _SPAN.fullmatch(word)
    if match is None:
        return None
    first, last = int(match[1]), int(match[2] or match[1])
    return (first, last) if first <= last else None


GTIN: Final = Gtin()
TENANT: Final = Tenant()
EPOCH: Final = click.IntRange(0, EPOCHS - 1)
COUNTER: Final = click.IntRange(0, COUNTERS - 1)
COUNT: Final = click.IntRange(1, COUNTERS)
PROFILE: Final = click.Choice([profile.value for profile in Profile])
SPAN: Final = Span()
