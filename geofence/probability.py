"""How much of an error disc lies within a border, exactly.

The distance to the border alone misjudges real borders badly, because they bend inside the disc.
"""

from collections.abc import Callable
from typing import Final, NamedTuple, TypeAlias

import numpy as np

from geofence.border import Border
from geofence.coordinates import MAX_LATITUDE, BoolArray, FloatArray
from geofence.disc import REACH, even_beyond, normal_beyond
from geofence.metric import metres_per_degree

# So near to a border, in parts of a disc's unit, rounding decides on which side of it the centre lies, and half of the
# answer hangs on that: the centre is moved off the border, which changes the share by less than a thousandth.
_ON_BORDER: Final = 1e-4
_STEP: Final = 1e-3
_STEP_ANGLE: Final = 0.7
Covers: TypeAlias = Callable[[FloatArray, FloatArray], BoolArray]


class Discs(NamedTuple):
    """Centres in WGS-84 degrees, and the unit in metres: a normal's sigma per axis, or an even disc's radius."""

    lon: FloatArray
    lat: FloatArray
    unit_m: FloatArray

    def off_border(self, metres: FloatArray) -> "Discs":
        """Return the discs, those whose centres lie on a border moved; `metres` is how far it is away."""
        east, north = metres_per_degree(self.lat)
        step = np.where(metres < _ON_BORDER * self.unit_m, _STEP * self.unit_m, 0.0)
        lon = self.lon + step * np.cos(_STEP_ANGLE) / east
        # Towards the equator: no latitude is beyond the poles.
        lat = self.lat - np.copysign(step * np.sin(_STEP_ANGLE) / north, self.lat)
        return Discs((lon + 180.0) % 360.0 - 180.0, lat.clip(-MAX_LATITUDE, MAX_LATITUDE), self.unit_m)


def normal_within(border: Border, discs: Discs, inside: BoolArray) -> FloatArray:
    """Return the share of round normals within a border, shape (n,); `inside` says which centres lie within."""
    return np.clip(inside - border.beyond(discs, normal_beyond, REACH), 0.0, 1.0)


def even_within(border: Border, discs: Discs, inside: BoolArray) -> FloatArray:
    """Return the share of even discs within a border, likewise."""
    return np.clip(inside - border.beyond(discs, even_beyond, 1.0), 0.0, 1.0)
