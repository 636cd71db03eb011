"""What the geofence is measured on: points near towns, and thousands of overlapping territories."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import affinity

from benchmarks.frame import Progress
from geofence.maps import AtomMap, Level, load_installed_map

POINTS: Final = 1_000_000
TERRITORIES: Final = 3_000
_TOWN_SIGMA: Final = 0.1

Array = NDArray[np.float64]
Shapes = NDArray[np.object_]


@dataclass(frozen=True, slots=True, eq=False)
class Scenery:
    """Districts with their middles, territories of whole districts (`fabric`) and as if drawn by hand (`drawn`)."""

    atoms: AtomMap
    districts: Shapes
    towns: Array
    fabric: Shapes
    drawn: Shapes
    points: Array


def scenery(progress: Progress) -> Scenery:
    """Return the same points and territories each time."""
    random = np.random.default_rng(11)
    atoms = load_installed_map()
    districts: Shapes = atoms.layer(Level.COUNTY).geometries
    towns = shapely.get_coordinates(shapely.centroid(districts))
    points = near_towns(towns, POINTS, random)
    progress(f"drawing {TERRITORIES:,} overlapping territories")
    fabric = _territories(districts, towns, random)
    return Scenery(atoms, districts, towns, fabric, _shifted(fabric, random), points)


def near_towns(towns: Array, count: int, random: np.random.Generator) -> Array:
    """Return points scattered around middles of districts, degrees, shape (count, 2)."""
    found: Array = towns[random.integers(0, len(towns), count)] + random.normal(0, _TOWN_SIGMA, (count, 2))
    return found


def _territories(districts: Shapes, towns: Array, random: np.random.Generator) -> Shapes:
    """Each is a district with up to eight of its neighbours, so that a point lies in about five of them."""
    found = []
    for number in range(TERRITORIES):
        home = towns[number % len(towns)]
        nearest = np.argsort(np.hypot(*(towns - home).T))[: int(random.integers(1, 10))]
        found.append(shapely.union_all(districts[nearest]))
    return np.array(found, dtype=object)


def _shifted(shapes: Shapes, random: np.random.Generator) -> Shapes:
    """As if each had been drawn by hand: no two share an edge any more."""
    offsets = random.normal(0, 0.01, (len(shapes), 2)).tolist()
    moved = [affinity.translate(shape, *by) for shape, by in zip(shapes, offsets, strict=True)]
    return np.array(shapely.make_valid(np.array(moved, dtype=object)), dtype=object)
