"""Where people stand when they scan, and what their phones say about it."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import cos, pi, sin, sqrt
from typing import Final

import numpy as np

from contracts.messages import Platform, Position
from firmware_sim.print_job import Dealer, Place
from geofence.coordinates import BoolArray, Crs, FloatArray, convert
from geofence.geometry.metric import metres_per_degree, offsets_m

_TOWN_RADIUS_M: Final = 3500.0
_SUBURBS_M: Final = (5_000.0, 16_000.0)
"""How far shops lie from a city's middle, to the east and to the north: few of our cities end sooner."""
_GOLDEN_ANGLE: Final = pi * (3 - sqrt(5))
_FIRST_ANGLE: Final = 2.0
_RADIUS_OF_SIGMA: Final = {Platform.ANDROID: 1.51, Platform.IOS: 1.41, Platform.WEB: 2.45}
"""Accuracy radius that a platform states for a given sigma: each means another confidence."""
_PLATFORMS: Final = (Platform.ANDROID, Platform.IOS, Platform.WEB)
_PLATFORM_SHARES: Final = (0.55, 0.35, 0.10)
_SIGMA_M: Final = {Platform.ANDROID: 11.0, Platform.IOS: 8.0, Platform.WEB: 40.0}
_SIGMA_SPREAD: Final = 0.6
_INDOOR_SHARE: Final = 0.08
_INDOOR_FACTOR: Final = 15.0
_SHIFTED_SHARE: Final = 0.2
"""Scans from inside a messenger, which reports GCJ-02 instead of WGS-84."""


@dataclass(frozen=True, slots=True)
class Spot:
    """A true place, degrees in WGS-84, and the division code of the city it lies in."""

    lon: float
    lat: float
    adcode: str


class _Mainland:
    """The region that GCJ-02 shifts, for places that are all known to lie in it."""

    def contains_many(self, lons: FloatArray, lats: FloatArray) -> BoolArray:
        return np.ones(np.broadcast(lons, lats).shape, dtype=np.bool_)


def is_home(place: Place, dealer: Dealer) -> bool:
    """Tell whether a city lies in the dealer's territory."""
    return any(place.adcode.startswith(prefix) for prefix in dealer.adcodes)


def distance_km(dealer: Dealer, place: Place) -> float:
    """Return how far a city is from the dealer's warehouse."""
    east, north = offsets_m((dealer.lon, dealer.lat), np.array([place.lon]), np.array([place.lat]))
    return float(np.hypot(east, north)[0]) / 1000


def somewhere_in(place: Place, random: np.random.Generator) -> Spot:
    """Return a spot in the inner town, evenly spread."""
    return _moved(Spot(place.lon, place.lat, place.adcode), _TOWN_RADIUS_M * sqrt(random.random()), random)


def outlets(place: Place, count: int, random: np.random.Generator) -> tuple[Spot, ...]:
    """Return shops all over a city and its suburbs, in no order, each some kilometres from the next."""
    middle = Spot(place.lon, place.lat, place.adcode)
    east, north = _SUBURBS_M
    found = []
    for number in range(count):
        away, angle = sqrt((number + 0.5) / count), _FIRST_ANGLE + number * _GOLDEN_ANGLE
        found.append(_shifted(middle, east * away * cos(angle), north * away * sin(angle)))
    return tuple(found[int(index)] for index in random.permutation(count))


def near(spot: Spot, metres: float, random: np.random.Generator) -> Spot:
    """Return a spot at most `metres` away."""
    return _moved(spot, metres * random.random(), random)


def draw(places: Sequence[Place], weights: Sequence[float], random: np.random.Generator) -> Place:
    """Return one of the places, each as likely as its weight says."""
    shares = np.asarray(weights) / np.sum(weights)
    return places[int(random.choice(len(places), p=shares))]


def reading(spot: Spot, random: np.random.Generator) -> Position:
    """Return what a phone at `spot` reports: off by its error, and with its platform's idea of accuracy."""
    platform = _PLATFORMS[int(random.choice(len(_PLATFORMS), p=_PLATFORM_SHARES))]
    sigma = _SIGMA_M[platform] * float(random.lognormal(0, _SIGMA_SPREAD))
    if random.random() < _INDOOR_SHARE:
        sigma *= _INDOOR_FACTOR
    east, north = metres_per_degree(np.array(spot.lat))
    lon = spot.lon + float(random.normal(0, sigma)) / float(east)
    lat = spot.lat + float(random.normal(0, sigma)) / float(north)
    crs = Crs.WGS84
    if platform is Platform.ANDROID and random.random() < _SHIFTED_SHARE:
        crs = Crs.GCJ02
        lons, lats = convert([lon], [lat], (Crs.WGS84, crs), _Mainland())
        lon, lat = float(lons[0]), float(lats[0])
    return Position(
        lon=round(lon, 6),
        lat=round(lat, 6),
        accuracy_m=round(sigma * _RADIUS_OF_SIGMA[platform], 1),
        platform=platform,
        crs=crs.value,
    )


def _moved(spot: Spot, metres: float, random: np.random.Generator) -> Spot:
    angle = float(random.uniform(0, 2 * pi))
    return _shifted(spot, metres * cos(angle), metres * sin(angle))


def _shifted(spot: Spot, east: float, north: float) -> Spot:
    """Return the spot so many metres to the east and north."""
    lon, lat = metres_per_degree(np.array(spot.lat))
    return Spot(spot.lon + east / float(lon), spot.lat + north / float(lat), spot.adcode)
