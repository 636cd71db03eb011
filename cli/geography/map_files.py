"""Boundaries in the formats of geographers, as features that a map can be built of."""

from pathlib import Path
from typing import Any, Final

import click
import numpy as np
import shapely

from geofence.coordinates import Crs
from geofence.errors import MapFormatError, MapUnavailableError
from geofence.maps.atom_map import AtomMap
from geofence.maps.geojson import MOST_BYTES, map_bytes, read_geojson
from geofence.maps.raw import Drawn, RawFeature, build_map, raw_feature
from geofence.maps.topojson import read_topojson

# WGS-84, and China's CGCS2000, which differs from it by centimetres.
_DEGREES: Final = frozenset({"EPSG:4326", "OGC:CRS84", "EPSG:4490"})
_DRIVERS: Final = {".shp": "ESRI Shapefile", ".gpkg": "GPKG"}
_PARTS: Final = (".shp", ".dbf", ".shx", ".prj", ".cpg")


def read_map(path: Path, layer: str, drawn: Drawn) -> AtomMap:
    """Return the map of a GeoJSON, TopoJSON, shapefile or GeoPackage.

    Raises MapUnavailableError and MapFormatError; click.ClickException where the reader of the format is missing.
    """
    if path.suffix.lower() in _DRIVERS:
        return _read_vector(path, layer, drawn)
    content = map_bytes(path)
    topology = b'"Topology"' in content[:4096] or path.suffix.lower() == ".topojson"
    read = read_topojson(str(path), content, layer) if topology else read_geojson(str(path), content, drawn.crs)
    return build_map(path.name, content, read, drawn)


def _read_vector(path: Path, layer: str, drawn: Drawn) -> AtomMap:
    try:
        import pyogrio  # noqa: PLC0415  the other formats need no GDAL
        from pyogrio.errors import DataLayerError, DataSourceError  # noqa: PLC0415  likewise
    except ModuleNotFoundError as error:
        raise click.ClickException("shapefiles and GeoPackages need pyogrio: pip install 'codefence[maps]'") from error
    content = _whole(path)
    try:
        meta, _, shapes, columns = pyogrio.raw.read(path, layer=layer or None)
    except (DataSourceError, DataLayerError, ValueError) as error:
        raise MapFormatError(
            f"{path} cannot be read: {error}", advice="Export it again, with all its files."
        ) from error
    crs = meta["crs"]
    if drawn.crs is Crs.WGS84 and crs not in _DEGREES:
        raise MapFormatError(
            f"{path} is in {crs or 'an unknown reference system'}",
            advice="Reproject it to EPSG:4326, or say with --crs that it is in gcj02 or bd09.",
        )
    features = [
        _feature(f"feature {number} of {path}", dict(zip(meta["fields"], row, strict=True)), wkb)
        for number, (wkb, *row) in enumerate(zip(shapes, *columns, strict=True))
    ]
    return build_map(path.name, content, features, drawn)


def _feature(where: str, properties: dict[str, Any], wkb: bytes | None) -> RawFeature:
    plain = {name: _plain(value) for name, value in properties.items()}
    if wkb is None:
        raise MapFormatError(f"{where} has no geometry", advice="Leave it out, or draw it.")
    return raw_feature(where, plain, shapely.from_wkb(wkb, on_invalid="ignore"))


def _plain(value: Any) -> Any:  # noqa: ANN401  numpy's scalars become Python's
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and np.isnan(value) else value


def _whole(path: Path) -> bytes:
    """Return the bytes of all files that make up a shapefile, or of the one file."""
    parts = [path.with_suffix(suffix) for suffix in _PARTS] if path.suffix.lower() == ".shp" else [path]
    present = [part for part in parts if part.is_file()]
    if not present:
        raise MapUnavailableError(f"cannot read {path}: no such file", advice="Check the path.")
    size = sum(part.stat().st_size for part in present)
    if size > MOST_BYTES:
        raise MapFormatError(f"{path} has {size:,} bytes", advice=f"At most {MOST_BYTES:,}: simplify it.")
    return b"".join(part.read_bytes() for part in present)
