"""Codes that nobody issued, or that were made void: claims about codes, never about a dealer."""

from collections.abc import Iterable

from msgspec import Struct

from trace_service.detection.changes import Claim, Contribution
from trace_service.detection.network import Network
from trace_service.detection.observations import CodeState, Observation, Sighting, Withdrawn
from trace_service.detection.placing import Placer
from trace_service.detection.settings import DAY_MS, Settings

_BAD = {CodeState.UNKNOWN: "never_issued", CodeState.INACTIVE: "not_activated", CodeState.VOID: "void"}
# A code in the form of issued ones that nobody issued is no misread; others are, however many.
_WELL_FORMED_NATS = 7.0
_MISREAD_NATS = 0.2
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
        if observation.goods.state in _BAD:
            pool = self._pool(observation)
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

    def _nats(self, pool: tuple[str, str], seen: _Seen) -> float:
        if seen.state is not CodeState.UNKNOWN:
            return _NATS_A_CODE[seen.state]
        if not pool[0]:
            return _MISREAD_NATS
        lone = sum(len(codes) == 1 for codes in self._pools.values())
        common = lone > max(_FEW, _COMMON * self._scans)
        return _NATS_A_CODE[seen.state] if common else _WELL_FORMED_NATS

    def _claim(self, pool: tuple[str, str], now: int) -> Claim:
        product, city = pool
        seen = [each for each in self._pools[pool].values() if each.at >= now - _POOL_DAYS * DAY_MS]
        devices = {device for each in seen for _, device in each.keys.values()}
        nats = sum(self._nats(pool, each) for each in seen) + _NATS_A_DEVICE * (len(devices) - 1) * bool(product)
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
                    nats=self._nats(pool, each),
                    events=tuple(event for event, _ in each.keys.values()),
                    first_at=each.at,
                    note=_BAD[each.state],
                )
                for each in seen
            ),
            units=tuple(each.unit for each in seen),
            figures={"codes": len(seen), "devices": len(devices), "product": product, "days": _POOL_DAYS},
        )
