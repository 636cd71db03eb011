"""Whether a value is what its application identifier says it is."""

import functools
import re
from typing import Final

from contracts.gs1.errors import Fault
from contracts.gs1.table import ENTRIES, Component, Entry

_STRANGERS: Final = {
    "N": ("NOT_A_DIGIT", re.compile(r"[^0-9]")),
    "X": ("NOT_IN_SET_82", re.compile(r"[^!\"%&'()*+,\-./0-9:;<=>?A-Z_a-z]")),
    "Y": ("NOT_IN_SET_39", re.compile(r"[^#\-/0-9A-Z]")),
    "Z": ("NOT_IN_SET_64", re.compile(r"[^\-0-9A-Z_a-z=]")),
}


def find_fault(entry: Entry, value: str) -> Fault | None:
    """Return the first thing wrong with `value`, with its offset, or None. Exact: nothing may be left over."""
    if entry.pattern.fullmatch(value) is None:
        return _misfit(entry, value)
    return _find_failure(entry.ai, value) if entry.checked else None


@functools.lru_cache(maxsize=8192)
def _find_failure(ai: str, value: str) -> Fault | None:
    """Run the checks; products, dates and places come again and again, so that their answers are kept."""
    entry = ENTRIES[ai]
    start = 0
    for part in entry.components:
        if start == len(value):
            break
        if part.checks:
            found = _failed(part, value[start : start + part.longest])
            if found is not None:
                return Fault(found.reason, start + found.offset, f"({entry.ai}) {found.message}")
        start += part.longest
    return None


def _failed(part: Component, text: str) -> Fault | None:
    for check in part.checks:
        found = check(text)
        if found is not None:
            return found
    return None


def _misfit(entry: Entry, value: str) -> Fault:
    """Return what keeps `value` from having the entry's form: a part too short, a strange character, or an excess."""
    if not value:
        return Fault("VALUE_EMPTY", 0, f"({entry.ai}) is empty")
    start = 0
    for part in entry.components:
        text = value[start : start + part.longest]
        if part.optional and not text:
            continue
        if len(text) < part.shortest:
            return Fault("VALUE_TOO_SHORT", len(value), f"({entry.ai}) ends early, after {len(value)} characters")
        reason, stranger = _STRANGERS[part.charset]
        found = stranger.search(text)
        if found is not None:
            return Fault(reason, start + found.start(), f"({entry.ai}) may not hold {found[0]!r} here")
        failed = _failed(part, text)
        if failed is not None:
            return Fault(failed.reason, start + failed.offset, f"({entry.ai}) {failed.message}")
        start += len(text)
    return Fault("VALUE_TOO_LONG", start, f"({entry.ai}) has no room for {len(value)} characters")
