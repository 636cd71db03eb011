"""Territories as the geofence wants them: read again only when a row was added."""

from collections import defaultdict
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import shapely
import structlog

from geofence.coordinates import Region
from geofence.errors import TerritoryError, UnknownAdcodeError
from geofence.finding import DEFAULT_POLICY
from geofence.maps import AtomMap
from geofence.territory import TerritoryBook, TerritoryVersion, atom_mask
from trace_service.domain.territories import BrandBook
from trace_service.policies import policies
from trace_service.store.connection import Connection
from trace_service.store.queries import SQL

log = structlog.get_logger(__name__)


class Books:
    """The books of all brands over one map; borders worked out once stay until a contract changes."""

    def __init__(self, atoms: AtomMap) -> None:
        self._atoms = atoms
        self._version: object = None
        self._books: dict[str, BrandBook] = {}
        self.lots: dict[str, str] = {}
        """Lots of containers that were asked about."""

    @cached_property
    def mainland(self) -> Region:
        """Where the shifted reference systems are in use."""
        return self._atoms.mainland()

    def current(self, connection: Connection) -> Mapping[str, BrandBook]:
        """Return the books as of this transaction."""
        version = connection.execute(SQL["books_version"]).fetchone()
        if version != self._version:
            self._books = self._read(connection)
            self._version = version
        return self._books

    def _read(self, connection: Connection) -> dict[str, BrandBook]:
        versions: dict[str, list[TerritoryVersion]] = defaultdict(list)
        numbers: dict[str, int] = {}
        for row in connection.execute(SQL["territories"]):
            version = self._sound(row)
            if version is None:
                continue
            versions[row.brand].append(version)
            numbers[version.sha256] = row.id
        levels: dict[str, dict[str, int]] = defaultdict(dict)
        for row in connection.execute(SQL["dealers"]):
            levels[row.brand][row.id] = row.level
        lines: dict[str, dict[str, str]] = defaultdict(dict)
        for row in connection.execute(SQL["product_lines"]):
            lines[row.brand][row.gtin] = row.product_line
        set_by = policies(connection)
        return {
            brand: BrandBook(
                TerritoryBook(self._atoms, versions[brand]),
                numbers,
                levels[brand],
                lines[brand],
                set_by.get(brand, DEFAULT_POLICY),
            )
            for brand in levels
        }

    def _sound(self, row: Any) -> TerritoryVersion | None:  # noqa: ANN401  a row's columns are known to the query alone
        """Return what a row says; one that cannot be used is left out, so that the other dealers' scans go on."""
        try:
            version = read_version(row)
            atom_mask(version, self._atoms)
        except UnknownAdcodeError:
            log.exception("a territory is not on the map; it is left out", action="books.off_map", id=row.id)
            return None
        except (TerritoryError, shapely.errors.ShapelyError):
            log.exception("a territory cannot be read; it is left out", action="books.altered", id=row.id)
            return None
        if bytes.fromhex(version.sha256) != row.sha256:
            log.error("a territory is not what was recorded; it is left out", action="books.altered", id=row.id)
            return None
        return version


def read_version(row: Any) -> TerritoryVersion:  # noqa: ANN401  likewise
    """Return the version that a row of trace.territory holds. Raises TerritoryError or ShapelyError for a torn one."""
    return TerritoryVersion(
        dealer=row.dealer,
        adcodes=tuple(row.adcodes),
        valid_from=row.valid_from,
        valid_to=row.valid_to,
        recorded_at=row.recorded_at,
        channel=row.channel,
        exclusive=row.exclusive,
        product_line=row.product_line,
        polygon=None if row.polygon is None else shapely.from_wkb(bytes(row.polygon)),
    )
