"""A customer's own boundaries: which borders a map draws is the customer's decision."""

import json
import re
from pathlib import Path
from typing import Any, Final

import numpy as np
import shapely
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry

from geofence.coordinates import Crs
from geofence.errors import MapFormatError, MapUnavailableError
from geofence.geometry.polygons import named_crs
from geofence.maps.atom_map import AtomMap
from geofence.maps.raw import ADVICE, Drawn, RawFeature, build_map, raw_feature

_DEGREES: Final = re.compile(r"(CRS84|EPSG:+(4326|4490))$")
MOST_BYTES: Final = 1024 * 1024 * 1024


def load_geojson(path: Path) -> AtomMap:
    """Return a map from a GeoJSON FeatureCollection: counties, or the levels that its features name.

    Raises MapUnavailableError where the file cannot be read, MapFormatError naming the first feature that is wrong.
    """
    content = map_bytes(path)
    drawn = Drawn()
    return build_map(path.name, content, read_geojson(str(path), content, drawn.crs), drawn)


def map_bytes(path: Path) -> bytes:
    """Return a map file's content. Raises MapUnavailableError; MapFormatError for one too large to be parsed."""
    try:
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise MapFormatError(f"{path} has {size:,} bytes", advice=f"At most {MOST_BYTES:,}: simplify it.")
        return path.read_bytes()
    except OSError as error:
        raise MapUnavailableError(f"cannot read {path}: {error.strerror}", advice="Check the path.") from error


def read_geojson(source: str, content: bytes, crs: Crs = Crs.WGS84) -> list[RawFeature]:
    """Return the features of a FeatureCollection. Raises MapFormatError naming the first that is none.

    One that is said to be in WGS-84 may name that system, or CGCS2000, and no other.
    """
    try:
        document = json.loads(content)
        features = document["features"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise MapFormatError(f"{source} is no GeoJSON FeatureCollection", advice=ADVICE) from error
    if not isinstance(features, list) or not features:
        raise MapFormatError(f"{source} has no features", advice=ADVICE)
    name = named_crs(document)
    if crs is Crs.WGS84 and name and not _DEGREES.search(name):
        raise MapFormatError(
            f"{source} is in {name}",
            advice="Reproject it to EPSG:4326, or say that it is in gcj02 or bd09.",
        )
    return [_feature(f"feature {number} of {source}", each) for number, each in enumerate(features)]


def _feature(where: str, feature: object) -> RawFeature:
    if not isinstance(feature, dict):
        raise MapFormatError(f"{where} is no Feature", advice=ADVICE)
    raw = raw_feature(where, feature.get("properties"), shapely.Polygon(), feature.get("id"))
    geometry = _geometry(where, feature.get("geometry"))
    return RawFeature(where, raw.adcode, raw.name_zh, raw.name_en, geometry, raw.level, raw.parent)


def _geometry(where: str, geometry: Any) -> BaseGeometry:  # noqa: ANN401  whatever the file holds
    try:
        with np.errstate(invalid="ignore"):  # NaN is refused with its own words
            found: BaseGeometry = shape(geometry)
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError, shapely.errors.ShapelyError) as error:
        raise MapFormatError(f"{where} has no readable geometry", advice=ADVICE) from error
    return found
