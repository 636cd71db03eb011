"""TopoJSON: shapes as chains of shared arcs, whose points are steps on a lattice (TopoJSON specification, 2013)."""

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
import shapely
from numpy.typing import NDArray

from geofence.errors import MapFormatError
from geofence.maps.raw import RawFeature, raw_feature

_ADVICE: Final = "Export it again as TopoJSON or GeoJSON."
_FEWEST: Final = 4


def read_topojson(source: str, content: bytes, layer: str = "") -> list[RawFeature]:
    """Return the polygons of one object of a topology: `layer`, or the first. Raises MapFormatError."""
    try:
        document = json.loads(content)
        arcs = _arcs(document)
        objects = document["objects"]
        name = layer or next(iter(objects))
        geometries = objects[name].get("geometries", [objects[name]])
        return list(_features(f"{source} {name}", geometries, arcs))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError, StopIteration) as error:
        raise MapFormatError(
            f"{source} is no usable TopoJSON: {type(error).__name__} {error}", advice=_ADVICE
        ) from error


def _arcs(document: dict[str, Any]) -> list[NDArray[np.float64]]:
    transform = document.get("transform")
    found = []
    for each in document["arcs"]:
        points = np.array([point[:2] for point in each], dtype=np.float64).reshape(-1, 2)
        if transform is not None:
            points = np.cumsum(points, axis=0) * transform["scale"] + transform["translate"]
        found.append(points)
    return found


def _features(source: str, geometries: Sequence[Any], arcs: list[NDArray[np.float64]]) -> Iterator[RawFeature]:
    for number, each in enumerate(geometries):
        where = f"feature {number} of {source}"
        kind = each.get("type")
        if kind is None:
            continue
        if kind not in ("Polygon", "MultiPolygon"):
            raise MapFormatError(f"{where} is a {kind}", advice="Only polygons enclose an area.")
        parts = each["arcs"] if kind == "MultiPolygon" else [each["arcs"]]
        polygons = [_polygon(part, arcs) for part in parts]
        whole = shapely.MultiPolygon([polygon for polygon in polygons if polygon is not None])
        # Disputed areas without a code of their own go by their name.
        properties = each.get("properties") or {}
        yield raw_feature(where, properties, whole, each.get("id", properties.get("name")))


def _polygon(rings: Sequence[Sequence[int]], arcs: list[NDArray[np.float64]]) -> shapely.Polygon | None:
    found = [_ring(ring, arcs) for ring in rings]
    if not found or len(found[0]) < _FEWEST:
        return None  # smaller than the lattice: it has collapsed into a line or a point
    return shapely.Polygon(found[0], [hole for hole in found[1:] if len(hole) >= _FEWEST])


def _ring(chain: Sequence[int], arcs: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    parts = [arcs[index] if index >= 0 else arcs[~index][::-1] for index in chain]
    joined = np.concatenate([parts[0], *(part[1:] for part in parts[1:])])
    fresh = np.ones(len(joined), dtype=np.bool_)
    fresh[1:] = (joined[1:] != joined[:-1]).any(axis=1)
    ring: NDArray[np.float64] = joined[fresh]
    return ring
