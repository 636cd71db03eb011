"""Where people go, and their parcels: flows over networks, each world with corridors of its own.

Commuters go to neighbouring counties; travellers follow the stations of high-speed lines, whatever the distance;
migrants go between the provinces that send workers and the cities that take them, and home for the New Year;
tourists go where there is something to see, in season; parcels go anywhere.
"""

from typing import Final

import numpy as np

from firmware_sim.world.arrays import Floats, Ints, Random, Table, distance_km
from firmware_sim.world.country.geography import Land
from firmware_sim.world.country.lines import RAIL, SENDERS, SIGHTS, WORKSHOPS
from firmware_sim.world.parameters import Nature, new_years

MODES: Final = ("commute", "rail", "migration", "summer", "winter", "parcels")
COMMUTE, RAIL_MODE, MIGRATION, SUMMER, WINTER, PARCELS = range(6)
_NEIGHBOURS: Final = 10
_COMMUTE_KM: Final = 25.0
_CHANGE: Final = 0.25
"""How willingly people change trains."""
_ACROSS_LANES: Final = 0.02
_MAY_DAY, _NATIONAL_DAY = 121, 274  # day of the year
_SUMMER_BREAK: Final = (182, 243)
_HOLIDAY, _GIFTS = 8, 25  # days around the New Year in which people travel, and send parcels
_COLD: Final = (320, 60)


class Mobility:
    """Draws destinations. Commuters move between counties, all others between cities."""

    def __init__(self, land: Land, nature: Nature, days: int, random: Random) -> None:
        self.land = land
        self._neighbours, closeness = _neighbours(land, random)
        self._commute = Table(closeness)
        tables = [_rail(land, nature, random), _migration(land, random)]
        tables += [_sights(land, season, random) for season in ("summer", "winter")]
        tables.append(np.tile(land.cities.population**nature.parcel_gamma, (len(land.cities.adcodes), 1)))
        self._tables = []
        for weights in tables:
            np.fill_diagonal(weights, 0.0)
            corridors = np.exp(random.normal(0, nature.corridor_sigma, weights.shape))
            self._tables.append(Table(weights * corridors + 1e-12))
        self._seasons = _seasons(nature, days)
        self._modes = Table(self._seasons)
        people = np.zeros((len(land.cities.adcodes), len(land.counties.adcodes)))
        people[land.county_city, np.arange(land.county_city.size)] = land.counties.population
        self._people = Table(people)

    def intensity(self, days: Floats) -> Floats:
        """Return how much more people travel on these days than usual."""
        sums = self._seasons.sum(axis=1)
        return np.asarray((sums / np.median(sums))[self._day(days)])

    def modes(self, days: Floats, random: Random) -> Ints:
        """Return in what way people travel on these days."""
        return self._modes.draw(self._day(days), random)

    def destinations(self, home: Ints, modes: Ints, random: Random) -> Ints:
        """Return the county that each traveller from the county `home` reaches."""
        found = home.copy()
        near = modes == COMMUTE
        found[near] = self._neighbours[home[near], self._commute.draw(home[near], random)]
        for mode, table in enumerate(self._tables, start=RAIL_MODE):
            chosen = np.flatnonzero(modes == mode)
            cities = table.draw(self.land.county_city[home[chosen]], random)
            found[chosen] = self.somewhere(cities, random)
        return found

    def somewhere(self, cities: Ints, random: Random) -> Ints:
        """Return a county of each city, by population."""
        return self._people.draw(cities, random)

    def _day(self, days: Floats) -> Ints:
        return np.clip(days.astype(np.int64), 0, self._seasons.shape[0] - 1)


def _neighbours(land: Land, random: Random) -> tuple[Ints, Floats]:
    spots = land.counties
    apart = distance_km(spots.lat[:, None], spots.lon[:, None], spots.lat[None, :], spots.lon[None, :])
    np.fill_diagonal(apart, np.inf)
    nearest = np.argsort(apart, axis=1, kind="stable")[:, :_NEIGHBOURS]
    ways = random.lognormal(0, 0.6, nearest.shape) * spots.population[nearest] ** 0.4
    return nearest, np.exp(-np.take_along_axis(apart, nearest, 1) / _COMMUTE_KM) * ways + 1e-9


