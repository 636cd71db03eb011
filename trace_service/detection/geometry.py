"""What the baseline regresses on: one row of features for each dealer and city, from territories as they are."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from trace_service.detection.network import FloatArray, Network, covers, distances_km, province

FEATURES: Final = ("one", "ln population", "ln distance", "distance", "capital", "same province", "both")
_NEAR_KM: Final = 10.0
_FAR_KM: Final = 500.0


class Geometry:
    """Features of shape (dealers, cities, len(FEATURES)), and which cities are a dealer's own or never foreign."""

    def __init__(self, network: Network, dealers: list[str], moment: int) -> None:
        cities = network.cities
        lats, lons = network.city_points
        self.home = np.zeros((len(dealers), len(cities)), dtype=np.bool_)
        self.features = np.zeros((len(dealers), len(cities), len(FEATURES)))
        self.dealer_province: NDArray[np.int64] = np.zeros(len(dealers), dtype=np.int64)
        provinces = sorted({province(each.adcode) for each in cities})
        self.city_province = np.array([provinces.index(province(each.adcode)) for each in cities])
        self.provinces = provinces
        people = np.array([each.population for each in cities])
        capital = np.array([float(each.capital) for each in cities])
        for row, dealer in enumerate(dealers):
            self._home(network, dealer, moment, row)
            lat, lon = self._middle(network, dealer, self.home[row], people)
            away = distances_km(lat, lon, lats, lons)
            middle = int(away.argmin())
            self.dealer_province[row] = self.city_province[middle]
            nearest = away
            own = np.flatnonzero(self.home[row])
            if len(own):
                nearest = np.min([distances_km(lats[each], lons[each], lats, lons) for each in own], axis=0)
            same = (self.city_province == self.dealer_province[row]).astype(np.float64)
            columns = (1.0 + 0 * away, np.log(people / 1e6), np.log((nearest + _NEAR_KM) / 100), away / _FAR_KM)
            self.features[row] = np.stack([*columns, capital, same, capital * same], axis=1)

    def _home(self, network: Network, dealer: str, moment: int, row: int) -> None:
        if network.is_national(dealer, moment):
            self.home[row] = True
            return
        held = [code for each in network.territory(dealer, moment) for code in each.adcodes]
        for column, place in enumerate(network.cities):
            self.home[row, column] = covers(held, place.adcode, place.adcode)
        for code in held:
            city = network.city(code)
            if city is not None:
                self.home[row, network.city_index[city]] = True

    @staticmethod
    def _middle(network: Network, dealer: str, home: NDArray[np.bool_], people: FloatArray) -> tuple[float, float]:
        lats, lons = network.city_points
        known = network.dealers.get(dealer)
        if home.any() and not home.all():
            weight = people[home] / people[home].sum()
            return float(lats[home] @ weight), float(lons[home] @ weight)
        return (known.lat, known.lon) if known else (float(lats.mean()), float(lons.mean()))
