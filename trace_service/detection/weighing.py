"""What speaks against a dealer in one place, in nats: drip, bulk and what was seen at home. docs/detection.md."""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from functools import cache, partial
from itertools import combinations
from math import exp, inf, log
from operator import attrgetter
from typing import Final, Protocol, TypeAlias

from msgspec import Struct

from trace_service.detection.calibration import Evidence
from trace_service.detection.cell import Cell, Piece, apart
from trace_service.detection.exposure import Located
from trace_service.detection.placing import KINDS, Kind, flat_km
from trace_service.detection.ratios import (
    LOCATED,
    WHOLE_CASE,
    bulk_nats,
    drip_nats,
    gateway_capped,
    gift_capped,
    home_nats,
)
from trace_service.detection.settings import DAY_MS, Settings

_LEAST_SHARE: Final = 1e-6
# That a dealer's shop books in what is sold elsewhere is rare, in nats, and this many cases have to say so.
_BOOKED_NATS: Final = 6.0
_LEAST_BOOKED: Final = 4
_GIFT_PLACE: Final = 0.01
# A present is opened in one place: hits further apart than this are hardly one.
_SPREAD_KM: Final = 25.0
_SPREAD_GIFT: Final = 0.15
_AT: Final = attrgetter("at")
# The expected share for each kind of position, and the surge.
Honest: TypeAlias = tuple[tuple[float, ...], float]
# Both, and what all addresses say of a gateway, where that is asked for.
Known: TypeAlias = tuple[tuple[float, ...], float, Callable[[], float]]


class Weighed(Struct):
    """A place at one moment: nats by detector, and what they were computed from."""

    drip: float = -inf
    bulk: float = -inf
    home: float = 0.0
    shipment: str | None = None
    cases: int = 0
    spread: bool = False
    pieces: int = 0
    expected: float = 0.0
    located: tuple[int, ...] = (0,) * KINDS
    surge: float = 1.0
    windows: tuple[tuple[int, int, float, float], ...] = ()  # days, pieces, expected, nats
    booked: bool = False  # what a shop had taken in is counted as well

    @property
    def evidence(self) -> Evidence:
        """What the calibration looks at."""
        return Evidence(drip=self.drip, bulk=self.bulk, spread=self.spread, home=self.home)


class Counted(Protocol):
    """How many cases of each dealer were located."""

    def located(self, dealer: str, since: int) -> Located:
        """Return the cases of a dealer seen since a moment (milliseconds), by kind."""
        ...


class Traces(Protocol):
    """Who was seen where: `Sightings`, or what was kept of them with an alert."""

    @property
    def exposure(self) -> Counted:
        """Located cases by dealer."""
        ...

    @property
    def shipments(self) -> Mapping[str, Mapping[str, None]]:
        """Cases of a shipment that were seen anywhere."""
        ...

    @property
    def cities(self) -> Mapping[tuple[str, str], Mapping[int, tuple[int, bool]]]:
        """(dealer, case) → city → kind of the first sighting there, and whether that is foreign."""
        ...

    @property
    def stocked(self) -> Mapping[tuple[str, str], set[str]]:
        """(dealer, case) that one of the dealer's own shops took in."""
        ...

    @property
    def at_home_share(self) -> float:
        """How many of the cases in foreign cells were seen at home as well."""
        ...

    @property
    def carried_share(self) -> float:
        """How many of the cases in foreign cells a shop of their dealer had had."""
        ...


class Usual(Protocol):
    """What honest customers do: `Habits`, or what was kept of them with an alert."""

    def shares(self, dealer: str, place: int) -> tuple[float, ...] | None:
        """Return the expected share for each kind of position."""
        ...

    def surge(self, dealer: str, place: int) -> float:
        """Return how much more other dealers' goods come to a place than usual."""
        ...

    @property
    def seen_share(self) -> float:
        """How likely a case is ever seen."""
        ...