def _rail(land: Land, nature: Nature, random: Random) -> Floats:
    index = {adcode[:4]: number for number, adcode in enumerate(land.cities.adcodes)}
    size = (land.cities.population / 1e6) ** 0.5
    flow = np.zeros((size.size, size.size))
    for line in RAIL:
        stations = np.array([index[code] for code in line.split()])
        stops = np.abs(np.subtract.outer(np.arange(stations.size), np.arange(stations.size)))
        busy = np.exp(-stops / nature.rail_stops) * size[stations][None, :] * random.lognormal(0, 0.4)
        flow[np.ix_(stations, stations)] += busy
    np.fill_diagonal(flow, 0.0)
    sums = flow.sum(axis=1, keepdims=True)
    shares = flow / np.maximum(sums, 1e-9)
    reach = shares + _CHANGE * shares @ shares
    # Where no fast train stops, people go to their province's capital first.
    off_lane = np.flatnonzero(sums[:, 0] == 0)
    capitals = land.capitals[land.province_of_city[off_lane]]
    reach[off_lane] = _CHANGE * reach[capitals]
    reach[off_lane, capitals] += 1.0
    return np.asarray(reach)


def _migration(land: Land, random: Random) -> Floats:
    adcodes = land.cities.adcodes
    takes = np.zeros(len(adcodes))
    index = {adcode[:4]: number for number, adcode in enumerate(adcodes)}
    for code, weight in WORKSHOPS.items():
        takes[index[code]] = weight
    sends = np.array([SENDERS.get(adcode[:2], 0.15) for adcode in adcodes])
    # Every sending city has its own two or three destinations, which neighbours and cousins went to before.
    out = sends[:, None] * takes[None, :] * random.gamma(0.25, 4.0, (len(adcodes), len(adcodes)))
    return np.asarray(out + 0.7 * out.T + _ACROSS_LANES * takes[None, :])


def _sights(land: Land, season: str, random: Random) -> Floats:
    pull = np.full(len(land.cities.adcodes), 0.05)
    index = {adcode[:4]: number for number, adcode in enumerate(land.cities.adcodes)}
    for code, (summer, winter) in SIGHTS.items():
        pull[index[code]] = summer if season == "summer" else winter
    pull = pull * random.lognormal(0, 0.5, pull.size)
    return np.tile(pull, (pull.size, 1))


def _seasons(nature: Nature, days: int) -> Floats:
    """Return how much is travelled in each mode on each day."""
    day = np.arange(days + 1, dtype=np.float64)
    of_year = (day + nature.start.timetuple().tm_yday) % 365
    holiday = np.isin(of_year, np.arange(_MAY_DAY, _MAY_DAY + 5))
    holiday = holiday | np.isin(of_year, np.arange(_NATIONAL_DAY, _NATIONAL_DAY + 7))
    away = np.min([np.abs(day - eve) for eve in new_years(nature)], axis=0)
    summer = 1 + (nature.peak / 2) * ((of_year >= _SUMMER_BREAK[0]) & (of_year <= _SUMMER_BREAK[1]))
    summer = summer + nature.peak * holiday
    cold = (of_year >= _COLD[0]) | (of_year <= _COLD[1])
    seasons = np.empty((day.size, len(MODES)))
    seasons[:, COMMUTE] = nature.commute
    seasons[:, RAIL_MODE] = nature.rail * (1 + holiday)
    seasons[:, MIGRATION] = nature.migration * (1 + nature.peak * np.exp(-((away / 12.0) ** 2)))
    seasons[:, SUMMER] = nature.tourism * np.where(cold, 0.3, summer)
    seasons[:, WINTER] = nature.tourism * np.where(cold, 1.0 + (away < _HOLIDAY) * nature.peak / 2, 0.05)
    seasons[:, PARCELS] = nature.parcels * (1 + 0.5 * (away < _GIFTS))
    return seasons
