"""One code on several physical items: more phones, places and weeks than one item has, pooled over case and batch.

Each further phone is weighed by how often honest items have one, and by how long after the first and how far from it
honest ones are: at the same table, or given away. All that is learned from items with exactly one further phone.
Kept: the scans of items that were scanned in the last 400 days.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from math import lgamma, log
from typing import Any, Final

from msgspec import Struct

from trace_service.detection.changes import Claim, Contribution
from trace_service.detection.network import Network
from trace_service.detection.observations import Observation, Sighting, Source, Withdrawn
from trace_service.detection.placing import Placer, flat_km
from trace_service.detection.settings import DAY_MS, Settings

_FASTEST_KMH: Final = 900.0
_FAR_KM: Final = 400.0
_TRAVEL_NATS: Final = 2.0
_HOUR_MS: Final = 3_600_000
_SPOT_KM: Final = 5.0
_YARD_KM: Final = 0.2
_ARRIVAL_MS: Final = 10 * DAY_MS
_EXACT_M: Final = 100.0
_NEAR_KM: Final = 150.0
# How likely a copied label that was scanned is scanned by one more phone.
_COPIED: Final = 0.7
_GAPS_DAYS: Final = (0.25, 2.0, 10.0, 30.0)
# By how long after the first phone and how far from it a further one is: shares for copies, which are sold over
# months in a few cities; and before anything was learned for honest items, worth so many of these.
_COPY_GAPS: Final = (0.02, 0.05, 0.15, 0.30, 0.48)
_NEXT_GAPS: Final = (0.04, 0.13, 0.33, 0.28, 0.22)  # the more phones, the shorter the time between two
_COPY_PLACES: Final = (0.05, 0.35, 0.15, 0.45)
_HONEST_GAPS: Final = (0.45, 0.25, 0.10, 0.10, 0.10)
_HONEST_PLACES: Final = (0.30, 0.40, 0.12, 0.18)
_PRIOR: Final = 20.0
_PRIOR_DEVICES: Final = (3.0, 60.0)
# Of honest items with a second phone, those with a third: a table of guests.
_PRIOR_THIRD: Final = (1.0, 8.0)
_FIRST_NATS: Final = -1.0
_POOL_PENALTY: Final = log(3)
_BATCH_PENALTY: Final = log(10)
# How much batches differ honestly, as a number of items known before; and the copied share of a batch's labels.
_BATCH_ITEMS: Final = 40.0
_BATCH_COPIED: Final = (1.0, 4.0)
_LEAST_OF_BATCH: Final = 3
_MOST_OF_ONE: Final = 1.0
_KEPT_MS: Final = 400 * DAY_MS


def pooled_nats(shares: Sequence[float]) -> float:
    """Return what suspicious items of a case say together, or the strongest alone."""
    if not shares:
        return 0.0
    return max(*shares, sum(shares) - _POOL_PENALTY) if len(shares) > 1 else shares[0]


class _Scan(Struct, gc=False):
    key: str
    event: str
    device: str
    city: int | None
    lat: float | None
    lon: float | None
    at: int
    prompt: bool  # its clock agrees with its arrival
    exact: bool  # it has a position of its own, no city's


class _Unit(Struct, gc=False):
    """Consumers' scans of one item; `learned` is what it was counted as: phones, gap and place of the second."""

    unit: str
    case: str
    batch: str
    scans: tuple[_Scan, ...] = ()
    nats: float = 0.0
    learned: tuple[int, int, int | None] = (1, 0, None)


