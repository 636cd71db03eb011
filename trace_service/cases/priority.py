"""What a case is worth looking at: expected loss, and which cases a day is given to. Pure."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from math import exp, log
from typing import Final

# A prior, not a measurement: four of five alerts at the threshold are right, a nat more halves the doubt or so. It puts
# cases in order until outcomes were reviewed, and pages say that it is not calibrated.
_AT_THRESHOLD: Final = 0.8
_PER_NAT: Final = 0.5
_MOST: Final = 0.97
_DRAWS: Final = 2.0**64


@dataclass(frozen=True, slots=True)
class Candidate:
    """A case that waits, with its expected loss."""

    case: int
    priority: float


@dataclass(frozen=True, slots=True)
class Chosen:
    """A case (or a lead) that a day is given to; `probability` is how likely that was."""

    case: int | None
    place: int
    reason: str
    probability: float
    lead: int | None = None


def cold_probability(llr: float, threshold: float) -> float:
    """Return what to believe of an alert before any outcome was reviewed; both in nats."""
    odds = log(_AT_THRESHOLD / (1 - _AT_THRESHOLD)) + _PER_NAT * (llr - threshold)
    return min(_MOST, 1 / (1 + exp(-odds)))


def either(probabilities: Iterable[float]) -> float:
    """Return the chance that at least one finding of a case is right.

    Findings of one case share their cause, so that multiplying their doubts would make any pile of weak ones certain:
    the strongest counts.
    """
    return max(probabilities, default=0.0)


def choose_day(
    candidates: Sequence[Candidate], budget: int, audit_share: float, day: date, near: Sequence[int] = ()
) -> list[Chosen]:
    """Return the cases of a day: the most urgent within the budget, and a random few of what is left.

    Left are the cases below the line and `near`, leads just below an alert's threshold: what is only looked at where an
    alert was raised teaches nothing of where none was. Each has the same chance, `audit_share` x budget / all of
    them, at most 1. The draw follows from the day and the number alone, so that it can be repeated and not be picked.
    """
    ordered = sorted(candidates, key=lambda each: (-each.priority, each.case))
    first, others = ordered[:budget], ordered[budget:]
    found = [Chosen(each.case, place, "budget", 1.0) for place, each in enumerate(first, start=1)]
    left = len(others) + len(near)
    if left and audit_share > 0:
        chance = min(1.0, audit_share * budget / left)
        drawn = [Chosen(each.case, 0, "audit", chance) for each in others if _draw(day, str(each.case)) < chance]
        drawn += [
            Chosen(None, 0, "audit", chance, each) for each in sorted(near) if _draw(day, f"lead {each}") < chance
        ]
        found += [replace(each, place=budget + place) for place, each in enumerate(drawn, start=1)]
    return found


def _draw(day: date, number: str) -> float:
    digest = hashlib.sha256(f"{day.isoformat()} {number}".encode()).digest()
    return int.from_bytes(digest[:8]) / _DRAWS
