"""Goods that are seen far off the way of the shipment that brings them, before they came.

The way is from sender to receiver; roads bend, so that a place counts as off it where the way by it is much longer.
Kept: shipments that are under way, what was seen of them off their way, and deliveries, which say that their goods had
come to who sends them; for sixty days.
"""

from collections.abc import Iterable
from typing import Any, Final

from msgspec import Struct

from trace_service.detection.changes import Claim, Contribution
from trace_service.detection.network import Network
from trace_service.detection.observations import Movement, Observation, Shipment, Sighting, Source, Withdrawn
from trace_service.detection.placing import flat_km
from trace_service.detection.settings import DAY_MS, Settings

_THRESHOLD: Final = 6.9
_LONGEST_MS: Final = 15 * DAY_MS
_KEPT_MS: Final = 60 * DAY_MS
# Trucks of honest carriers make detours: up to so many kilometres and so large a share of the way say nothing.
_SLACK_KM: Final = 100.0
_SLACK_SHARE: Final = 0.3
_STOP_NATS: Final = 5.0
_NEXT_STOP_NATS: Final = 3.5
_FAR_NATS: Final = 2.0
_FAR_SHARE: Final = 1.0
_MOST_NATS: Final = 20.0

Point = tuple[float, float]


def route_nats(stops: int, *, far: bool) -> float:
    """Return what so many stops off the way say, and whether the way by one of them is at least twice as long."""
    nats = _STOP_NATS + _NEXT_STOP_NATS * (stops - 1) if stops else 0.0
    return min(_MOST_NATS, nats + _FAR_NATS * far)


class _Way(Struct):
    """A shipment under way; nothing is off the way of a delivery to a shop."""

    key: str
    sender: str
    receiver: str
    departed: int
    arrived: int | None
    cases: frozenset[str]
    delivery: bool
    stops: dict[str, Sighting] = {}


