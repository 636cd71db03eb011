"""Names and borders of administrative divisions, from the installed map."""

import gzip
import json
import threading
from collections.abc import Iterable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, TypeAlias

import structlog

from geofence.errors import MapFormatError, MapUnavailableError, UnknownAdcodeError
from geofence.grid.counties import open_index
from geofence.maps import AtomMap, AtomRecord, Level
from geofence.maps.catalogue import DEFAULT_MAP, open_map
from geofence.maps.outline import Extent, outline
from trace_service.words import Language

COUNTRY_TOLERANCE: Final = 0.03
LOCAL_TOLERANCE: Final = 0.01
_ADCODE_DIGITS: Final = 6

Feature: TypeAlias = dict[str, Any]

log = structlog.get_logger(__name__)


class Places:
    """The installed map, read when first asked; without one, codes stand for themselves and no map is drawn."""

    def __init__(self, index_folder: Path | None = None, name: str = DEFAULT_MAP) -> None:
        self._name = name
        self._index_folder = index_folder
        self._loading = threading.Lock()
        self._loaded = False
        self._map: AtomMap | None = None
        self._indexing = threading.Lock()
        self._indexed = index_folder is None
        self._country: bytes | None = None
        self._features = lru_cache(maxsize=256)(self._make_features)

    @property
    def atoms(self) -> AtomMap | None:
        """The map with its index, which another process may still be making, or None where none is installed."""
        atoms = self.borders
        with self._indexing:
            if atoms is not None and self._index_folder is not None and not self._indexed:
                try:
                    open_index(atoms, self._index_folder)
                except MapUnavailableError as error:
                    log.warning(str(error), action="places.no_index", advice=error.advice)
                self._indexed = True
        return atoms

    @property
    def borders(self) -> AtomMap | None:
        """The map for names and borders, for which nobody waits, or None where none is installed."""
        with self._loading:
            if not self._loaded:
                try:
                    self._map = open_map(self._name)
                except (MapUnavailableError, MapFormatError) as error:
                    log.warning(str(error), action="places.no_map", advice=error.advice)
                self._loaded = True
        return self._map

    @property
    def version(self) -> str:
        """What the map calls itself; empty where none is installed."""
        return self.borders.version if self.borders else ""

    def record(self, adcode: str) -> AtomRecord | None:
        """Return a division; a code may leave out its trailing zeros."""
        if self.borders is None:
            return None
        for code in (adcode, adcode.ljust(_ADCODE_DIGITS, "0")):
            with suppress(UnknownAdcodeError):
                return self.borders.record(code)
        return None

    def name(self, adcode: str, language: Language) -> str:
        """Return a division's name, or its code where the map does not know it."""
        record = self.record(adcode)
        if record is None:
            return adcode
        return record.name_zh if language == "zh" else record.name_en

    def city_at(self, lon: float, lat: float) -> str | None:
        """Return the city that holds a position in WGS-84 degrees, None off the map; the first answer reads shapes."""
        if self.atoms is None:
            return None
        _, counties = self.atoms.covering([lon], [lat])
        if len(counties) == 0:
            return None
        county = self.atoms.records(Level.COUNTY)[int(counties[0])]
        return county.parent or county.adcode

    def country(self) -> bytes | None:
        """Return all provinces as gzipped GeoJSON, or None without a map."""
        if self._country is None and self.borders:
            borders = outline(self.borders, Level.PROVINCE, Extent(), COUNTRY_TOLERANCE)
            self._country = gzip.compress(borders, mtime=0)
        return self._country

    def features(self, adcodes: Iterable[str], role: str) -> list[Feature]:
        """Return GeoJSON features of the given divisions, each with its role on the map; unknown codes are left out."""
        records = {record.adcode: record for code in adcodes if (record := self.record(code))}
        found: list[Feature] = []
        for level in Level:
            codes = tuple(sorted(code for code, record in records.items() if record.level is level))
            if codes:
                features = json.loads(self._features(level, codes))["features"]
                # A municipality is a city as well as a province: asked for once, it is drawn once.
                found += [_with_role(feature, role) for feature in features if feature["id"] in codes]
        return found

    def _make_features(self, level: Level, codes: tuple[str, ...]) -> bytes:
        if self.borders is None:
            return b'{"features":[]}'
        return outline(self.borders, level, Extent(codes), LOCAL_TOLERANCE)


def _with_role(feature: Feature, role: str) -> Feature:
    return {**feature, "properties": {**feature["properties"], "role": role}}
