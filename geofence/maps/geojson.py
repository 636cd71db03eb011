"""A customer's own boundaries: which borders a map draws is the customer's decision."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from shapely.geometry import shape

from geofence.errors import MapFormatError, MapUnavailableError
from geofence.maps.atom_map import AtomMap
from geofence.maps.atoms import AtomRecord, Level, polygons_only

ADVICE = (
    "Export a FeatureCollection of polygons in WGS-84, each with `adcode` (or `id`) and `name` among its properties."
)


def load_geojson(path: Path) -> AtomMap:
    """Return a map of one level, counties, from a GeoJSON FeatureCollection.

    Raises MapUnavailableError where the file cannot be read, MapFormatError naming the first feature that is wrong.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise MapUnavailableError(f"cannot read {path}: {error.strerror}", advice="Check the path.") from error
    try:
        features = json.loads(content)["features"]
    except (ValueError, KeyError, TypeError) as error:
        raise MapFormatError(f"{path} is no GeoJSON FeatureCollection", advice=ADVICE) from error
    records = [_record(path, number, feature) for number, feature in enumerate(features)]
    _refuse_duplicates(path, records)
    shapes = np.array([_geometry(path, number, feature) for number, feature in enumerate(features)], dtype=object)
    version = f"{path.name} sha256:{hashlib.sha256(content).hexdigest()[:16]}"
    return AtomMap(version, {Level.COUNTY: records}, lambda _level: polygons_only(shapes))


def _record(path: Path, number: int, feature: dict[str, Any]) -> AtomRecord:
    properties = feature.get("properties") or {}
    adcode = properties.get("adcode", properties.get("id", feature.get("id")))
    name = properties.get("name")
    if adcode is None or not name:
        raise MapFormatError(f"feature {number} of {path} has no code or no name", advice=ADVICE)
    return AtomRecord(str(adcode), str(name), str(properties.get("name_en", name)), Level.COUNTY, None)


def _geometry(path: Path, number: int, feature: dict[str, Any]) -> shapely.Geometry:
    try:
        geometry = shape(feature["geometry"])
    except (KeyError, TypeError, ValueError, AttributeError, shapely.errors.ShapelyError) as error:
        raise MapFormatError(f"feature {number} of {path} has no readable geometry", advice=ADVICE) from error
    if geometry.geom_type not in ("Polygon", "MultiPolygon"):
        raise MapFormatError(f"feature {number} of {path} is a {geometry.geom_type}", advice=ADVICE)
    return geometry


def _refuse_duplicates(path: Path, records: list[AtomRecord]) -> None:
    seen: set[str] = set()
    for record in records:
        if record.adcode in seen:
            raise MapFormatError(f"{path} has the code {record.adcode} twice", advice=ADVICE)
        seen.add(record.adcode)
