"""Codes that nobody issued, or that were made void: claims about codes, never about a dealer."""

import re
from collections.abc import Iterable
from math import log

from msgspec import Struct

from trace_service.detection.changes import Claim, Contribution
from trace_service.detection.network import Network
from trace_service.detection.observations import CodeState, Observation, Sighting, Withdrawn
from trace_service.detection.placing import Placer
from trace_service.detection.settings import DAY_MS, Settings

_BAD = {CodeState.UNKNOWN: "never_issued", CodeState.INACTIVE: "not_activated", CodeState.VOID: "void"}
# A code in the form of issued ones that nobody issued is no misread.
_WELL_FORMED_NATS = 7.0
# Others may be misreads or strangers' labels, which come everywhere: many phones with such codes in one city are a
# series of labels in another form. What is expected is never less than this, whatever was seen so far.
_LEAST_MISREADS = 0.25
_MISREAD_PRIOR = (0.05, 100.0)
_MONTH_MS = 30 * DAY_MS
# What could be a label at all: four digits among eight characters, and nothing that a person typed between words.
_LABEL = re.compile(r"(?=(?:\D*\d){4})\S{8,}")
_NATS_A_CODE = {CodeState.UNKNOWN: 3.0, CodeState.INACTIVE: 1.5, CodeState.VOID: 2.5}
_NATS_A_DEVICE = 0.5
# Where lone unknown codes are this common among scans, something else than forgers makes them.
_COMMON = 5e-4
_FEW = 8
_THRESHOLD = 6.9
_POOL_DAYS = 60


class _Seen(Struct):
    """One bad code: who scanned it, and since when."""

    unit: str
    state: CodeState
    at: int
    keys: dict[str, tuple[str, str]]  # sighting → event, device


class ForgedDetector:
    """Pools bad codes by product and city for sixty days; late uploads have a day to explain them."""

    wants: tuple[type, ...] = (Sighting, Withdrawn)

    def __init__(self, network: Network, settings: Settings, placer: Placer) -> None:
        self.network, self.settings, self.placer = network, settings, placer
        self._pools: dict[tuple[str, str], dict[str, _Seen]] = {}
        self._pool_of: dict[str, tuple[tuple[str, str], str]] = {}
        self._waiting: dict[tuple[str, str], int] = {}
        self._scans = 0
        # Scans by city and month, and devices with codes of another form by city.
        self._traffic: dict[str, dict[int, int]] = {}
        self._strange: dict[str, set[str]] = {}

    def observe(self, observation: Observation, now: int) -> Iterable[Claim]:
        """Count a bad code; a code that turns out to be issued takes itself back."""
        if not isinstance(observation, Sighting | Withdrawn):
            return
        old = self._pool_of.pop(observation.key, None)
        if old is not None:
            pool, unit = old
            seen = self._pools[pool][unit]
            seen.keys.pop(observation.key, None)
            if not seen.keys:
                del self._pools[pool][unit]
            yield self._claim(pool, now)
        if not isinstance(observation, Sighting) or observation.kind != "scan":
            return
        self._scans += 1
        pool = self._pool(observation)
        months = self._traffic.setdefault(pool[1], {})
        month = now // _MONTH_MS
        months[month] = months.get(month, 0) + 1
        if observation.goods.state in _BAD:
            if not pool[0] and _LABEL.fullmatch(observation.goods.unit):
                self._strange.setdefault(pool[1], set()).add(observation.device or observation.actor)
            unit = observation.goods.unit
            seen = self._pools.setdefault(pool, {}).setdefault(
                unit, _Seen(unit, observation.goods.state, observation.occurred_at, {})
            )
            seen.keys[observation.key] = (observation.event, observation.device or observation.actor)
            self._pool_of[observation.key] = (pool, unit)
            self._waiting[pool] = now

    def close_day(self, now: int) -> Iterable[Claim]:
        """Speak of codes that a day of late uploads has not explained."""
        due = [pool for pool, since in self._waiting.items() if since + self._grace_ms <= now]
        for pool in due:
            del self._waiting[pool]
            yield self._claim(pool, now)

    @property
    def _grace_ms(self) -> int:
        return self.settings.late_upload_hours * DAY_MS // 24

    def _pool(self, sighting: Sighting) -> tuple[str, str]:
        placed = self.placer.place(sighting)
        city = self.network.cities[placed.city].adcode if placed else ""
        return sighting.goods.product or "", city

    def _nats(self, seen: _Seen) -> float:
        if seen.state is not CodeState.UNKNOWN:
            return _NATS_A_CODE[seen.state]
        lone = sum(len(codes) == 1 for codes in self._pools.values())
        common = lone > max(_FEW, _COMMON * self._scans)
        return _NATS_A_CODE[seen.state] if common else _WELL_FORMED_NATS

    def _series_nats(self, city: str, found: int, now: int) -> float:
        """Return how much likelier so many phones with codes of another form are than at the rate of all other cities.

        The log of a ratio of Poisson probabilities, at the mean found and at the mean expected.
        """
        month = now // _MONTH_MS
        traffic = self._traffic.get(city, {})
        scans = sum(traffic.get(month - back, 0) for back in range(3))
        elsewhere = sum(len(devices) for place, devices in self._strange.items() if place != city)
        others = self._scans - sum(traffic.values())
        share = (elsewhere + _MISREAD_PRIOR[0]) / (others + _MISREAD_PRIOR[1])
        expected = max(_LEAST_MISREADS, scans * share)
        return found * log(found / expected) - (found - expected) if found > expected else 0.0

    def _claim(self, pool: tuple[str, str], now: int) -> Claim:
        product, city = pool
        seen = [each for each in self._pools[pool].values() if each.at >= now - _POOL_DAYS * DAY_MS]
        devices = {device for each in seen for _, device in each.keys.values()}
        if product:
            shares = [self._nats(each) for each in seen]
            nats = sum(shares) + _NATS_A_DEVICE * (len(devices) - 1)
        else:
            seen = [each for each in seen if _LABEL.fullmatch(each.unit)]
            devices = {device for each in seen for _, device in each.keys.values()}
            nats = self._series_nats(city, min(len(seen), len(devices)), now)
            shares = [nats / max(1, len(seen))] * len(seen)
        return Claim(
            key=f"forged/{product}/{city}",
            detector="forged",
            kind="forged",
            dealer=None,
            nats=nats,
            threshold=_THRESHOLD,
            adcode=city or None,
            contributions=tuple(
                Contribution(
                    case="",
                    nats=round(share, 3),
                    events=tuple(event for event, _ in each.keys.values()),
                    first_at=each.at,
                    note=_BAD[each.state],
                )
                for each, share in zip(seen, shares, strict=True)
            ),
            units=tuple(each.unit for each in seen),
            figures={"codes": len(seen), "devices": len(devices), "product": product, "days": _POOL_DAYS},
        )
