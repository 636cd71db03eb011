"""How much of a position's error disc lies in a territory.

The distance to the border alone misjudges real borders badly, because they bend inside the disc. The disc is therefore
sampled at points of equal probability, and more finely where the answer is about to decide a verdict.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from geofence.coordinates import FloatArray, LonLat
from geofence.maps.atom_map import AtomMap
from geofence.maps.atoms import NOWHERE, Level
from geofence.metric import metres_per_degree

COARSE_POINTS, FINE_POINTS = 64, 1024
# The largest error seen at 64 points: closer to a threshold than this, they cannot be trusted.
COARSE_ERROR = 0.03
# No point of the finest disc lies further out than this many sigmas.
REACH = 4.0
GOLDEN_ANGLE = np.pi * (3.0 - np.sqrt(5.0))
# A coast or a land border ends the map, not the error disc. Goods are rarely scanned beyond it, and maps draw quays
# and filled land late, so a point out there weighs a tenth of a point on the map.
OFF_MAP_WEIGHT = 0.1


@lru_cache(maxsize=2)
def unit_disc(points: int) -> LonLat:
    """Return `points` positions of equal probability under a round normal of sigma 1, on a sunflower spiral."""
    share = (np.arange(points) + 0.5) / points
    radius = np.sqrt(-2.0 * np.log1p(-share))
    angle = np.arange(points) * GOLDEN_ANGLE
    return radius * np.cos(angle), radius * np.sin(angle)


def probability_inside(
    atoms: AtomMap, mask: NDArray[np.bool_], place: tuple[float, float, float], thresholds: tuple[float, ...]
) -> float:
    """Return the share of the disc in the masked counties; `place` is lon, lat in degrees and sigma in metres."""
    coarse = _share(atoms, mask, place, COARSE_POINTS)
    if all(abs(coarse - threshold) > COARSE_ERROR for threshold in thresholds):
        return coarse
    return _share(atoms, mask, place, FINE_POINTS)


def _share(atoms: AtomMap, mask: NDArray[np.bool_], place: tuple[float, float, float], points: int) -> float:
    lon, lat, sigma_m = place
    east, north = metres_per_degree(np.array(lat))
    x, y = unit_disc(points)
    lons: FloatArray = lon + x * sigma_m / east
    lats: FloatArray = lat + y * sigma_m / north
    owners = atoms.layer(Level.COUNTY).owners((lons + 180.0) % 360.0 - 180.0, np.clip(lats, -90.0, 90.0))
    on_map = owners[owners != NOWHERE]
    inside = float(mask[on_map].sum())
    total = len(on_map) + OFF_MAP_WEIGHT * (points - len(on_map))
    return inside / total
