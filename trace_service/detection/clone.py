"""One code on several physical items: more phones and places than one item has, pooled over a case and a batch."""

from collections.abc import Iterable
from itertools import pairwise
from math import log
from typing import Any, Final

from msgspec import Struct

from trace_service.detection.changes import Claim, Contribution
from trace_service.detection.network import Network
from trace_service.detection.observations import Observation, Sighting, Withdrawn
from trace_service.detection.placing import Placer, flat_km
from trace_service.detection.settings import Settings

_FASTEST_KMH: Final = 900.0
_FAR_KM: Final = 400.0
_TRAVEL_NATS: Final = 2.0
_HOUR_MS: Final = 3_600_000
# How often a copied code's next scan is by another phone, and in another city.
_COPY_DEVICE: Final = 0.95
_COPY_CITY: Final = 0.5
# Before anything was learned: of scanned items, those with a second phone; of these, those with a second city.
_PRIOR_DEVICES: Final = (3.0, 40.0)
_PRIOR_CITIES: Final = (3.0, 10.0)
_FIRST_NATS: Final = -2.0
POOL_PENALTY: Final = log(3)


class _Scan(Struct):
    key: str
    event: str
    device: str
    city: int | None
    lat: float | None
    lon: float | None
    at: int


class _Unit(Struct):
    """Consumers' scans of one item."""

    unit: str
    case: str
    batch: str
    scans: dict[str, _Scan] = {}
    nats: float = 0.0
    several: bool = False
    travelled: bool = False


class CloneDetector:
    """Learns how often honest items are scanned by a second phone or in a second city, and judges each item by that."""

    wants: tuple[type, ...] = (Sighting, Withdrawn)

    def __init__(self, network: Network, settings: Settings, placer: Placer) -> None:
        self.network, self.settings, self.placer = network, settings, placer
        self._units: dict[str, _Unit] = {}
        self._unit_of: dict[str, str] = {}
        self._by_case: dict[str, dict[str, None]] = {}
        self._several = 0
        self._travelled = 0

    def observe(self, observation: Observation, now: int) -> Iterable[Claim]:
        """Count a consumer's scan of an item; rescans by the same phone say nothing."""
        del now
        if not isinstance(observation, Sighting | Withdrawn):
            return
        goods = observation.goods if isinstance(observation, Sighting) else None
        old = self._unit_of.pop(observation.key, None)
        if old is not None:
            self._units[old].scans.pop(observation.key, None)
            if goods is None:
                yield from self._judge(self._units[old])
        if goods is None or not isinstance(observation, Sighting) or observation.kind != "scan":
            return
        if goods.case is None or goods.unit == goods.case:
            return
        placed = self.placer.place(observation)
        unit = self._units.setdefault(goods.unit, _Unit(goods.unit, goods.case, goods.batch or ""))
        position = observation.position
        unit.scans[observation.key] = _Scan(
            observation.key, observation.event, observation.device or observation.actor,
            placed.city if placed else None, position.lat, position.lon, observation.occurred_at,
        )  # fmt: skip
        self._unit_of[observation.key] = goods.unit
        if len(unit.scans) > 1 and old is None:
            yield from self._judge(unit)

    def close_day(self, now: int) -> Iterable[Claim]:
        """Time alone makes no copy."""
        del now
        return ()

    def _judge(self, unit: _Unit) -> Iterable[Claim]:
        before = unit.nats
        unit.nats = self._nats(unit)
        self._learn(unit)
        if unit.nats > 0:
            self._by_case.setdefault(unit.case, {})[unit.unit] = None
        if unit.nats != before:
            yield self._claim(unit)

    def _learn(self, unit: _Unit) -> None:
        """Count, once for each item, that it had a second phone, and that this was in a second city."""
        scans = unit.scans.values()
        several = len({scan.device or scan.key for scan in scans}) > 1
        travelled = several and len({scan.city for scan in scans if scan.city is not None}) > 1
        self._several += several - unit.several
        self._travelled += travelled - unit.travelled
        unit.several, unit.travelled = several, travelled

    def _nats(self, unit: _Unit) -> float:
        """Return ln of copied over honest: each further phone, each further city, and travel that nobody can do."""
        by_device: dict[str, _Scan] = {}
        for scan in sorted(unit.scans.values(), key=lambda each: each.at):
            by_device.setdefault(scan.device or scan.key, scan)
        scans = list(by_device.values())
        more = len(scans) - 1
        if more < 1:
            return 0.0
        cities = len({scan.city for scan in scans if scan.city is not None})
        phones = (self._several + _PRIOR_DEVICES[0]) / (len(self._units) + _PRIOR_DEVICES[1])
        travels = (self._travelled + _PRIOR_CITIES[0]) / (self._several + _PRIOR_CITIES[1])
        nats = _FIRST_NATS + more * log(_COPY_DEVICE / phones)
        nats += max(0, cities - 1) * log(max(1.0, _COPY_CITY / travels))
        return nats + (_TRAVEL_NATS if _impossible(scans) else 0.0)

    def _claim(self, unit: _Unit) -> Claim:
        """Speak of one item, or of the case where several of its items are suspicious together."""
        pool = [self._units[each] for each in self._by_case.get(unit.case, {}) if self._units[each].nats > 0]
        pooled = sum(each.nats for each in pool) - POOL_PENALTY
        whole = len(pool) > 1 and pooled > unit.nats
        chosen = pool if whole else [unit]
        return Claim(
            key=f"clone/{unit.case}",
            detector="clone",
            kind="clone",
            dealer=None,
            nats=max([pooled if whole else unit.nats, *(each.nats for each in pool)]),
            threshold=self.settings.clone_nats,
            contributions=tuple(
                Contribution(
                    case=each.case,
                    nats=round(each.nats, 3),
                    events=tuple(scan.event for scan in each.scans.values()),
                    first_at=min(scan.at for scan in each.scans.values()),
                    note="impossible_travel" if _impossible(list(each.scans.values())) else "",
                )
                for each in chosen
                if each.scans
            ),
            units=tuple(each.unit for each in chosen),
            figures=self._figures(chosen),
        )

    def _figures(self, chosen: list[_Unit]) -> dict[str, Any]:
        scans = [scan for each in chosen for scan in each.scans.values()]
        cities = {self.network.cities[scan.city].adcode for scan in scans if scan.city is not None}
        return {
            "devices": len({scan.device for scan in scans}),
            "cities": sorted(cities),
            "scans": len(scans),
            "items": len(chosen),
        }


def _impossible(scans: list[_Scan]) -> bool:
    ordered = sorted(scans, key=lambda each: each.at)
    for first, second in pairwise(ordered):
        if None in (first.lat, first.lon, second.lat, second.lon):
            continue
        away = flat_km(first.lat or 0, first.lon or 0, second.lat or 0, second.lon or 0)
        hours = max(second.at - first.at, 1) / _HOUR_MS
        if away > _FAR_KM and away / hours > _FASTEST_KMH and first.device != second.device:
            return True
    return False