class Weigher:
    """Weighs places with the habits of the last week; pure of side effects."""

    def __init__(self, settings: Settings, sightings: Traces, habits: Usual) -> None:
        self.settings, self.sightings, self.habits = settings, sightings, habits

    def weigh(self, cell: Cell, now: int) -> Weighed:
        """Weigh one city's pieces."""
        shares = self.habits.shares(cell.dealer, cell.city)
        if shares is None or not (cell.pieces or cell.carried):
            return Weighed()
        found = self._weigh(cell, shares, now)
        if len(cell.carried) >= _LEAST_BOOKED:
            booked = self._booked(cell, shares, now)
            if booked.drip > max(found.drip, found.bulk):
                return booked
        return found

    def _booked(self, cell: Cell, shares: tuple[float, ...], now: int) -> Weighed:
        """Weigh a city as if the shops that had the cases had booked them in for show."""
        pieces = cell.with_carried()
        kept = 1 - self.sightings.carried_share
        surge = self.habits.surge(cell.dealer, cell.city) * cell.allowed(now) / kept
        found = self.drip(cell.dealer, apart(pieces), (shares, surge), self.settings.windows_days, now)
        found.drip -= _BOOKED_NATS
        found.cases, found.spread, found.booked = sum(len(each.hits) for each in pieces), _spread(pieces), True
        return found

    def _weigh(self, cell: Cell, shares: tuple[float, ...], now: int) -> Weighed:
        if not cell.pieces:
            return Weighed()
        surge = self.habits.surge(cell.dealer, cell.city) * cell.allowed(now)
        found = self.drip(cell.dealer, cell.independent(), (shares, surge), self.settings.windows_days, now)
        home = max(0.0, len(cell.at_home) - found.expected)
        found.home = home_nats(len(cell.pieces), home, self.sightings.at_home_share)
        found.drip += found.home
        found.cases, found.spread = sum(len(each.hits) for each in cell.pieces), _spread(cell.pieces)
        gateway = cache(partial(self._by_gateway, cell, (shares, surge), now))
        by_shipment: dict[str, list[Piece]] = {}
        for piece in cell.pieces:
            for shipment in dict.fromkeys(hit.shipment for hit in piece.hits if hit.shipment is not None):
                by_shipment.setdefault(shipment, []).append(piece)
        # Those with the most here first: what they say is more than others can, which need not be weighed then.
        for shipment, here in sorted(by_shipment.items(), key=lambda each: -len(each[1])):
            nats = self._bulk(cell, (shipment, here), (shares, surge, gateway), found.bulk - found.home) + found.home
            if nats > found.bulk:
                found.bulk, found.shipment = nats, shipment
        return found

    def drip(self, dealer: str, pieces: list[Piece], honest: Honest, windows: Iterable[int], now: int) -> Weighed:
        """Weigh pieces, in the order of time, by their number in each window (days)."""
        shares, surge = honest
        total, rows, widest = -inf, [], (0,) * KINDS
        for days in windows:
            since = now - days * DAY_MS
            inside = pieces[bisect_left(pieces, since, key=_AT) :]
            located = self.sightings.exposure.located(dealer, since)
            means = [surge * number * share for number, share in zip(located, shares, strict=True)]
            visible = [number * part for number, part in zip(located, LOCATED, strict=True)]
            mean = sum(means)
            nats = drip_nats(len(inside), max(mean, _LEAST_SHARE), sum(visible))
            if nats > 0 and (addresses := sum(piece.kind == Kind.IP for piece in inside)):
                alone = drip_nats(addresses, max(means[Kind.IP], _LEAST_SHARE), visible[Kind.IP])
                nats = gateway_capped(nats, alone)
            rows.append((days, len(inside), mean, nats))
            total, widest = _log_add(total, nats), located
        last = rows[-1]
        return Weighed(
            drip=total - log(len(rows)), pieces=last[1], expected=last[2],
            located=widest, surge=surge, windows=tuple(rows),
        )  # fmt: skip

    def _by_gateway(self, cell: Cell, honest: Honest, now: int) -> float:
        """Return what the dealer's addresses there say of a gateway, which shows those of all its shipments alike."""
        shares, surge = honest
        strongest = 0.0
        for days in self.settings.windows_days:
            since = now - days * DAY_MS
            number = sum(piece.kind == Kind.IP for piece in cell.pieces if piece.at >= since)
            located = self.sightings.exposure.located(cell.dealer, since)[Kind.IP]
            mean = max(surge * located * shares[Kind.IP], _LEAST_SHARE)
            strongest = max(strongest, drip_nats(number, mean, located * LOCATED[Kind.IP]))
        return strongest

    def _bulk(self, cell: Cell, found: tuple[str, list[Piece]], usual: Known, least: float) -> float:
        """Weigh one shipment's cases against this city; hits that may have one cause are one case.

        `usual` are the honest shares, the surge, and what all addresses say of a gateway. −inf where it cannot be more
        than `least`.
        """
        shipment, here = found
        shares, surge, gateway = usual
        kappa = max(surge * shares[Kind.GPS] * 4, 0.002)
        positions: list[float] = []
        addresses: list[float] = []
        for piece in here:
            honest = max(min(1.0, surge * shares[piece.kind]), _LEAST_SHARE)
            ratio = LOCATED[piece.kind] / (honest + WHOLE_CASE * kappa * LOCATED[piece.kind])
            (addresses if piece.kind == Kind.IP else positions).append(ratio)
        if sum(max(0.0, log(each)) for each in (*positions, *addresses)) <= least:
            return -inf
        elsewhere = self._elsewhere(cell, shipment)
        nats = bulk_nats([*positions, *addresses, *elsewhere])
        if addresses and nats > 0:
            nats = gateway_capped(nats, min(gateway(), bulk_nats([*addresses, *elsewhere])))
        cases = len(here) + sum(piece.kind == Kind.STORE for piece in here)
        place = max(kappa, _GIFT_PLACE) * (_SPREAD_GIFT if _spread(here) else 1.0)
        return gift_capped(nats, cases, place, self.habits.seen_share)

    def _elsewhere(self, cell: Cell, shipment: str) -> list[float]:
        """Return L1 / L0 of each of a shipment's cases that was seen, but not in this city."""
        found = []
        for case in self.sightings.shipments[shipment]:
            if case not in cell.hits:
                ratio = 1.0
                for kind, _ in self.sightings.cities.get((cell.dealer, case), {}).values():
                    ratio *= 1 - LOCATED[kind]
                if (cell.dealer, case) in self.sightings.stocked:
                    ratio *= 1 - LOCATED[Kind.STORE]
                found.append(ratio)
        return found


def _spread(pieces: list[Piece]) -> bool:
    """Whether hits with a position lie further apart than one present's guests."""
    points = [(hit.lat, hit.lon) for each in pieces for hit in each.hits if hit.lat is not None and hit.lon is not None]
    if len(points) < 2:  # noqa: PLR2004  # one lies apart from nothing
        return False
    (south, north), (west, east) = ((min(axis), max(axis)) for axis in zip(*points, strict=True))
    if flat_km(south, west, north, west) > _SPREAD_KM:
        return True
    # A box that is small enough even where its meridians lie furthest apart settles it without looking at each pair.
    widest = min(abs(south), abs(north)) if south * north > 0 else 0.0
    if flat_km(widest, west, widest + north - south, east) <= _SPREAD_KM:
        return False
    return any(flat_km(*first, *second) > _SPREAD_KM for first, second in combinations(points, 2))


def _log_add(first: float, second: float) -> float:
    high, low = max(first, second), min(first, second)
    return high if low == -inf else high + log(1 + exp(low - high))
