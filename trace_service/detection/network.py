"""The channel as the engine knows it: dealers, territories, places, stores, products. Immutable once built."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import cached_property, lru_cache
from math import cos, floor, inf, radians, sqrt
from typing import Final

import numpy as np
from msgspec import Struct, structs
from numpy.typing import NDArray

COUNTRY: Final = "100000"
_FOREVER: Final = 2**62
_EARTH_KM: Final = 6371.0
_NOWHERE_KM: Final = 300.0
_CELL_KM: Final = 160.0  # twice the diagonal of half a degree
FloatArray = NDArray[np.float64]


class Dealer(Struct, frozen=True, kw_only=True):
    """A member of the channel; `kind` is brand, regional, city, county, sub, online or horeca."""

    id: str
    parent: str | None
    level: int
    kind: str
    lat: float
    lon: float


class Territory(Struct, frozen=True, kw_only=True):
    """Divisions of any level that a dealer may sell in from `valid_from` until before `valid_to` (None: open)."""

    dealer: str
    adcodes: tuple[str, ...]
    valid_from: int
    valid_to: int | None = None


class Place(Struct, frozen=True, kw_only=True):
    """A city or county: centre in WGS-84 degrees, inhabitants; a county names its city."""

    adcode: str
    lat: float
    lon: float
    population: float
    capital: bool = False
    city: str = ""


class Store(Struct, frozen=True, kw_only=True):
    """A shop and the dealer that it belongs to for a time."""

    id: str
    dealer: str
    lat: float
    lon: float
    adcode: str
    valid_from: int = -_FOREVER
    valid_to: int | None = None


class Product(Struct, frozen=True, kw_only=True):
    """A trade item."""

    gtin: str
    items_per_case: int
    unit_price: float


class Channel(Struct, frozen=True, kw_only=True):
    """Everything that is known of the channel; `version` names the state of the contracts for reproducibility."""

    dealers: tuple[Dealer, ...]
    territories: tuple[Territory, ...]
    places: tuple[Place, ...]
    stores: tuple[Store, ...] = ()
    products: tuple[Product, ...] = ()
    version: str = ""


def province(adcode: str) -> str:
    """Return the province of any division."""
    return adcode[:2] + "0000"


def distances_km(lat: float, lon: float, lats: FloatArray, lons: FloatArray) -> FloatArray:
    """Return great-circle distances from one point to many, in kilometres."""
    first, others = radians(lat), np.radians(lats)
    half = np.sin((others - first) / 2) ** 2 + cos(first) * np.cos(others) * np.sin(np.radians(lons - lon) / 2) ** 2
    found: FloatArray = 2 * _EARTH_KM * np.arcsin(np.sqrt(np.minimum(1.0, half)))
    return found


class Network:
    """The channel, made ready for questions: who may sell where, and where a position lies."""

    def __init__(self, channel: Channel) -> None:
        self.places = channel.places
        self.cities = tuple(each for each in self.places if each.city in ("", each.adcode))
        self.city_index = {each.adcode: index for index, each in enumerate(self.cities)}
        self._city_of = {each.adcode: each.city or each.adcode for each in self.places}
        self._provinces = {province(each) for each in self._city_of}
        self._located: dict[tuple[int, int], tuple[list[int], FloatArray, FloatArray]] = {}
        # Several ask about one point, one after the other.
        self._point: tuple[float, float] | None = None
        self._nearest_to_point: tuple[int | None, float] = (None, inf)
        self.replace(channel)

    def replace(self, channel: Channel) -> None:
        """Go by another state of the channel from now on, whose places are the same."""
        self.channel = channel
        self.dealers = {each.id: each for each in channel.dealers}
        self.products = {each.gtin: each for each in channel.products}
        self.version = channel.version
        self._territories: dict[str, list[Territory]] = defaultdict(list)
        self._whole_country: dict[str, list[Territory]] = defaultdict(list)
        for territory in sorted(channel.territories, key=lambda each: each.valid_from):
            if territory.adcodes:
                widened = tuple(dict.fromkeys(self._widened(each) for each in territory.adcodes))
                held = structs.replace(territory, adcodes=widened)
                self._territories[territory.dealer].append(held)
                if COUNTRY in widened:
                    self._whole_country[territory.dealer].append(held)
        self._stores: dict[str, list[Store]] = defaultdict(list)
        for store in sorted(channel.stores, key=lambda each: each.valid_from):
            self._stores[store.id].append(store)

    @cached_property
    def _points(self) -> tuple[FloatArray, FloatArray]:
        return np.array([each.lat for each in self.places]), np.array([each.lon for each in self.places])

    @cached_property
    def city_points(self) -> tuple[FloatArray, FloatArray]:
        """Latitudes and longitudes of `cities`."""
        return np.array([each.lat for each in self.cities]), np.array([each.lon for each in self.cities])

    def locate(self, lat: float, lon: float) -> str | None:
        """Return the division whose centre is nearest, or None more than about 300 km from any."""
        index, _ = self._nearest(lat, lon)
        return None if index is None else self.places[index].adcode

    def city_near(self, lat: float, lon: float) -> str | None:
        """Return the city of the division whose centre is nearest."""
        found = self.locate(lat, lon)
        return self.city(found) if found else None

    def nearest_km(self, lat: float, lon: float) -> float:
        """Return how far the nearest division's centre is, in kilometres."""
        return self._nearest(lat, lon)[1]

    def _nearest(self, lat: float, lon: float) -> tuple[int | None, float]:
        if self._point != (lat, lon):
            self._point, self._nearest_to_point = (lat, lon), self._looked_up(lat, lon)
        return self._nearest_to_point

    def _looked_up(self, lat: float, lon: float) -> tuple[int | None, float]:
        key = (floor(lat * 2), floor(lon * 2))
        near = self._located.get(key)
        if near is None:
            near = self._located[key] = self._near((key[0] + 0.5) / 2, (key[1] + 0.5) / 2)
        indexes, lats, lons = near
        if not indexes:
            return None, inf
        squared = (lats - lat) ** 2 + ((lons - lon) * cos(radians(lat))) ** 2
        chosen = int(squared.argmin())
        return indexes[chosen], radians(sqrt(float(squared[chosen]))) * _EARTH_KM

    def _near(self, lat: float, lon: float) -> tuple[list[int], FloatArray, FloatArray]:
        lats, lons = self._points
        away = distances_km(lat, lon, lats, lons)
        nearest = float(away.min()) if len(away) else np.inf
        if nearest > _NOWHERE_KM:
            return [], lats[:0], lons[:0]
        # Whatever is nearest to a point of the cell is within the cell's width of what is nearest to its middle.
        chosen = np.flatnonzero(away <= nearest + _CELL_KM)
        return chosen.tolist(), lats[chosen], lons[chosen]

    def city(self, adcode: str) -> str | None:
        """Return the city that a division belongs to; None where places know none."""
        found = self._city_of.get(adcode)
        if found is not None and found in self.city_index:
            return found
        guess = adcode[:4] + "00"
        return guess if guess in self.city_index else None

    def _widened(self, adcode: str) -> str:
        """Return a division, or what is known around one that places do not have: nobody is outside of the unknown."""
        if adcode in self._city_of or adcode in self._provinces or adcode == COUNTRY:
            return adcode
        return self.city(adcode) or (province(adcode) if province(adcode) in self._provinces else COUNTRY)

    def store(self, store: str, moment: int) -> Store | None:
        """Return a shop as it was at a moment (milliseconds), or as it was first."""
        rows = self._stores.get(store)
        if not rows:
            return None
        index = bisect_right(rows, moment, key=lambda each: each.valid_from) - 1
        return rows[max(0, index)]

    def territory(self, dealer: str, moment: int) -> Sequence[Territory]:
        """Return what a dealer holds at a moment (milliseconds)."""
        return [each for each in self._territories.get(dealer, ()) if _holds(each, moment)]

    def held_before(self, dealer: str, since: int, until: int) -> Sequence[Territory]:
        """Return what a dealer held at any time between two moments (milliseconds)."""
        return [
            each
            for each in self._territories.get(dealer, ())
            if each.valid_from <= until and (each.valid_to is None or since < each.valid_to)
        ]

    def is_national(self, dealer: str, moment: int) -> bool:
        """Whether a dealer may sell anywhere: no place is foreign to it."""
        known = self.dealers.get(dealer)
        if known is None or known.kind in ("brand", "online"):
            return True
        return any(_holds(each, moment) for each in self._whole_country.get(dealer, ()))

    def lineage(self, dealer: str) -> list[str]:
        """Return a dealer's parents from the nearest upwards."""
        found: list[str] = []
        current = self.dealers.get(dealer)
        while current is not None and current.parent and current.parent not in found:
            found.append(current.parent)
            current = self.dealers.get(current.parent)
        return found


def _holds(territory: Territory, moment: int) -> bool:
    return territory.valid_from <= moment and (territory.valid_to is None or moment < territory.valid_to)


def covers(adcodes: Iterable[str], adcode: str, city: str | None) -> bool:
    """Whether any of the divisions holds the one given: itself, its city, its province or the country."""
    return not around(adcode, city).isdisjoint(adcodes)


@lru_cache(maxsize=16_384)
def around(adcode: str, city: str | None) -> frozenset[str]:
    """Return the divisions that hold the one given: itself, its city, its province and the country."""
    found = {adcode, province(adcode), adcode[:4] + "00", COUNTRY}
    return frozenset(found | {city, province(city)} if city else found)
