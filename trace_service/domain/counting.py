"""Which figures are worth a walk: counts ranked by what a wrong figure is expected to cost. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

_SHELF_DAYS: Final = 3.0
"""Days of sale that an empty shelf loses before somebody notices."""
_FADING_A_DAY: Final = 0.02


@dataclass(frozen=True, slots=True)
class Candidate:
    """One figure that may be wrong; `days` since it was last counted or confirmed."""

    site: str
    gtin: str
    quantity: int | None
    certainty: float
    daily_demand: float
    unit_price: float
    days: float
    findings: int


@dataclass(frozen=True, slots=True)
class Count:
    """A figure to be counted, and the money that this is expected to save."""

    candidate: Candidate
    p_wrong: float
    value: float


def count_list(candidates: Iterable[Candidate]) -> list[Count]:
    """Return what to count, the most valuable first; what is certain and cheap comes last."""
    return sorted(map(_worth, candidates), key=lambda each: (-each.value, each.candidate.site, each.candidate.gtin))


def _worth(candidate: Candidate) -> Count:
    # A figure grows old, and one that findings speak against more so.
    sure = candidate.certainty * (1 - _FADING_A_DAY) ** candidate.days * 0.8**candidate.findings
    at_stake = max(candidate.daily_demand, 0.1) * _SHELF_DAYS * candidate.unit_price
    return Count(candidate, round(1 - sure, 3), round((1 - sure) * at_stake, 2))


@dataclass(frozen=True, slots=True)
class Lot:
    """Items of one lot; `expires` as ISO date, None where nobody said."""

    lot: str
    expires: str | None
    quantity: int


def first_expired(lots: Iterable[Lot], quantity: int) -> list[Lot]:
    """Spread what is there over the lots that came in: what expires first is taken to have gone first.

    Items beyond all known lots stand under the lot "", without a date.
    """
    left = max(quantity, 0)
    kept = []
    for lot in sorted(lots, key=lambda each: (each.expires is not None, each.expires or "", each.lot), reverse=True):
        here = min(left, lot.quantity)
        left -= here
        if here:
            kept.append(Lot(lot.lot, lot.expires, here))
    if left:
        kept.append(Lot("", None, left))
    return sorted(kept, key=lambda each: (each.expires is None, each.expires or "", each.lot))