class CloneDetector:
    """Learns how often honest items have further phones, when and where, and judges each item by that."""

    wants: tuple[type, ...] = (Sighting, Withdrawn)

    def __init__(self, network: Network, settings: Settings, placer: Placer) -> None:
        self.network, self.settings, self.placer = network, settings, placer
        self._units: dict[str, _Unit] = {}
        self._unit_of: dict[str, str] = {}
        self._by_case: dict[str, dict[str, None]] = {}
        self._by_batch: dict[str, dict[str, None]] = {}
        self._scanned: dict[str, int] = {}  # items scanned, by batch
        self._items = 0
        self._phones = [0, 0]  # items with two phones and more, with three and more
        self._gaps = [0.0] * len(_COPY_GAPS)
        self._places = [0.0] * len(_COPY_PLACES)

    def observe(self, observation: Observation, now: int) -> Iterable[Claim]:
        """Count a consumer's scan of an item; rescans by the same phone say nothing."""
        if not isinstance(observation, Sighting | Withdrawn):
            return
        goods = observation.goods if isinstance(observation, Sighting) and self._counts(observation) else None
        old = self._unit_of.pop(observation.key, None)
        if old is not None:
            before = self._units[old]
            before.scans = tuple(scan for scan in before.scans if scan.key != observation.key)
            if goods is None:
                yield from self._judge(before)
        if goods is None or not isinstance(observation, Sighting) or goods.case is None:
            return
        unit = self._units.get(goods.unit)
        if unit is None:
            unit = self._units[goods.unit] = _Unit(goods.unit, goods.case, goods.batch or "")
            self._items += 1
            self._scanned[unit.batch] = self._scanned.get(unit.batch, 0) + 1
        placed = self.placer.place(observation)
        position, at = observation.position, min(observation.occurred_at, now)
        scan = _Scan(
            observation.key, observation.event, observation.device or observation.actor,
            placed.city if placed else None, position.lat, position.lon, at,
            observation.dated and observation.received_at - observation.occurred_at < DAY_MS,
            position.source is not Source.IP,
        )  # fmt: skip
        unit.scans = (*unit.scans, scan)
        self._unit_of[observation.key] = goods.unit
        if len(unit.scans) > 1 and old is None:
            yield from self._judge(unit)

    def close_day(self, now: int) -> Iterable[Claim]:
        """Time alone makes no copy; what was scanned a year ago is forgotten."""
        if now // DAY_MS % 30 == 0:
            for name, unit in list(self._units.items()):
                if all(scan.at < now - _KEPT_MS for scan in unit.scans):
                    for scan in unit.scans:
                        self._unit_of.pop(scan.key, None)
                    self._by_case.get(unit.case, {}).pop(name, None)
                    self._by_batch.get(unit.batch, {}).pop(name, None)
                    del self._units[name]
        return ()

    def _counts(self, sighting: Sighting) -> bool:
        """Whether it is a customer's scan of an item that was packed."""
        goods = sighting.goods
        packed = goods.case is not None and goods.unit != goods.case
        return sighting.kind == "scan" and packed and not self._on_arrival(sighting)

    def _on_arrival(self, sighting: Sighting) -> bool:
        """Whether a phone was in the warehouse that the item had just been sent to: nobody there is a customer."""
        position, goods = sighting.position, sighting.goods
        keeper = self.network.dealers.get(goods.dealer or "")
        if keeper is None or position.source is not Source.GPS or position.lat is None or position.lon is None:
            return False
        if goods.shipped_at is None or sighting.occurred_at - goods.shipped_at > _ARRIVAL_MS:
            return False
        within = _YARD_KM + min(position.accuracy_m or 0.0, _EXACT_M) / 1000
        return flat_km(position.lat, position.lon, keeper.lat, keeper.lon) <= within

    def _judge(self, unit: _Unit) -> Iterable[Claim]:
        before = unit.nats
        scans = _phones(unit)
        unit.nats = self._nats(scans)
        self._learn(unit, scans)
        for table, key in ((self._by_case, unit.case), (self._by_batch, unit.batch)):
            if len(scans) > 1:
                table.setdefault(key, {})[unit.unit] = None
            elif key in table:
                table[key].pop(unit.unit, None)
        if unit.nats != before:
            yield self._claim(unit)
            if unit.batch:
                yield self._batch_claim(unit.batch)

    def _learn(self, unit: _Unit, scans: list[_Scan]) -> None:
        """Count each item once by its phones; where and when, only of those with exactly two."""
        gap, place = (_gap(scans[0], scans[1]), _place(scans[0], scans[1])) if len(scans) > 1 else (0, None)
        # What is told as copied is no habit of honest people.
        told = (min(len(scans), 3), gap, place) if unit.nats < self.settings.clone_nats else (1, 0, None)
        for (phones, gap, place), sign in ((unit.learned, -1), (told, 1)):
            self._phones[0] += sign * (phones > 1)
            self._phones[1] += sign * (phones > 2)  # noqa: PLR2004  a third phone
            if phones == 2:  # noqa: PLR2004  exactly one further phone
                self._gaps[gap] += sign
                if place is not None:
                    self._places[place] += sign
        unit.learned = told

    def _second(self) -> float:
        """Return how many scanned items have a second phone, honestly."""
        return (self._phones[0] + _PRIOR_DEVICES[0]) / (self._items + _PRIOR_DEVICES[1])

    def _nats(self, scans: list[_Scan]) -> float:
        """Return ln of copied over honest: each further phone, when and where it was, and travel that nobody can do."""
        if len(scans) < 2:  # noqa: PLR2004  one phone
            return 0.0
        third = (self._phones[1] + _PRIOR_THIRD[0]) / (self._phones[0] + _PRIOR_THIRD[1])
        nats = _FIRST_NATS + log(_COPIED / self._second())
        nats += (len(scans) - 2) * max(0.0, log(_COPIED / third))
        gaps, places = _shares(self._gaps, _HONEST_GAPS), _shares(self._places, _HONEST_PLACES)
        copies = _COPY_GAPS
        for before, scan in pairwise(scans):
            gap, place = _gap(before, scan), _place(before, scan)
            nats += log(copies[gap] / gaps[gap])
            nats += log(_COPY_PLACES[place] / places[place]) if place is not None else 0.0
            copies = _NEXT_GAPS
        return nats + (_TRAVEL_NATS if _travel(scans) else 0.0)

    def _claim(self, unit: _Unit) -> Claim:
        """Speak of one item, or of the case where several of its items are suspicious together."""
        pool = [self._units[each] for each in self._by_case.get(unit.case, {}) if self._units[each].nats > 0]
        pooled = sum(each.nats for each in pool) - _POOL_PENALTY
        # An item that says less than another of its case does not speak for it.
        whole, strongest = len(pool) > 1, max((unit, *pool), key=lambda each: each.nats)
        if not whole or pooled <= unit.nats:
            return self._spoken(f"clone/{unit.case}", strongest.nats, [strongest])
        return self._spoken(f"clone/{unit.case}", max(pooled, strongest.nats), pool)

    def _batch_claim(self, batch: str) -> Claim:
        """Speak of a batch in which more items have a second phone than batches have, in time and place like copies."""
        found = [self._units[each] for each in self._by_batch.get(batch, {})]
        chosen = [each for each in found if each.nats < self.settings.clone_nats]  # others speak for themselves
        scanned, usual = self._scanned[batch], self._second()
        unusual = _beta_binomial(len(chosen), scanned, _BATCH_COPIED) - _beta_binomial(
            len(chosen), scanned, (usual * _BATCH_ITEMS, (1 - usual) * _BATCH_ITEMS)
        )
        alone = _FIRST_NATS + log(_COPIED / usual)
        when_and_where = sum(min(_MOST_OF_ONE, each.nats - alone) for each in chosen)
        nats = unusual + when_and_where - _BATCH_PENALTY if len(chosen) >= _LEAST_OF_BATCH else 0.0
        # All alike, so that they add up to the whole as those of a case do.
        return self._spoken(f"clone/batch/{batch}", nats, chosen, (nats + _POOL_PENALTY) / max(1, len(chosen)))

    def _spoken(self, key: str, nats: float, chosen: list[_Unit], share: float | None = None) -> Claim:
        return Claim(
            key=key,
            detector="clone",
            kind="clone",
            dealer=None,
            nats=nats,
            threshold=self.settings.clone_nats,
            contributions=tuple(
                Contribution(
                    case=each.case,
                    nats=round(each.nats if share is None else share, 3),
                    events=tuple(scan.event for scan in each.scans),
                    first_at=min(scan.at for scan in each.scans),
                    note="impossible_travel" if _travel(_phones(each)) else "",
                )
                for each in chosen
                if each.scans
            ),
            units=tuple(each.unit for each in chosen),
            figures=self._figures(chosen),
        )

    def _figures(self, chosen: list[_Unit]) -> dict[str, Any]:
        scans = [scan for each in chosen for scan in each.scans]
        cities = {self.network.cities[scan.city].adcode for scan in scans if scan.city is not None}
        days = (max(scan.at for scan in scans) - min(scan.at for scan in scans)) / DAY_MS if scans else 0.0
        return {
            "devices": len({scan.device for scan in scans}),
            "cities": sorted(cities),
            "scans": len(scans),
            "items": len(chosen),
            "days": round(days, 1),
            "usual_second_phones": round(self._second(), 5),
            "travel": [trip for each in chosen if (trip := self._trip(each)) is not None],
        }

    def _trip(self, unit: _Unit) -> dict[str, Any] | None:
        """Return a journey between two scans of one item that nobody can make."""
        found = _travel(_phones(unit))
        if found is None:
            return None
        first, second = found
        away, hours = _away(first, second), max(second.at - first.at, 60_000) / _HOUR_MS
        ends = [self.network.cities[each.city].adcode if each.city is not None else None for each in found]
        return {
            "from": ends[0], "to": ends[1], "left": first.at, "came": second.at,
            "km": round(away), "hours": round(hours, 2), "kmh": round(away / hours),
        }  # fmt: skip


