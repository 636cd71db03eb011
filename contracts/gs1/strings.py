"""Element strings: in brackets as people write them, and with separators as symbols carry them."""

import re
from typing import Final

from contracts.gs1.errors import Fault, Gs1Error, error_of
from contracts.gs1.table import AI_LENGTHS, ENTRIES, Entry
from contracts.gs1.together import Element
from contracts.gs1.values import find_fault

SEPARATOR: Final = "\x1d"
_MOST_ELEMENTS: Final = 64
_STRICT: Final = re.compile(r"(?<!\\)\(")
_CLEAR: Final = re.compile(r"(?<!\\)\((?=[0-9]{2,4}\))")


def bracketed(text: str, *, strict: bool = True) -> list[Element]:
    r"""Return the elements of `(01)…(21)…`; a bracket that belongs to a value is written `\(`.

    A bar parts the linear symbol's elements from those of the composite beside it. Unless `strict`, a bracket that
    begins no application identifier needs no backslash.
    """
    elements: list[Element] = []
    position = 0
    while position < len(text):
        if text[position] != "(":
            raise Gs1Error("BRACKET", "an application identifier in brackets is expected", position=position)
        close = text.find(")", position)
        if close < 0:
            raise Gs1Error("BRACKET", "the bracket is not closed", position=position)
        ai = text[position + 1 : close]
        entry = _entry(ai, position + 1)
        value, end = _bracketed_value(text, close + 1, _STRICT if strict else _CLEAR)
        fault = find_fault(entry, value)
        if fault is not None:
            raise error_of(fault, _escaped(text, close + 1, fault.offset))
        _append(elements, Element(ai, value, position + 1, close + 1))
        position = end + (text[end : end + 1] == "|" and end + 1 < len(text))
    return elements


def _bracketed_value(text: str, start: int, bracket: re.Pattern[str]) -> tuple[str, int]:
    """Return the value that begins at `start`, unescaped, and where it ends."""
    found = bracket.search(text, start)
    end = found.start() if found else len(text)
    bar = text.find("|(", start, end + 1)
    if bar >= 0:
        end = bar
    return text[start:end].replace("\\(", "("), end


def _escaped(text: str, start: int, offset: int) -> int:
    """Return where the character at `offset` of an unescaped value stands in the text."""
    position = start
    for _ in range(offset):
        position += 2 if text.startswith("\\(", position) else 1
    return position


def separated(text: str, start: int, separator: str = SEPARATOR) -> list[Element]:
    """Return the elements of a symbol's data from `start` on, without the FNC1 in first position."""
    elements: list[Element] = []
    size = len(text)
    if start >= size:
        raise Gs1Error("EMPTY", "there is nothing in it", position=start)
    position = start
    while position < size:
        ai = text[position : position + AI_LENGTHS.get(text[position : position + 2], 2)]
        entry = _entry(ai, position)
        value_start = position + len(ai)
        end = text.find(separator, value_start)
        if end < 0:
            end = size
        if entry.predefined:
            end = min(end, value_start + entry.longest)
        value = text[value_start:end]
        fault = find_fault(entry, value)
        if fault is not None:
            raise error_of(fault, value_start + fault.offset)
        _append(elements, Element(ai, value, position, value_start))
        position = end + (text[end : end + 1] == separator)
    return elements


def retail(text: str, start: int, size: int) -> list[Element]:
    """Return the product number of a symbol that carries nothing else, as a GTIN-14."""
    digits = text[start:]
    for offset, character in enumerate(digits):
        if not "0" <= character <= "9":
            raise Gs1Error("NOT_A_DIGIT", f"a product number may not hold {character!r}", position=start + offset)
    if len(digits) != size:
        reason = "VALUE_TOO_SHORT" if len(digits) < size else "VALUE_TOO_LONG"
        raise Gs1Error(reason, f"this symbol carries {size} digits, not {len(digits)}", position=start + len(digits))
    fault = find_fault(ENTRIES["01"], digits.zfill(14))
    if fault is not None:
        raise error_of(Fault(*fault), start + len(digits) - 1)
    return [Element("01", digits.zfill(14), start, start)]


def _entry(ai: str, position: int) -> Entry:
    entry = ENTRIES.get(ai)
    if entry is None:
        raise Gs1Error("AI_UNKNOWN", f"({ai}) is no application identifier", position=position)
    return entry


def _append(elements: list[Element], element: Element) -> None:
    if len(elements) == _MOST_ELEMENTS:
        raise Gs1Error("TOO_MANY_ELEMENTS", f"more than {_MOST_ELEMENTS} elements", position=element.ai_position)
    elements.append(element)
