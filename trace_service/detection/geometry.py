"""What the baseline regresses on: one row of features for each dealer and city, from territories as they are."""

from collections import defaultdict
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from trace_service.detection.network import FloatArray, Network, distances_km, province

FEATURES: Final = ("one", "ln population", "ln distance", "distance", "capital", "same province", "both")
_NEAR_KM: Final = 10.0
_FAR_KM: Final = 500.0


class _Land(NamedTuple):
    """One dealer's row: cities of its own, as a whole or in part, every city's features, and its middle's province."""

    home: NDArray[np.bool_]
    part: NDArray[np.bool_]
    features: FloatArray
    province: int


class Geometries:
    """Computes each dealer's row once for each state of its territory."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.provinces = sorted({province(each.adcode) for each in network.cities})
        self.city_province = np.array([self.provinces.index(province(each.adcode)) for each in network.cities])
        self._people = np.array([each.population for each in network.cities])
        self._capital = np.array([float(each.capital) for each in network.cities])
        self._counties: dict[str, list[str]] = defaultdict(list)
        for place in network.places:
            if place.city not in ("", place.adcode):
                self._counties[place.city].append(place.adcode)
        self._rows: dict[tuple[str, tuple[str, ...]], _Land] = {}

    def at(self, dealers: list[str], moment: int) -> "Geometry":
        """Return the geometry of some dealers by the territories of a moment (milliseconds)."""
        rows = []
        for dealer in dealers:
            held = tuple(code for each in self.network.territory(dealer, moment) for code in each.adcodes)
            row = self._rows.get((dealer, held))
            if row is None:
                row = self._rows[dealer, held] = self._land(dealer, held)
            rows.append(row)
        return Geometry(rows, self)

    def _land(self, dealer: str, held: tuple[str, ...]) -> _Land:
        lats, lons = self.network.city_points
        home, part = self._home(held)
        lat, lon = self._middle(dealer, part)
        away = distances_km(lat, lon, lats, lons)
        middle = int(self.city_province[int(away.argmin())])
        nearest = away
        own = np.flatnonzero(part)
        if len(own):
            nearest = np.min([distances_km(lats[each], lons[each], lats, lons) for each in own], axis=0)
        same = (self.city_province == middle).astype(np.float64)
        columns = (np.ones_like(away), np.log(self._people / 1e6), np.log((nearest + _NEAR_KM) / 100), away / _FAR_KM)
        features = np.stack([*columns, self._capital, same, self._capital * same], axis=1)
        return _Land(home, part, features, middle)

    def _home(self, held: tuple[str, ...]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Return which cities are the dealer's as a whole, and which at least in part."""
        codes = set(held)
        part = np.zeros(len(self.network.cities), dtype=np.bool_)
        whole = part.copy()
        for column, place in enumerate(self.network.cities):
            whole[column] = place.adcode in codes or province(place.adcode) in codes
            counties = self._counties.get(place.adcode, ())
            some = [each in codes for each in counties]
            whole[column] |= bool(some) and all(some)
            part[column] = whole[column] or any(some)
        for code in held:
            city = self.network.city(code)
            if city is not None:
                part[self.network.city_index[city]] = True
                whole[self.network.city_index[city]] |= city not in self._counties
        return whole, part

    def _middle(self, dealer: str, home: NDArray[np.bool_]) -> tuple[float, float]:
        lats, lons = self.network.city_points
        if home.any() and not home.all():
            weight = self._people[home] / self._people[home].sum()
            return float(lats[home] @ weight), float(lons[home] @ weight)
        known = self.network.dealers[dealer]
        return known.lat, known.lon


class Geometry:
    """Features of shape (dealers, cities, len(FEATURES)), and which cities are a dealer's own.

    `home` are those as a whole, which are never foreign; `part` those at least in part: the rest of one is next door.
    """

    def __init__(self, rows: list[_Land], source: Geometries) -> None:
        cities = len(source.network.cities)
        self.home = np.array([row.home for row in rows], dtype=np.bool_).reshape(len(rows), cities)
        self.part = np.array([row.part for row in rows], dtype=np.bool_).reshape(len(rows), cities)
        self.features = np.array([row.features for row in rows]).reshape(len(rows), cities, len(FEATURES))
        self.dealer_province: NDArray[np.int64] = np.array([row.province for row in rows], dtype=np.int64)
        self.city_province = source.city_province
        self.provinces = source.provinces

    def into(self, counts: FloatArray) -> FloatArray:
        """Sum over the cities of each province: (…, cities) into (…, provinces)."""
        return _sums(counts, self.city_province, len(self.provinces))

    def outof(self, counts: FloatArray) -> FloatArray:
        """Sum over the dealers of each province: (dealers, …) into (provinces, …)."""
        return _sums(counts.T, self.dealer_province, len(self.provinces)).T


def _sums(counts: FloatArray, group: NDArray[np.int64], groups: int) -> FloatArray:
    """Sum the last axis by group."""
    found = np.zeros((*counts.shape[:-1], groups))
    order = np.argsort(group, kind="stable")
    present, starts = np.unique(group[order], return_index=True)
    if len(present):
        found[..., present] = np.add.reduceat(counts[..., order], starts, axis=-1)
    return found
