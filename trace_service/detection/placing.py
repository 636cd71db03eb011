"""Where a sighting was, how well that is known, and whether it was out of its dealer's territory then."""

from collections.abc import Sequence
from enum import IntEnum
from math import cos, hypot, radians
from typing import Final, NamedTuple

import numpy as np

from trace_service.detection.network import FloatArray, Network, Territory, around, covers
from trace_service.detection.observations import Sighting, Source
from trace_service.detection.settings import DAY_MS, Settings

_KM_PER_DEGREE: Final = 111.2
BORDER_KM: Final = 6.0
_UNLESS_M: Final = 500.0


class Kind(IntEnum):
    """How a position names a city; each has a baseline of its own."""

    GPS = 0
    IP = 1
    STORE = 2


KINDS: Final = len(Kind)
_KIND_OF: Final = {Source.GPS: Kind.GPS, Source.IP: Kind.IP, Source.SITE: Kind.STORE, Source.STORE: Kind.STORE}


class Placed(NamedTuple):
    """A sighting's city (by its index in the network), and whether that is foreign to the goods' dealer."""

    city: int
    kind: Kind
    foreign: bool


class Placer:
    """Places sightings by the nearest centre of a division; near a border the dealer has the benefit of the doubt."""

    def __init__(self, network: Network, settings: Settings) -> None:
        self.network, self.settings = network, settings
        self._homes: dict[tuple[str, ...], tuple[FloatArray, FloatArray]] = {}
        self._covered: dict[tuple[tuple[str, ...], str], bool] = {}
        # Several detectors ask about each sighting, one after the other.
        self._last: tuple[Sighting | None, Placed | None] = (None, None)

    def place(self, sighting: Sighting) -> Placed | None:
        """Return where a sighting was, None where it names no city."""
        if self._last[0] is not sighting:
            self._last = (sighting, self._place(sighting))
        return self._last[1]

    def _place(self, sighting: Sighting) -> Placed | None:
        position = sighting.position
        kind = _KIND_OF.get(position.source)
        if kind is None:
            return None
        adcode = position.adcode
        if (kind is Kind.GPS or adcode is None) and position.lat is not None and position.lon is not None:
            adcode = self.network.locate(position.lat, position.lon)
        city = self.network.city(adcode) if adcode else None
        if adcode is None or city is None:
            return None
        return Placed(self.network.city_index[city], kind, self._foreign(sighting, adcode, city, kind))

    def _foreign(self, sighting: Sighting, adcode: str, city: str, kind: Kind) -> bool:
        goods = sighting.goods
        dealer = goods.dealer
        if dealer is None or dealer not in self.network.dealers:
            return False
        if sighting.outside is not None:
            return sighting.outside
        moment = sighting.occurred_at
        if self.network.is_national(dealer, moment):
            return False
        since = moment
        if goods.shipped_at is not None and goods.shipped_at < moment:
            # What left while the territory was the dealer's is sold off there.
            since = max(goods.shipped_at, moment - self.settings.runoff_days * DAY_MS)
        held = self.network.held_before(dealer, since, moment)
        if not held:
            return False  # who has no territory at all cannot be outside of it
        if any(self._covers(each, adcode, city, whole=kind is Kind.IP) for each in held):
            return False
        return kind is not Kind.GPS or not self._at_border(sighting, held)

    def _covers(self, territory: Territory, adcode: str, city: str, *, whole: bool) -> bool:
        """Whether a territory holds a division; of a city known only as a whole, any part is enough."""
        key = (territory.adcodes, city if whole else adcode)
        found = self._covered.get(key)
        if found is None:
            found = covers(territory.adcodes, adcode, city) or (
                (whole or adcode == city) and any(self.network.city(each) == city for each in territory.adcodes)
            )
            self._covered[key] = found
        return found

    def _at_border(self, sighting: Sighting, held: Sequence[Territory]) -> bool:
        """Whether the dealer's own land is about as near as the foreign place."""
        lat, lon = sighting.position.lat, sighting.position.lon
        if lat is None or lon is None:
            return False
        slack = BORDER_KM + (sighting.position.accuracy_m or _UNLESS_M) / 1000
        nearest = self.network.nearest_km(lat, lon)
        for territory in held:
            lats, lons = self._home(territory.adcodes)
            if len(lats):
                away = np.hypot(lats - lat, (lons - lon) * cos(radians(lat))).min() * _KM_PER_DEGREE
                if away - nearest <= slack:
                    return True
        return False

    def _home(self, adcodes: tuple[str, ...]) -> tuple[FloatArray, FloatArray]:
        found = self._homes.get(adcodes)
        if found is None:
            apart = frozenset(adcodes).isdisjoint
            own = [each for each in self.network.places if not apart(around(each.adcode, each.city or None))]
            found = self._homes[adcodes] = (np.array([each.lat for each in own]), np.array([each.lon for each in own]))
        return found


def flat_km(lat_1: float, lon_1: float, lat_2: float, lon_2: float) -> float:
    """Return the distance of two near points in kilometres."""
    return _KM_PER_DEGREE * hypot(lat_1 - lat_2, (lon_1 - lon_2) * cos(radians(lat_1)))
