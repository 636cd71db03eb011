"""Who may sell where: immutable versions, and a book that answers for any moment as known at any moment."""

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import TypeAlias, TypeVar, cast

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from geofence.errors import TerritoryError
from geofence.geometry.border import Forest, Grove
from geofence.grid.drawings import Drawings, joined_edges
from geofence.maps.atom_map import AtomMap
from geofence.maps.boundary import Segments

AtomMask = NDArray[np.bool_]
# Dealer, channel and product line; None stands for all lines.
Seller: TypeAlias = tuple[str, str, str | None]
T = TypeVar("T")
DEFAULT_CHANNEL = "retail"


def utc(moment: datetime, name: str) -> datetime:
    """Return an aware datetime in UTC. Raises TerritoryError for a naive one, naming the field."""
    if moment.tzinfo is None:
        raise TerritoryError(f"{name} has no time zone", advice="Pass aware datetimes; store UTC.")
    return moment.astimezone(UTC)


@dataclass(frozen=True, slots=True)
class Query:
    """Whose territory is asked for, when the scan happened, and what had been recorded by then.

    A `product_line` is answered by the dealer's territory for that line, or else by the one for all lines.
    """

    dealer: str
    valid_at: datetime
    known_at: datetime
    channel: str = DEFAULT_CHANNEL
    product_line: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "valid_at", utc(self.valid_at, "valid_at"))
        object.__setattr__(self, "known_at", utc(self.known_at, "known_at"))


