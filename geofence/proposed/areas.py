"""Areas made of counties and a drawn polygon: what two of them share, and what one has beyond another.

Counties are compared by their masks alone. Where a polygon takes part, what is left is a geometry; a strip of it that
is narrower than the map's own error on both sides says nothing and is left out.
"""

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import affinity
from shapely.geometry.base import BaseGeometry

from geofence.geometry.metric import metres_per_degree
from geofence.maps.atom_map import AtomMap
from geofence.maps.atoms import IndexArray, Level
from geofence.territory import AtomMask, TerritoryVersion, atom_mask

M2_PER_KM2 = 1e6


@dataclass(frozen=True, slots=True, eq=False)
class Area:
    """Counties, shape (atom_count,), and a polygon drawn beside them, WGS-84 degrees."""

    mask: AtomMask
    polygon: BaseGeometry | None = field(default=None, repr=False)

    @property
    def empty(self) -> bool:
        """Whether there is nothing in it."""
        return self.polygon is None and not self.mask.any()


@dataclass(frozen=True, slots=True)
class Patch:
    """What a comparison found: whole counties by code, the counties of `pieces`, and square kilometres of both."""

    adcodes: tuple[str, ...] = ()
    in_part: tuple[str, ...] = ()
    km2: float = 0.0
    pieces: BaseGeometry | None = field(default=None, repr=False, compare=False)

    def __bool__(self) -> bool:
        """Tell whether anything was found."""
        return bool(self.adcodes or self.in_part)


NO_PATCH = Patch()


def area_of(version: TerritoryVersion, atoms: AtomMap) -> Area:
    """Return what a version grants. Raises UnknownAdcodeError."""
    return Area(atom_mask(version, atoms), version.polygon)


def shared(first: Area, second: Area, atoms: AtomMap) -> Patch:
    """Return what lies in both."""
    whole = first.mask & second.mask
    drawn = []
    for one, other in ((first, second), (second, first)):
        if one.polygon is not None:
            drawn += [shapely.intersection(one.polygon, each) for each in _shapes(atoms, one.polygon, other.mask)]
    if first.polygon is not None and second.polygon is not None:
        drawn.append(shapely.intersection(first.polygon, second.polygon))
    pieces = _without(_joined(drawn), whole, atoms)
    return _patch(whole, pieces, atoms)


def beyond(inner: Area, outer: Area, atoms: AtomMap) -> Patch:
    """Return what of `inner` lies outside `outer`; empty when all is well."""
    whole = inner.mask & ~outer.mask
    drawn: list[BaseGeometry] = []
    if outer.polygon is not None:
        touched = np.zeros_like(whole)
        touched[atoms.layer(Level.COUNTY).meeting(outer.polygon)] = True
        for each in atoms.layer(Level.COUNTY).geometries[whole & touched]:
            drawn.append(shapely.difference(each, outer.polygon))  # noqa: PERF401  one list of two sources
        whole &= ~touched
    if inner.polygon is not None:
        rest = inner.polygon if outer.polygon is None else shapely.difference(inner.polygon, outer.polygon)
        drawn.append(_without(rest, outer.mask | whole, atoms))
    return _patch(whole, _joined(drawn), atoms)


def union(areas: list[Area], atoms: AtomMap) -> Area:
    """Return what lies in any of them."""
    mask = np.zeros(atoms.atom_count, dtype=np.bool_)
    for each in areas:
        mask |= each.mask
    polygons = [each.polygon for each in areas if each.polygon is not None]
    return Area(mask, _joined(polygons) if polygons else None)


def km2_of(geometry: BaseGeometry) -> float:
    """Return the square kilometres of a geometry in degrees."""
    return float(shapely.area(_in_metres(geometry))) / M2_PER_KM2


def _patch(whole: AtomMask, pieces: BaseGeometry, atoms: AtomMap) -> Patch:
    telling = [part for part in shapely.get_parts(pieces) if _is_wide(part, atoms.boundary_sigma_m)]
    kept = _joined(telling)
    km2 = float(_atom_km2(atoms)[whole].sum()) + sum(map(km2_of, telling))
    touched: IndexArray = atoms.layer(Level.COUNTY).meeting(kept) if telling else np.empty(0, dtype=np.intp)
    in_part = np.zeros_like(whole)
    in_part[[index for index in touched.tolist() if _touches(atoms, index, kept)]] = True
    codes = atoms.codes_of(in_part & ~whole) if telling else ()
    # A piece at sea lies in no county and is told all the same.
    return Patch(atoms.codes_of(whole), codes or (("",) if telling else ()), km2, kept if telling else None)


def _touches(atoms: AtomMap, index: int, pieces: BaseGeometry) -> bool:
    overlap = shapely.intersection(atoms.layer(Level.COUNTY).geometries[index], pieces)
    return any(_is_wide(part, atoms.boundary_sigma_m) for part in shapely.get_parts(overlap))


def _is_wide(part: BaseGeometry, sigma_m: float) -> bool:
    """Tell whether any of a polygon is further than the map's error from its own border."""
    return part.area > 0 and not shapely.buffer(_in_metres(part), -sigma_m, quad_segs=2).is_empty


def _in_metres(geometry: BaseGeometry) -> BaseGeometry:
    if geometry.is_empty:
        return geometry
    _, south, _, north = geometry.bounds
    east_m, north_m = metres_per_degree(np.array((south + north) / 2))
    scaled: BaseGeometry = affinity.scale(geometry, float(east_m), float(north_m), origin=(0, 0))
    return scaled


def _shapes(atoms: AtomMap, polygon: BaseGeometry, mask: AtomMask) -> NDArray[np.object_]:
    """Return the counties of a mask that meet a polygon."""
    layer = atoms.layer(Level.COUNTY)
    touched = layer.meeting(polygon)
    found: NDArray[np.object_] = layer.geometries[touched[mask[touched]]]
    return found


def _without(geometry: BaseGeometry, mask: AtomMask, atoms: AtomMap) -> BaseGeometry:
    if geometry.is_empty or not mask.any():
        return geometry
    covered = _shapes(atoms, geometry, mask)
    rest: BaseGeometry = shapely.difference(geometry, shapely.union_all(covered)) if len(covered) else geometry
    return rest


def _joined(geometries: list[BaseGeometry]) -> BaseGeometry:
    joined: BaseGeometry = shapely.union_all(geometries)
    parts = [part for part in shapely.get_parts(joined) if part.geom_type == "Polygon" and part.area > 0]
    return shapely.MultiPolygon(parts)


@lru_cache(maxsize=4)
def _atom_km2(atoms: AtomMap) -> NDArray[np.float64]:
    return np.array([km2_of(each) for each in atoms.layer(Level.COUNTY).geometries])
