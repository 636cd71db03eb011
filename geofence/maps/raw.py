"""From features of any file to a map: codes, names and parents checked, shapes mended, all in WGS-84."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from geofence.coordinates import Crs, FloatArray, Region, to_wgs84
from geofence.errors import MapFormatError
from geofence.maps.atom_map import BOUNDARY_SIGMA_M, LARGEST_FIRST, AtomMap
from geofence.maps.atoms import AtomRecord, GeometryArray, Level
from geofence.maps.repairs import Origin, Repair, mended

ADVICE: Final = (
    "Each feature needs `adcode` (or `id`) and `name`; if known `name_en`, `parent`, `level` (province, city, county)."
)
_CODES: Final = ("adcode", "id", "code", "gb", "iso_a3", "iso3")
_NAMES: Final = ("name", "name_zh", "NAME", "名称")


@dataclass(frozen=True, slots=True)
class RawFeature:
    """One feature as a file has it."""

    where: str
    adcode: str
    name_zh: str
    name_en: str
    geometry: BaseGeometry = field(repr=False)
    level: Level = Level.COUNTY
    parent: str | None = None


@dataclass(frozen=True, slots=True)
class Drawn:
    """How a map was drawn: its system, its own error in metres, and where GCJ-02 and BD-09 are shifted."""

    crs: Crs = Crs.WGS84
    boundary_sigma_m: float = BOUNDARY_SIGMA_M
    mainland: Region | None = None


class Everywhere:
    """A region that has every point: for shapes of which it is known that all of them are shifted."""

    def contains_many(self, lons: FloatArray, lats: FloatArray) -> NDArray[np.bool_]:
        """Return one True per point."""
        del lats
        return np.ones(len(lons), dtype=np.bool_)


def raw_feature(where: str, properties: Any, geometry: BaseGeometry, number: object = None) -> RawFeature:  # noqa: ANN401
    """Return a feature from its properties, whatever they hold. Raises MapFormatError naming it."""
    known = {str(key).lower(): value for key, value in properties.items()} if isinstance(properties, dict) else {}
    code = next((known[key] for key in _CODES if known.get(key) not in (None, "")), number)
    name = next((known[key.lower()] for key in _NAMES if known.get(key.lower())), None)
    if code is None or not str(code).strip() or not name:
        raise MapFormatError(f"{where} has no code or no name", advice=ADVICE)
    if isinstance(code, float) and code.is_integer():
        code = int(code)
    try:
        level = Level(str(known.get("level") or Level.COUNTY))
    except ValueError as error:
        raise MapFormatError(f"{where} has the level {str(known['level'])[:20]!r}", advice=ADVICE) from error
    parent = known.get("parent")
    english = known.get("name_en") or name
    return RawFeature(
        where, str(code).strip(), str(name), str(english), geometry, level, str(parent) if parent else None
    )


def build_map(source: str, content: bytes, features: Sequence[RawFeature], drawn: Drawn) -> AtomMap:
    """Return a map of features; `content` is what its version's digest is taken of.

    Raises MapFormatError naming the first feature that cannot be used: a code given twice at one level, a parent that
    is not there, a shape beyond repair.
    """
    if not any(each.level is Level.COUNTY for each in features):
        raise MapFormatError(f"{source} has no counties", advice=ADVICE)
    known = {each.adcode: each.where for each in features}
    repairs: list[Repair] = []
    records: dict[Level, list[AtomRecord]] = {level: [] for level in LARGEST_FIRST}
    shapes: dict[Level, list[BaseGeometry]] = {level: [] for level in LARGEST_FIRST}
    seen: dict[tuple[Level, str], str] = {}
    for each in features:
        if (each.level, each.adcode) in seen:
            raise MapFormatError(f"{each.where} repeats the code {each.adcode} of {seen[each.level, each.adcode]}",
                                 advice="Join the two, or give them different codes.")  # fmt: skip
        if each.parent is not None and (each.parent not in known or each.parent == each.adcode):
            raise MapFormatError(
                f"{each.where} has the parent {each.parent!r}, which is not in the file", advice=ADVICE
            )
        seen[each.level, each.adcode] = each.where
        geometry, repair = mended(each.where, each.adcode, unshifted(each.geometry, drawn))
        repairs += [repair] if repair else []
        shapes[each.level].append(geometry)
        records[each.level].append(AtomRecord(each.adcode, each.name_zh, each.name_en, each.level, each.parent))
    arrays: dict[Level, GeometryArray] = {}
    for level, found in shapes.items():
        arrays[level] = np.empty(len(found), dtype=object)
        arrays[level][:] = found
    _refuse_circles(features)
    version = f"{source} sha256:{hashlib.sha256(content).hexdigest()[:16]}"
    return AtomMap(
        version, records, arrays.__getitem__, boundary_sigma_m=drawn.boundary_sigma_m,
        origin=Origin(drawn.crs, repairs),
    )  # fmt: skip


def unshifted(geometry: BaseGeometry, drawn: Drawn) -> BaseGeometry:
    """Return a shape in WGS-84: shifted as a whole or not at all, so that its border stays in one piece."""
    if drawn.crs is Crs.WGS84 or geometry.is_empty or not np.isfinite(shapely.get_coordinates(geometry)).all():
        return geometry
    middle = shapely.get_coordinates(shapely.point_on_surface(geometry))
    if drawn.mainland is not None and not drawn.mainland.contains_many(middle[:, 0], middle[:, 1])[0]:
        return geometry

    def moved(points: FloatArray) -> FloatArray:
        lon, lat = to_wgs84(points[:, 0], points[:, 1], drawn.crs, Everywhere())
        return np.stack([lon, lat], axis=1)

    shifted: BaseGeometry = shapely.transform(geometry, moved)
    return shifted


def _refuse_circles(features: Sequence[RawFeature]) -> None:
    ranks = {each.adcode: LARGEST_FIRST.index(each.level) for each in reversed(features)}
    for each in features:
        if each.parent is not None and ranks[each.parent] >= LARGEST_FIRST.index(each.level):
            raise MapFormatError(f"{each.where} has a parent that is not larger", advice=ADVICE)
