"""How much of an error disc lies within a border, exactly.

The distance to the border alone misjudges real borders badly, because they bend inside the disc.
"""

from typing import Final

import numpy as np

from geofence.border import Discs, Forest, Indexes
from geofence.coordinates import MAX_LATITUDE, BoolArray, FloatArray
from geofence.disc import REACH, even_beyond, normal_beyond
from geofence.metric import metres_per_degree

# So near to a border, in parts of a disc's unit, rounding decides on which side of it the centre lies, and half of the
# answer hangs on that: the centre is moved off the border, which changes the share by less than a thousandth.
_ON_BORDER: Final = 1e-4
_STEP: Final = 1e-3
_STEP_ANGLE: Final = 0.7


def off_border(discs: Discs, metres: FloatArray) -> Discs:
    """Return the discs, those whose centres lie on a border moved; `metres` is how far it is away from each."""
    east, north = metres_per_degree(discs.lat)
    step = np.where(metres < _ON_BORDER * discs.unit_m, _STEP * discs.unit_m, 0.0)
    lon = discs.lon + step * np.cos(_STEP_ANGLE) / east
    # Towards the equator: no latitude is beyond the poles.
    lat = discs.lat - np.copysign(step * np.sin(_STEP_ANGLE) / north, discs.lat)
    return Discs((lon + 180.0) % 360.0 - 180.0, lat.clip(-MAX_LATITUDE, MAX_LATITUDE), discs.unit_m)


def normal_within(borders: tuple[Forest, Indexes], discs: Discs, inside: BoolArray) -> FloatArray:
    """Return the share of round normals within borders, shape (n,); `inside` says which centres lie within."""
    forest, trees = borders
    return np.clip(inside - forest.beyond(trees, discs, normal_beyond, REACH), 0.0, 1.0)


def even_within(borders: tuple[Forest, Indexes], discs: Discs, inside: BoolArray) -> FloatArray:
    """Return the share of even discs within borders, likewise."""
    forest, trees = borders
    return np.clip(inside - forest.beyond(trees, discs, even_beyond, 1.0), 0.0, 1.0)
