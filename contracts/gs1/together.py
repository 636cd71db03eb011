"""What the elements of one label require of one another."""

import functools
from collections.abc import Sequence
from typing import Final, NamedTuple

from contracts.gs1.table import ENTRIES

_SIGNATURE: Final = "8030"
# Contents of a logistic unit, a serial and a signature say of what they are; so do keys.
_NAMING: Final = frozenset({"02", "8026", "21", _SIGNATURE})
# Their serial part is optional, yet a signature needs one (General Specifications, 3.9.17).
_SERIALISED: Final = ("253", "255", "8003")


class Element(NamedTuple):
    """An application identifier and its value, each with its position in the input, counted from 0."""

    ai: str
    value: str
    ai_position: int
    position: int


class Discord(NamedTuple):
    """Which element does not go with the others (the how manyeth, from 0), and why."""

    at: int
    reason: str
    message: str


def find_discord(elements: Sequence[Element]) -> Discord | None:
    """Return the first element that does not go with the others, or None."""
    ais = tuple([element.ai for element in elements])
    found = _find_discord(ais)
    if found is None and len(set(ais)) < len(ais):
        found = find_contradiction(elements)
    if found is None and _SIGNATURE in ais:
        found = _find_unsigned(elements)
    return found


@functools.lru_cache(maxsize=4096)
def _find_discord(ais: tuple[str, ...]) -> Discord | None:
    """Judge a combination; labels of one product all have the same, so that the answer is kept."""
    for index, ai in enumerate(ais):
        for pattern in ENTRIES[ai].excludes:
            other = _present(pattern, ai, ais)
            if other is not None:
                return Discord(index, "AI_EXCLUDED", f"({ai}) may not stand with ({other})")
    if not _is_judged(ais):
        return None
    for index, ai in enumerate(ais):
        for group in ENTRIES[ai].needs:
            if not any(all(_present(each, ai, ais) for each in alternative) for alternative in group):
                wanted = " or ".join("+".join(f"({each})" for each in alternative) for alternative in group)
                return Discord(index, "AI_REQUIRED", f"({ai}) needs {wanted}")
    return None


def _is_judged(ais: tuple[str, ...]) -> bool:
    """Tell whether requirements can be judged on this text alone.

    They hold for all symbols on a physical item together. A symbol that names nothing, such as one with a lot and a
    date alone, is half of a label, and the other half may satisfy them.
    """
    return any(ENTRIES[ai].is_key or ai in _NAMING for ai in ais)


def _present(pattern: str, own: str, ais: tuple[str, ...]) -> str | None:
    """Return the first other identifier that matches a pattern like 31nn."""
    stem = pattern.rstrip("n")
    for ai in ais:
        if len(ai) == len(pattern) and ai.startswith(stem) and ai != own:
            return ai
    return None


def find_contradiction(elements: Sequence[Element]) -> Discord | None:
    """Return a repeated element with another value, or None; several symbols on one label may repeat the same."""
    values: dict[str, str] = {}
    for index, element in enumerate(elements):
        if values.setdefault(element.ai, element.value) != element.value:
            return Discord(index, "AI_REPEATED", f"({element.ai}) stands twice with different values")
    return None


def _find_unsigned(elements: Sequence[Element]) -> Discord | None:
    for index, element in enumerate(elements):
        if element.ai in _SERIALISED and len(element.value) == ENTRIES[element.ai].shortest:
            return Discord(index, "SERIAL_REQUIRED", f"({element.ai}) needs its serial part beside a signature")
    return None
