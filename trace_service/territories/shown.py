"""Territories as others read them: rows of versions and drafts, and GeoJSON features."""

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

import numpy as np
import shapely

from geofence.maps import AtomMap, Level
from geofence.maps.outline import DIGITS_PER_TOLERANCE, simplified
from geofence.proposed.areas import area_of
from geofence.territory import Query, TerritoryVersion
from trace_service.domain.territories import BrandBook
from trace_service.processing.books import read_version
from trace_service.store.connection import Connection
from trace_service.territories.queries import SQL

Feature: TypeAlias = dict[str, Any]
_NEWEST: Final = 2**63 - 1
# Seven digits of a degree are a centimetre.
_DIGITS: Final = 7


@dataclass(frozen=True, slots=True)
class Recorded:
    """A stored version with its row's number and where it came from; `sound` where the digest fits."""

    id: int
    version: TerritoryVersion
    by_contracts: bool
    draft: int | None
    published_by: str | None
    sound: bool

    def as_row(self) -> dict[str, Any]:
        """Return it for tables and machines."""
        version = self.version
        source = "contracts" if self.by_contracts else f"draft {self.draft}" if self.draft else "registered"
        return {
            "id": self.id, "dealer": version.dealer, "channel": version.channel,
            "product_line": version.product_line, "exclusive": version.exclusive, "valid_from": version.valid_from,
            "valid_to": version.valid_to, "recorded_at": version.recorded_at, "source": source,
            "published_by": self.published_by, "drawn": version.polygon is not None,
            "adcodes": list(version.adcodes), "sha256": version.sha256, "sound": self.sound,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which versions: of one dealer or all, as recorded by a moment, before a number, so many."""

    dealer: str | None = None
    known_at: datetime | None = None
    before: int = _NEWEST
    limit: int = 100


def versions_of(connection: Connection, brand: str, wanted: Wanted) -> list[Recorded]:
    """Return stored versions, newest first."""
    query = {**asdict(wanted), "brand": brand, "known_at": wanted.known_at or "infinity"}
    return [_recorded(row) for row in connection.execute(SQL["versions"], query)]


def _recorded(row: Any) -> Recorded:  # noqa: ANN401  a row's columns are known to the query alone
    version = read_version(row)
    sound = bytes.fromhex(version.sha256) == row.sha256
    return Recorded(row.id, version, row.by_contracts, row.draft, row.published_by, sound)


def drafts_of(connection: Connection, brand: str, *, before: int = _NEWEST, limit: int = 100) -> list[dict[str, Any]]:
    """Return drafts, newest first, without what they propose."""
    rows = connection.execute(SQL["drafts"], {"brand": brand, "before": before, "limit": limit})
    return [row._asdict() for row in rows]


def collection(book: BrandBook, query: Query, tolerance: float = 0.0) -> list[Feature]:
    """Return the territories in force as GeoJSON features, of the query's dealer or, where that is empty, of all."""
    return [
        feature_of(each, book.territories.atoms, book.version_ids.get(each.sha256), tolerance)
        for each in book.territories.all_in_force(query)
        if query.dealer in ("", each.dealer)
    ]


def feature_of(version: TerritoryVersion, atoms: AtomMap, number: int | None, tolerance: float = 0.0) -> Feature:
    """Return a version as a feature with the union of its counties and polygon; `tolerance` in degrees simplifies."""
    area = area_of(version, atoms)
    shapes = list(atoms.layer(Level.COUNTY).geometries[area.mask])
    if area.polygon is not None:
        shapes.append(area.polygon)
    # Counties of a clean map meet without overlapping, which makes their union fifty times cheaper.
    joined = shapely.coverage_union_all(shapes) if area.polygon is None else shapely.union_all(shapes)
    digits = _DIGITS
    if tolerance:
        digits = int(np.ceil(np.log10(DIGITS_PER_TOLERANCE / tolerance)))
        joined = simplified(np.array([joined], dtype=object), tolerance)[0]
    geometry = None if joined.is_empty else json.loads(shapely.to_geojson(_rounded(joined, digits)))
    return {
        "type": "Feature",
        "id": number if number is not None else version.sha256[:16],
        "geometry": geometry,
        "properties": {
            "dealer": version.dealer, "channel": version.channel, "product_line": version.product_line,
            "exclusive": version.exclusive, "adcodes": list(version.adcodes), "drawn": version.polygon is not None,
            "valid_from": version.valid_from.isoformat(),
            "valid_to": version.valid_to.isoformat() if version.valid_to else None,
            "recorded_at": version.recorded_at.astimezone(UTC).isoformat(), "sha256": version.sha256,
        },
    }  # fmt: skip


def _rounded(geometry: shapely.Geometry, digits: int) -> shapely.Geometry:
    rounded: shapely.Geometry = shapely.transform(geometry, lambda points: points.round(digits))
    return rounded