@dataclass(frozen=True, slots=True, kw_only=True)
class TerritoryVersion:
    """One statement of a contract: where a dealer may sell from `valid_from` until `valid_to`.

    `adcodes` are divisions of any level: a province stands for all its counties. A `polygon`, drawn in WGS-84 degrees,
    is granted beside them. Neither says that the dealer may sell nowhere, which is how a contract ends. Codes are kept
    sorted and once each; times in UTC. Without a `product_line` the version speaks of all lines that have none of
    their own. `sha256` covers everything stated.
    """

    dealer: str
    adcodes: tuple[str, ...]
    valid_from: datetime
    valid_to: datetime | None = None
    recorded_at: datetime
    channel: str = DEFAULT_CHANNEL
    exclusive: bool = True
    product_line: str | None = None
    polygon: BaseGeometry | None = field(default=None, repr=False)
    sha256: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "adcodes", tuple(sorted(set(self.adcodes))))
        object.__setattr__(self, "valid_from", utc(self.valid_from, "valid_from"))
        object.__setattr__(self, "recorded_at", utc(self.recorded_at, "recorded_at"))
        if self.valid_to is not None:
            object.__setattr__(self, "valid_to", utc(self.valid_to, "valid_to"))
            if self.valid_to <= self.valid_from:
                raise TerritoryError(
                    f"the territory of {self.dealer} ends at {self.valid_to}, not after its start {self.valid_from}",
                    advice="Swap the dates, or record a version without codes to end a contract.",
                )
        if self.polygon is not None:
            object.__setattr__(self, "polygon", self._drawn(self.polygon))
        object.__setattr__(self, "sha256", self._digest())

    def _drawn(self, polygon: BaseGeometry) -> BaseGeometry:
        """Return a polygon in its one normal form, so that the same area has the same digest."""
        if polygon.geom_type not in ("Polygon", "MultiPolygon") or polygon.is_empty or not polygon.is_valid:
            raise TerritoryError(
                f"the polygon of {self.dealer} cannot be used: {shapely.is_valid_reason(polygon)}, {polygon.geom_type}",
                advice="Draw a polygon that encloses an area and does not cross itself.",
            )
        normal: BaseGeometry = shapely.normalize(shapely.force_2d(polygon))
        return normal

    def _digest(self) -> str:
        stated = {
            "adcodes": self.adcodes,
            "channel": self.channel,
            "dealer": self.dealer,
            "exclusive": self.exclusive,
            "recorded_at": self.recorded_at.isoformat(),
            "valid_from": self.valid_from.isoformat(),
            "valid_to": self.valid_to.isoformat() if self.valid_to else None,
        }
        # What a version does not state is no part of its digest: those recorded before it could be stated keep theirs.
        if self.product_line is not None:
            stated["product_line"] = self.product_line
        if self.polygon is not None:
            stated["polygon"] = polygon_digest(self.polygon)
        text = json.dumps(stated, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def covers(self, valid_at: datetime) -> bool:
        """Tell whether the version speaks about this moment; the end is exclusive."""
        return self.valid_from <= valid_at and (self.valid_to is None or valid_at < self.valid_to)


def polygon_digest(polygon: BaseGeometry) -> str:
    """Return the SHA-256 of a polygon's little-endian WKB, hexadecimal."""
    return hashlib.sha256(shapely.to_wkb(polygon, byte_order=1)).hexdigest()


def atom_mask(version: TerritoryVersion, atoms: AtomMap) -> AtomMask:
    """Return one boolean per county of the map, shape (atom_count,). Raises UnknownAdcodeError."""
    mask = np.zeros(atoms.atom_count, dtype=np.bool_)
    for adcode in version.adcodes:
        mask[atoms.atom_indexes(adcode)] = True
    return mask


class TerritoryBook:
    """All versions of all dealers over one map. A new contract makes a new book with `with_versions`."""

    def __init__(self, atoms: AtomMap, versions: Iterable[TerritoryVersion]) -> None:
        self.atoms = atoms
        self.versions = tuple(versions)
        self._by_seller: dict[Seller, list[TerritoryVersion]] = {}
        for version in sorted(self.versions, key=lambda each: each.recorded_at):
            self._by_seller.setdefault((version.dealer, version.channel, version.product_line), []).append(version)
        self._masks: dict[str, AtomMask] = {}
        self._drawn = Grove(np.empty((0, 4)))
        self._kept: dict[object, object] = {}

    def with_versions(self, *versions: TerritoryVersion) -> "TerritoryBook":
        """Return a book that also holds `versions`."""
        return TerritoryBook(self.atoms, (*self.versions, *versions))

    def in_force(self, query: Query) -> TerritoryVersion | None:
        """Return the version that was recorded last by `known_at` among those that cover `valid_at`.

        Those for the query's product line come first, then those for all lines.
        """
        for line in dict.fromkeys((query.product_line, None)):
            for version in reversed(self._by_seller.get((query.dealer, query.channel, line), [])):
                if version.recorded_at <= query.known_at and version.covers(query.valid_at):
                    return version
        return None

    def all_in_force(self, query: Query) -> list[TerritoryVersion]:
        """Return the version in force of every dealer in the query's channel, ordered by dealer."""
        dealers = sorted({dealer for dealer, channel, _ in self._by_seller if channel == query.channel})
        asked = (replace(query, dealer=dealer) for dealer in dealers)
        return [version for version in map(self.in_force, asked) if version is not None]

    def mask(self, version: TerritoryVersion) -> AtomMask:
        """Return the version's counties, shape (atom_count,); worked out once."""
        if version.sha256 not in self._masks:
            self._masks[version.sha256] = atom_mask(version, self.atoms)
        return self._masks[version.sha256]

    def border(self, version: TerritoryVersion) -> Segments:
        """Return the version's border as segments, shape (n, 4), degrees, walked with the interior on the left."""
        if version.polygon is None:
            return self.atoms.border_of(self.mask(version))
        return joined_edges(self.atoms, self.mask(version), version.polygon)

    def borders(self, versions: Sequence[TerritoryVersion]) -> tuple[Forest, NDArray[np.intp]]:
        """Return the borders of versions, all of counties alone or all with a polygon: a forest, and their numbers."""
        if not any(each.polygon is not None for each in versions):
            return self.atoms.borders([self.mask(each) for each in versions])
        return self._drawn.borders([each.sha256 for each in versions], lambda place: self.border(versions[place]))

    @cached_property
    def drawings(self) -> Drawings:
        """Return the polygons of all versions that have one."""
        held = [(number, each.polygon) for number, each in enumerate(self.versions) if each.polygon is not None]
        return Drawings([number for number, _ in held], [polygon for _, polygon in held])

    def kept(self, make: "Callable[[TerritoryBook], T]") -> T:
        """Return what `make` says of this book, worked out once; a book never changes."""
        if make not in self._kept:
            self._kept[make] = make(self)
        return cast("T", self._kept[make])