class OffRouteDetector:
    """Looks at what inspectors and strange warehouses see of goods between departure and receipt."""

    wants: tuple[type, ...] = (Sighting, Movement, Shipment, Withdrawn)

    def __init__(self, network: Network, settings: Settings) -> None:
        self.network, self.settings = network, settings
        self._ways: dict[str, _Way] = {}
        self._by_case: dict[str, dict[str, None]] = {}
        self._way_of: dict[str, str] = {}
        self._sites: dict[str, Point] = {}
        self._waiting: dict[str, int] = {}

    def observe(self, observation: Observation, now: int) -> Iterable[Claim]:
        """Keep shipments under way and what is seen of them; what shows that they had come before takes it out."""
        if isinstance(observation, Shipment):
            yield from self._sent_on(observation)
            yield from self._paper(observation, now)
        elif isinstance(observation, Movement):
            yield from self._moved(observation)
        elif isinstance(observation, Sighting | Withdrawn):
            way = self._ways.get(self._way_of.pop(observation.key, ""))
            if way is not None and way.stops.pop(observation.key, None) is not None and way.key not in self._waiting:
                yield self._claim(way)
            if isinstance(observation, Sighting):
                self._seen(observation, now)

    def close_day(self, now: int) -> Iterable[Claim]:
        """Speak of what no paper and no late receipt has explained within the grace; forget what came long ago."""
        for key in [key for key, due in self._waiting.items() if due <= now]:
            del self._waiting[key]
            if key in self._ways:
                yield self._claim(self._ways[key])
        if now // DAY_MS % 7 == 0:
            for key in [key for key, way in self._ways.items() if way.departed < now - _KEPT_MS]:
                way = self._ways.pop(key)
                self._unload(key, way.cases)
                for sighting in way.stops:
                    self._way_of.pop(sighting, None)

    def _paper(self, paper: Shipment, now: int) -> Iterable[Claim]:
        """Keep a paper; one that comes after those by which its receiver sent its goods on has come when they left."""
        if paper.departed_at < now - _KEPT_MS:
            return
        old = self._ways.get(paper.key)
        way = _Way(
            paper.key, paper.sender, paper.receiver, paper.departed_at, None, frozenset(paper.cases),
            paper.kind == "delivery", old.stops if old else {},
        )  # fmt: skip
        self._ways[paper.key] = way
        if old is not None:
            self._unload(paper.key, old.cases - way.cases)
        for case in paper.cases:
            self._by_case.setdefault(case, {})[paper.key] = None
        onward = (each.departed for each in self._with(paper.cases) if each.sender == way.receiver)
        known = [moment for moment in onward if moment >= way.departed]
        known += [each for each in (paper.arrived_at, old.arrived if old else None) if each is not None]
        if known:
            yield from self._came(way, min(known))

    def _unload(self, key: str, cases: Iterable[str]) -> None:
        for case in cases:
            keys = self._by_case.get(case, {})
            keys.pop(key, None)
            if not keys:
                self._by_case.pop(case, None)

    def _moved(self, movement: Movement) -> Iterable[Claim]:
        position, site = movement.position, movement.site_dealer
        if site and position.source is Source.SITE and position.lat is not None and position.lon is not None:
            self._sites[site] = (position.lat, position.lon)
        way = self._ways.get(movement.shipment or "")
        if way is not None and movement.kind == "receive" and site == way.receiver:
            yield from self._came(way, movement.occurred_at)

    def _sent_on(self, paper: Shipment) -> Iterable[Claim]:
        """Count what its receiver sends on as arrived, also where no reader noticed."""
        for way in self._with(paper.cases):
            if way.receiver == paper.sender and way.departed <= paper.departed_at:
                yield from self._came(way, paper.departed_at)

    def _with(self, cases: Iterable[str]) -> Iterable[_Way]:
        keys = dict.fromkeys(key for case in cases for key in self._by_case.get(case, ()))
        return [self._ways[key] for key in keys]

    def _came(self, way: _Way, moment: int) -> Iterable[Claim]:
        way.arrived = min(way.arrived or moment, moment)
        early = [key for key, stop in way.stops.items() if stop.occurred_at >= way.arrived]
        for key in early:
            del way.stops[key]
        if early and way.key not in self._waiting:
            yield self._claim(way)

    def _seen(self, sighting: Sighting, now: int) -> None:
        position, moment = sighting.position, min(sighting.occurred_at, now)
        if (
            not sighting.dated
            or sighting.kind != "inspect"
            or position.source not in (Source.GPS, Source.SITE, Source.STORE)
        ):
            return
        if position.lat is None or position.lon is None or sighting.goods.case is None:
            return
        shop = self.network.store(position.place, moment) if position.place is not None else None
        for key in self._by_case.get(sighting.goods.case, ()):
            way = self._ways[key]
            if way.delivery:
                continue
            if shop is not None and way.receiver in (shop.dealer, *self.network.lineage(shop.dealer)):
                continue  # where its receiver sells, it is no longer on its way
            end = way.arrived if way.arrived is not None else way.departed + _LONGEST_MS
            if way.departed <= moment < end and self._detour(way, (position.lat, position.lon)) > 0:
                way.stops[sighting.key] = sighting
                self._way_of[sighting.key] = key
                self._waiting.setdefault(key, now + self.settings.document_grace_hours * DAY_MS // 24)
                return

    def _detour(self, way: _Way, place: Point) -> float:
        """Return by which share of the way the way by a place is longer than roads explain; 0 where it is not."""
        ends = [self._site(each) for each in (way.sender, way.receiver)]
        if ends[0] is None or ends[1] is None:
            return 0.0
        straight = flat_km(*ends[0], *ends[1])
        more = flat_km(*ends[0], *place) + flat_km(*place, *ends[1]) - straight
        allowed = _SLACK_KM + _SLACK_SHARE * straight
        return (more - allowed) / max(straight, _SLACK_KM) if more > allowed else 0.0

    def _site(self, dealer: str) -> Point | None:
        known = self.network.dealers.get(dealer)
        return self._sites.get(dealer) or ((known.lat, known.lon) if known else None)

    def _claim(self, way: _Way) -> Claim:
        # What one inspector reads at one place is one stop, however many cases it names.
        stops = {(each.device or each.actor, _spot(each)): each for each in way.stops.values()}
        detours = {key: self._detour(way, (each.position.lat or 0.0, each.position.lon or 0.0))
                   for key, each in stops.items()}  # fmt: skip
        cases = sorted({each.goods.case for each in way.stops.values() if each.goods.case})
        far = any(each > _FAR_SHARE for each in detours.values())
        nats = route_nats(len(stops), far=far)
        return Claim(
            key=f"offroute/{way.key}",
            detector="off_route",
            kind="offroute",
            dealer=way.receiver if way.receiver in self.network.dealers else None,
            nats=nats,
            threshold=_THRESHOLD,
            contributions=tuple(
                Contribution(
                    case=case, nats=round(nats / len(cases), 3), note="off_route",
                    events=tuple(each.event for each in way.stops.values() if each.goods.case == case),
                    first_at=min(each.occurred_at for each in way.stops.values() if each.goods.case == case),
                )
                for case in cases
            ),
            shipments=(way.key,),
            parties=tuple(each for each in (way.receiver, way.sender) if each in self.network.dealers),
            figures={
                "from": way.sender,
                "to": way.receiver,
                "stops": len(stops),
                "detour": round(max(detours.values(), default=0.0), 2),
                "far": far,
                "cases": len(cases),
                **self._planned(way, stops.values()),
            },
        )  # fmt: skip

    def _planned(self, way: _Way, stops: Iterable[Sighting]) -> dict[str, Any]:
        """Return where the goods should have gone and when they left, and where and when they were seen instead."""
        ends = [self._site(each) for each in (way.sender, way.receiver)]
        first, last = ends
        if first is None or last is None:
            return {}
        seen = []
        for each in sorted(stops, key=lambda one: (one.occurred_at, one.key)):
            place = (each.position.lat or 0.0, each.position.lon or 0.0)
            by_way = flat_km(*first, *place) + flat_km(*place, *last)
            seen.append({"adcode": self.network.city_near(*place), "at": each.occurred_at, "km": round(by_way)})
        return {
            "departed": way.departed,
            "way_km": round(flat_km(*first, *last)),
            "ends": [[round(each, 5) for each in end] for end in (first, last)],
            "places": seen,
        }


def _spot(sighting: Sighting) -> Point:
    """Return about where a sighting was, to half a degree."""
    return round(2 * (sighting.position.lat or 0.0)) / 2, round(2 * (sighting.position.lon or 0.0)) / 2
