"""Which case a finding belongs to. Pure.

A case is one dealer with shipments that overlap, or with destinations within 120 km, in 30 days. A finding on a
province belongs to the case of a city in it. A dealer with findings in several places becomes one case of the dealer.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import asin, cos, radians, sin, sqrt
from typing import Final, NamedTuple

NEAR_KM: Final = 120.0
WINDOW: Final = timedelta(days=30)
# The third place makes it a matter of the dealer.
SEVERAL: Final = 3
_EARTH_KM: Final = 6371.0


class Spot(NamedTuple):
    """A destination: its division code, and its centre in WGS-84 degrees where it is known."""

    adcode: str
    point: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Finding:
    """What decides where an alert belongs."""

    spot: Spot
    shipments: frozenset[str]
    at: datetime


@dataclass(frozen=True, slots=True)
class Group:
    """A case of the same dealer, with what it holds so far."""

    case: int
    kind: str
    spots: tuple[Spot, ...]
    shipments: frozenset[str]
    last_at: datetime
    live: bool


@dataclass(frozen=True, slots=True)
class Choice:
    """Join `case` (None: a new one), as a case of `kind`, into which the cases `absorbed` are merged."""

    case: int | None
    kind: str = "destination"
    absorbed: tuple[int, ...] = ()


def choose(finding: Finding, groups: Sequence[Group]) -> Choice:
    """Return the case that a finding belongs to, among those of its dealer."""
    recent = [each for each in groups if abs(finding.at - each.last_at) <= WINDOW]
    related = [each for each in recent if each.kind == "dealer" or belongs(finding, each)]
    live = [each for each in recent if each.live]
    if related:
        best = max(related, key=lambda each: (each.kind == "dealer", each.live, each.last_at, -each.case))
        return Choice(best.case, best.kind)
    if len({each.case for each in live}) + 1 >= SEVERAL:
        oldest = min(live, key=lambda each: each.case)
        return Choice(None, "dealer", tuple(sorted(each.case for each in live if each.case >= oldest.case)))
    return Choice(None)


def belongs(finding: Finding, group: Group) -> bool:
    """Tell whether a finding shares a shipment or a destination with a case."""
    if finding.shipments & group.shipments:
        return True
    return any(near(finding.spot, spot) for spot in group.spots)


def near(first: Spot, second: Spot) -> bool:
    """Tell whether two destinations are one: the same division, one inside the other, or within 120 km."""
    if _covers(first.adcode, second.adcode) or _covers(second.adcode, first.adcode):
        return True
    if first.point is None or second.point is None:
        return False
    return distance_km(first.point, second.point) <= NEAR_KM


def distance_km(first: tuple[float, float], second: tuple[float, float]) -> float:
    """Return the great-circle distance between two points, each as longitude and latitude in degrees."""
    lon_1, lat_1, lon_2, lat_2 = map(radians, (*first, *second))
    chord = sin((lat_2 - lat_1) / 2) ** 2 + cos(lat_1) * cos(lat_2) * sin((lon_2 - lon_1) / 2) ** 2
    return 2 * _EARTH_KM * asin(sqrt(min(1.0, chord)))


def _covers(outer: str, inner: str) -> bool:
    """Tell whether a division is the other or holds it; codes carry zeros for the levels that they leave out."""
    prefix = outer[:2] if outer.endswith("0000") else outer[:4] if outer.endswith("00") else outer
    return bool(prefix) and bool(inner) and inner.startswith(prefix)


def destinations(spots: Iterable[Spot]) -> list[str]:
    """Return the distinct destinations in order, a province left out where a city of it is among them."""
    codes = list(dict.fromkeys(spot.adcode for spot in spots if spot.adcode))
    return [code for code in codes if not any(other != code and _covers(code, other) for other in codes)]
