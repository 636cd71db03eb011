"""What is known of where a scan was made: satellites, an address of the network, the shop, or nothing."""

import dataclasses
from dataclasses import dataclass, fields
from typing import Final, Self

import numpy as np

from firmware_sim.world.arrays import Bools, Floats, Ints, Random, moved, pick
from firmware_sim.world.country.geography import Land
from firmware_sim.world.parameters import Nature, Request

SOURCES: Final = ("gps", "ip", "none", "store")
GPS, IP, NONE, SHOP = range(4)
PLATFORMS: Final = ("android", "ios", "web")
_PLATFORM_SHARES: Final = np.array([0.55, 0.33, 0.12])
_SIGMA_M: Final = np.array([12.0, 8.0, 60.0])
_SIGMA_SPREAD: Final = 0.6
_COARSE: Final = np.array([0.05, 0.03, 0.20])
"""Phones that only know their cell tower."""
_COARSE_M: Final = 1200.0
_RADIUS_OF_SIGMA: Final = np.array([1.51, 1.41, 2.45])
"""Accuracy radius that each platform states for a sigma: 68 %, square root of two, 95 %."""
_SHY: Final = 0.8
"""How many who scan diverted goods of a cautious attacker give no position of their own."""
_BUSY: Final = 0.6
_TO_CAPITAL: Final = 0.6


@dataclass(slots=True)
class Seen:
    """Observed places, one entry a scan: `county` is -1 where only the city is known."""

    source: Ints
    city: Ints
    county: Ints
    platform: Ints
    lat: Floats
    lon: Floats
    accuracy_m: Floats

    @property
    def located(self) -> Bools:
        """Whether anything is known of the place."""
        return np.asarray(self.source != NONE)

    @property
    def in_shop(self) -> Bools:
        """Whether it was scanned in the shop that sold it."""
        return np.asarray(self.source == SHOP)

    def taken(self, rows: Ints) -> Self:
        """Return some entries."""
        return type(self)(*(getattr(self, field.name)[rows] for field in fields(self)))

    @classmethod
    def joined(cls, parts: list["Seen"]) -> "Seen":
        """Return all entries of several."""
        return cls(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(cls)))


def seen_from(choice: Bools, yes: Seen, no: Seen) -> Seen:
    """Return the entries of `yes` where `choice` is true, else those of `no`."""
    return Seen(*(np.where(choice, getattr(yes, field.name), getattr(no, field.name)) for field in fields(Seen)))


def at_shops(seen: Seen, chosen: Bools, county: Ints, land: Land) -> Seen:
    """Let these be scanned in shops of these counties, whose places everyone knows."""
    known = dataclasses.replace(
        seen, source=np.full(chosen.size, SHOP), county=county, city=land.county_city[np.maximum(county, 0)]
    )
    return seen_from(chosen, known, seen)


@dataclass(frozen=True, slots=True)
class Gateway:
    """For a time, a share of a city's addresses is registered in another."""

    city: int
    to: int
    begin: float
    end: float
    share: float


class Observer:
    """Phones, networks and the carriers behind them."""

    def __init__(self, land: Land, volumes: Floats, made: tuple[Nature, Request], random: Random) -> None:
        self._land, self._random = land, random
        self._nature, request = made
        self._hidden = request.hard
        # Gateways show where much is sold.
        cities = pick(volumes**_BUSY, self._nature.gateways, random)
        self._gateways = [self._gateway(int(city), request.days) for city in cities]

    def observe(self, county: Ints, day: Floats, diverted: Bools) -> Seen:
        """Return what is observed of scans made in these counties."""
        random, size, nature = self._random, county.size, self._nature
        chance = random.random(size)
        source = np.where(chance < nature.unlocated, NONE, np.where(chance < nature.unlocated + nature.gps, GPS, IP))
        shy = self._hidden & diverted & (source == GPS) & (random.random(size) < _SHY)
        source = np.where(shy, np.where(random.random(size) < 0.25, NONE, IP), source)  # noqa: PLR2004 - a quarter
        city = np.where(
            source == IP, self._address(self._land.county_city[county], day), self._land.county_city[county]
        )
        platform = pick(_PLATFORM_SHARES, size, random)
        spots = self._land.counties
        km = self._land.radius_km[county] * np.sqrt(random.random(size))
        lat, lon = moved(spots.lat[county], spots.lon[county], km, random)
        coarse = random.random(size) < _COARSE[platform]
        sigma = np.where(coarse, _COARSE_M, _SIGMA_M[platform]) * random.lognormal(0, _SIGMA_SPREAD, size)
        lat, lon = moved(lat, lon, np.abs(random.normal(0, sigma / 1000, size)), random)
        by_ip = source == IP
        return Seen(
            source=source,
            city=city,
            county=np.where(source == GPS, county, -1),
            platform=platform,
            lat=np.where(by_ip, self._land.cities.lat[city], lat),
            lon=np.where(by_ip, self._land.cities.lon[city], lon),
            accuracy_m=np.where(by_ip, 25_000.0, sigma * _RADIUS_OF_SIGMA[platform]),
        )

    def _address(self, city: Ints, day: Floats) -> Ints:
        """Return the city in which the address is registered: mostly the right one."""
        random, land = self._random, self._land
        wrong = random.random(city.size) < self._nature.ip_error
        capital = land.capitals[land.province_of_city[city]]
        anywhere = pick(land.cities.population, city.size, random)
        found = np.where(wrong, np.where(random.random(city.size) < _TO_CAPITAL, capital, anywhere), city)
        for gateway in self._gateways:
            sent = (city == gateway.city) & (day >= gateway.begin) & (day < gateway.end)
            found = np.where(sent & (random.random(city.size) < gateway.share), gateway.to, found)
        return found

    def _gateway(self, city: int, days: int) -> Gateway:
        random, cities = self._random, self._land.cities
        capital = int(self._land.capitals[self._land.province_of_city[city]])
        to = capital if random.random() < 0.5 and capital != city else int(random.integers(len(cities.adcodes)))  # noqa: PLR2004 - half of them
        begin = float(random.uniform(0, days * 0.6))
        return Gateway(city, to, begin, begin + float(random.uniform(60, 300)), self._nature.gateway_share)
