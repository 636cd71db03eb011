"""What the cases of each shipment say in one place, and which shipment says most. docs/detection.md, bulk. Pure."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from itertools import combinations
from math import inf, log, prod
from typing import Final, Protocol, TypeAlias

from trace_service.detection.cell import Cell, Piece
from trace_service.detection.placing import Kind, flat_km
from trace_service.detection.ratios import LOCATED, WHOLE_CASE, bulk_nats, gateway_capped, gift_capped, gift_nats

LEAST_SHARE: Final = 1e-6
_GIFT_PLACE: Final = 0.01
# A present is opened in one place: hits further apart than this are hardly one.
_SPREAD_KM: Final = 25.0
_SPREAD_GIFT: Final = 0.15
_ROUNDING: Final = 1e-9
# How often goods that are sold in a city do not show up there, by kind of position.
_MISSED: Final = tuple(1 - part for part in LOCATED)
# The expected share for each kind of position, and the surge.
Honest: TypeAlias = tuple[tuple[float, ...], float]


class Seen(Protocol):
    """Which cases of a shipment were seen, and where."""

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


class Shipments:
    """The shipments of a place at one moment.

    `gateway` returns what all addresses of the place say of a gateway; it is asked where that matters.
    """

    def __init__(self, cell: Cell, seen: Seen, honest: Honest, seen_share: float, gateway: Callable[[], float]) -> None:
        shares, surge = honest
        self.cell, self.seen, self.seen_share, self.gateway = cell, seen, seen_share, gateway
        kappa = max(surge * shares[Kind.GPS] * 4, 0.002)
        self.gifts = max(kappa, _GIFT_PLACE)
        self.ratios = [
            LOCATED[kind] / (max(min(1.0, surge * shares[kind]), LEAST_SHARE) + WHOLE_CASE * kappa * LOCATED[kind])
            for kind in Kind
        ]

    def strongest(self, home: float) -> tuple[float, str | None]:
        """Return the nats of the shipment that says most, and which it is; −inf and None where there is none.

        `home` is what it says, in nats, that the place's cases were seen at home as well, or were not.
        Shipments are weighed in the order of the most that they could say, until none can say more than was found.
        """
        most = cache(partial(self._most, home))
        found: dict[str, list[Piece]] = {}
        for piece in self.cell.pieces:
            for shipment in dict.fromkeys(hit.shipment for hit in piece.hits if hit.shipment is not None):
                found.setdefault(shipment, []).append(piece)
        ranked = [(most(tuple(sorted([each.kind for each in here]))), name, here) for name, here in found.items()]
        ranked.sort(key=lambda each: -each[0])
        best: tuple[float, str | None] = (-inf, None)
        for bound, name, here in ranked:
            if bound < best[0] - _ROUNDING:
                break
            nats = self.weigh(name, here, home)
            if nats > best[0]:
                best = nats, name
        return best

    def _most(self, home: float, kinds: tuple[int, ...]) -> float:
        """Return the most that a shipment can say of which pieces of these kinds are here: as if nothing else was seen.

        Cases elsewhere, gateways and presents to one address only take away from it.
        """
        return max(home, self._unanswered(kinds, self.gifts * _SPREAD_GIFT, home))

    def _unanswered(self, kinds: Sequence[int], place: float, home: float) -> float:
        """Weigh pieces of these kinds as if nothing else of their shipment was seen."""
        here = [self.ratios[kind] for kind in kinds]
        present = log(place) + gift_nats(here, (), _counted(kinds), self.seen_share)
        return gift_capped(bulk_nats(here) + home, present + home)

    def weigh(self, shipment: str, here: list[Piece], home: float) -> float:
        """Weigh one shipment's cases against this place; hits that may have one cause are one case.

        That they were not seen at home (`home`) speaks against travellers. It tells a present, which is opened in one
        place, no more from a diversion than anything else does that both bring about.
        """
        kinds = [piece.kind for piece in here]
        found = [self.ratios[kind] for kind in kinds]
        elsewhere = self._elsewhere(shipment)
        alone = nats = bulk_nats([*found, *elsewhere])
        if nats <= 0:
            return nats + home
        if Kind.IP in kinds:
            addresses = [self.ratios[Kind.IP]] * kinds.count(Kind.IP)
            nats = gateway_capped(nats, min(self.gateway(), bulk_nats([*addresses, *elsewhere])))
        place = self.gifts * (_SPREAD_GIFT if spread(here) else 1.0)
        present = log(place) + gift_nats(found, elsewhere, _counted(kinds), self.seen_share)
        # The gateway is an explanation already; and what was seen elsewhere makes nothing stranger.
        answered = gift_capped(nats + home, present - (alone - nats) + home)
        return min(answered, self._unanswered(kinds, place, home))

    def _elsewhere(self, shipment: str) -> list[float]:
        """Return L1 / L0 of each of a shipment's cases that was seen, but not in this city.

        What the dealer's own shops took in was not to be sold elsewhere, and says nothing of the rest.
        """
        found, cell, seen = [], self.cell, self.seen
        for case in seen.shipments[shipment]:
            whose = (cell.dealer, case)
            if case not in cell.hits and whose not in seen.stocked and (places := seen.cities.get(whose)):
                found.append(prod(_MISSED[kind] for kind, _ in places.values()))
        return found


def _counted(kinds: Sequence[int]) -> int:
    """Return the cases that pieces of these kinds count for: what is found in a shop counts twice."""
    return len(kinds) + sum(kind == Kind.STORE for kind in kinds)


def spread(pieces: list[Piece]) -> bool:
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
