"""What speaks against a dealer in one place, in nats: drip, bulk and what was seen at home. docs/detection.md."""

from bisect import bisect_left
from collections.abc import Iterable
from functools import cache, partial
from math import exp, inf, log
from operator import attrgetter
from typing import Final, Protocol

from msgspec import Struct

from trace_service.detection.calibration import Evidence
from trace_service.detection.cell import Cell, Piece, apart
from trace_service.detection.exposure import Located
from trace_service.detection.placing import KINDS, Kind
from trace_service.detection.ratios import (
    LOCATED,
    drip_nats,
    gateway_capped,
    home_nats,
)
from trace_service.detection.settings import DAY_MS, Settings
from trace_service.detection.shipping import LEAST_SHARE, Honest, Seen, Shipments, spread

# That a dealer's shop books in what is sold elsewhere is rare, in nats, and this many cases have to say so.
_BOOKED_NATS: Final = 6.0
_LEAST_BOOKED: Final = 4
_AT: Final = attrgetter("at")


class Weighed(Struct):
    """A place at one moment: nats by detector, and what they were computed from."""

    drip: float = -inf
    bulk: float = -inf
    bulk_fitted: float = -inf  # the same as the calibration was fitted with: all of `home` added to it
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

    def beside_others(self, shipments: int) -> float:
        """Return what the place adds to other dealers' places, where so many shipments of its dealer were seen.

        One shipment of many may have ended there as a present: the strongest of them is one that was chosen.
        """
        return max(self.drip, self.bulk - log(max(1, shipments)))

    @property
    def evidence(self) -> Evidence:
        """What the calibration looks at."""
        return Evidence(drip=self.drip, bulk=self.bulk_fitted, spread=self.spread, home=self.home)


class Counted(Protocol):
    """How many cases of each dealer were located."""

    def located(self, dealer: str, since: int) -> Located:
        """Return the cases of a dealer seen since a moment (milliseconds), by kind."""
        ...


class Traces(Seen, Protocol):
    """Who was seen where: `Sightings`, or what was kept of them with an alert."""

    @property
    def exposure(self) -> Counted:
        """Located cases by dealer."""
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
        found.cases, found.spread, found.booked = sum(len(each.hits) for each in pieces), spread(pieces), True
        return found

    def _weigh(self, cell: Cell, shares: tuple[float, ...], now: int) -> Weighed:
        if not cell.pieces:
            return Weighed()
        surge = self.habits.surge(cell.dealer, cell.city) * cell.allowed(now)
        found = self.drip(cell.dealer, cell.independent(), (shares, surge), self.settings.windows_days, now)
        home = max(0.0, len(cell.at_home) - found.expected)
        found.home = home_nats(len(cell.pieces), home, self.sightings.at_home_share)
        found.drip += found.home
        if cell.known_spread is None:
            cell.known_spread = spread(cell.pieces)
        found.cases, found.spread = sum(len(each.hits) for each in cell.pieces), cell.known_spread
        gateway = cache(partial(self._by_gateway, cell, (shares, surge), now))
        shipments = Shipments(cell, self.sightings, (shares, surge), self.habits.seen_share, gateway)
        found.bulk, found.shipment = shipments.strongest(found.home)
        if found.shipment is not None:
            here = [each for each in cell.pieces if any(hit.shipment == found.shipment for hit in each.hits)]
            found.bulk_fitted = shipments.weigh(found.shipment, here, 0.0) + found.home
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
            nats = drip_nats(len(inside), max(mean, LEAST_SHARE), sum(visible))
            if nats > 0 and (addresses := sum(piece.kind == Kind.IP for piece in inside)):
                alone = drip_nats(addresses, max(means[Kind.IP], LEAST_SHARE), visible[Kind.IP])
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
            mean = max(surge * located * shares[Kind.IP], LEAST_SHARE)
            strongest = max(strongest, drip_nats(number, mean, located * LOCATED[Kind.IP]))
        return strongest


def _log_add(first: float, second: float) -> float:
    high, low = max(first, second), min(first, second)
    return high if low == -inf else high + log(1 + exp(low - high))
