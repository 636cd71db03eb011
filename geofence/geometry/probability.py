"""How much of an error disc lies within a border, exactly.

The distance to the border alone misjudges real borders badly, because they bend inside the disc.
"""

from typing import Final, TypeAlias

import numpy as np

from geofence.coordinates import BoolArray, FloatArray
from geofence.geometry.border import Discs, Forest, Indexes
from geofence.geometry.disc import REACH, Rule, even_beyond, normal_beyond
from geofence.geometry.metric import metres_per_degree

# So near to a border, in parts of a disc's unit, rounding decides on which side of it the centre lies, and half of the
# answer hangs on that: the centre is moved off the border, which changes the share by less than a thousandth.
_ON_BORDER: Final = 1e-4
_STEP: Final = 1e-3
_STEP_ANGLE: Final = 0.7
# What is summed along a border, and how many units from the centre.
Kind: TypeAlias = tuple[Rule, float]
NORMAL: Final[Kind] = (normal_beyond, REACH)
EVEN: Final[Kind] = (even_beyond, 1.0)


def off_border(discs: Discs, metres: FloatArray) -> Discs:
    """Return the discs, those whose centres lie on a border moved; `metres` is how far it is away from each."""
    east, north = metres_per_degree(discs.lat)
    step = np.where(metres < _ON_BORDER * discs.unit_m, _STEP * discs.unit_m, 0.0)
    moved = np.flatnonzero(step)
    lon, lat = discs.lon.copy(), discs.lat.copy()
    lon[moved] = (lon + step * np.cos(_STEP_ANGLE) / east + 180.0)[moved] % 360.0 - 180.0
    # Towards the equator: no latitude is beyond the poles.
    lat[moved] -= np.copysign(step * np.sin(_STEP_ANGLE) / north, lat)[moved]
    return Discs(lon, lat, discs.unit_m)


def share_within(borders: tuple[Forest, Indexes], discs: Discs, inside: BoolArray, kind: Kind) -> FloatArray:
    """Return the share of discs within borders, shape (n,); `inside` says which centres lie within.

    No centre may lie on its border.
    """
    forest, trees = borders
    return np.clip(inside - forest.beyond(trees, discs, *kind), 0.0, 1.0)
