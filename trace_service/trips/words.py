"""The reasons of an episode in the reader's language."""

from collections.abc import Mapping
from typing import Final

from trace_service.trips.model import Note, Plan
from trace_service.words import Words

_SHORT_M: Final = 1_000.0
_MINUTE: Final = 60.0


def said(words: Words, note: Note, plan: Plan) -> str:
    """Return a reason as a sentence; numbers of stops become their sites' names."""
    return words(f"trip.note.{note.code}", **_shown(words, note.numbers, plan))


def metres(words: Words, value: float) -> str:
    """Return a distance in the unit that people use for it."""
    return words("distance.m", metres=words.number(value)) if value < _SHORT_M else words.km(value)


def _shown(words: Words, numbers: Mapping[str, float], plan: Plan) -> dict[str, object]:
    found: dict[str, object] = {}
    for name, value in numbers.items():
        if name == "stop":
            number = int(value)
            found["site"] = plan.stops[number].site if number < len(plan.stops) else str(number + 1)
        elif name in {"metres", "width_m", "route_m"}:
            found[name.removesuffix("_m")] = metres(words, value)
        elif name in {"seconds", "most_s", "least_s"}:
            found[name.removesuffix("_s").replace("seconds", "minutes")] = words.number(value / _MINUTE)
        else:
            found[name] = words.number(value)
    return found