def _phones(unit: _Unit) -> list[_Scan]:
    """Return the first scan of each phone, in order."""
    by_device: dict[str, _Scan] = {}
    for scan in sorted(unit.scans, key=lambda each: (each.at, each.key)):
        by_device.setdefault(scan.device or scan.key, scan)
    return list(by_device.values())


def _away(first: _Scan, second: _Scan) -> float:
    if first.lat is None or first.lon is None or second.lat is None or second.lon is None:
        return 0.0
    return flat_km(first.lat, first.lon, second.lat, second.lon)


def _gap(first: _Scan, second: _Scan) -> int:
    days = abs(second.at - first.at) / DAY_MS
    return sum(days > limit for limit in _GAPS_DAYS)


def _place(first: _Scan, second: _Scan) -> int | None:
    """Return 0 for the same spot, 1 for the same city by an address, 2 for a place nearby, 3 for elsewhere.

    None where a position is missing.
    """
    if first.city is None or second.city is None:
        return None
    if first.exact and second.exact:
        away = _away(first, second)
        return 0 if away <= _SPOT_KM else 2 + (away > _NEAR_KM)
    return 1 if first.city == second.city else 3


def _shares(counts: list[float], prior: tuple[float, ...]) -> list[float]:
    total = sum(counts) + _PRIOR
    return [(count + _PRIOR * share) / total for count, share in zip(counts, prior, strict=True)]


def _beta_binomial(hits: int, of: int, prior: tuple[float, float]) -> float:
    """Return ln of the probability of so many hits, but for the binomial coefficient."""
    a, b = prior
    return lgamma(a + hits) + lgamma(b + of - hits) - lgamma(a + b + of) - lgamma(a) - lgamma(b) + lgamma(a + b)


def _travel(scans: list[_Scan]) -> tuple[_Scan, _Scan] | None:
    """Return two scans by different phones between which nobody can have travelled; only of clocks that agree."""
    for first, second in pairwise(scans):
        away = _away(first, second)
        hours = max(second.at - first.at, 1) / _HOUR_MS
        if away > _FAR_KM and away / hours > _FASTEST_KMH and first.prompt and second.prompt:
            return first, second
    return None
