"""Element strings: from brackets, as people write them, to what a symbol holds, and from values to brackets."""

from collections.abc import Iterable
from datetime import date

from contracts.gs1 import ENTRIES, SEPARATOR, parse


def element_string(text: str) -> str:
    """Return a text in brackets as a symbol holds it: separators where they are due, but not the FNC1 in front."""
    parts = [f"{ai}{value}" + ("" if ENTRIES[ai].predefined else SEPARATOR) for ai, value in parse(text).elements]
    return "".join(parts).removesuffix(SEPARATOR)


def bracketed(pairs: Iterable[tuple[str, str]]) -> str:
    """Return elements in brackets, those of predefined length first: a separator fewer makes a symbol smaller."""
    ordered = sorted(pairs, key=lambda pair: not ENTRIES[pair[0]].predefined)
    return "".join(f"({ai}){value}" for ai, value in ordered)


def six_digits(day: date) -> str:
    """Return a date as GS1 writes it: YYMMDD."""
    return f"{day:%y%m%d}"
