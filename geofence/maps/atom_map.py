"""A map of three levels, loaded level by level when first asked."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geofence.coordinates import validated
from geofence.errors import UnknownAdcodeError
from geofence.geometry.border import Forest, Grove
from geofence.maps.atoms import NOWHERE, Atom, AtomRecord, GeometryArray, IndexArray, Layer, Level
from geofence.maps.boundary import BoundaryLines, Segments
from geofence.maps.repairs import AS_DRAWN, Origin

# Two public maps of one city disagree by a median of 132 m. If both err alike and independently, their difference
# has sqrt(2) sigma, and the median of its absolute value is 0.6745 of that: 132 / (0.6745 * 1.4142) = 138.
BOUNDARY_SIGMA_M = 138.0
LARGEST_FIRST = (Level.PROVINCE, Level.CITY, Level.COUNTY)
# Hong Kong, Macau and Taiwan use WGS-84: the shifted systems end at the mainland's border.
UNSHIFTED_PROVINCES = frozenset({"710000", "810000", "820000"})


class CountyGrid(Protocol):
    """An index over a map's counties."""

    def covering(self, lons: ArrayLike, lats: ArrayLike) -> tuple[IndexArray, IndexArray]:
        """Return (point, county) numbers of all coverings, ordered by point and then county."""


@dataclass(frozen=True, slots=True)
class Mainland:
    """Where GCJ-02 and BD-09 differ from WGS-84."""

    provinces: Layer
    shifted: NDArray[np.bool_]

    def contains_many(self, lons: NDArray[np.float64], lats: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return one boolean per point, shape (n,); positions beyond the poles are outside."""
        owners = self.provinces.owners(lons, lats)
        found: NDArray[np.bool_] = (owners != NOWHERE) & self.shifted[owners]
        return found


class AtomMap:
    """Divisions by code and by position; counties are the atoms, numbered from 0 in file order.

    `version` names the source and its SHA-256, so that a stored verdict can say which map it was made with.
    `origin` says in which system the source was drawn, and what had to be mended of it on reading.
    """

    def __init__(
        self,
        version: str,
        records: Mapping[Level, Sequence[AtomRecord]],
        geometries: Callable[[Level], GeometryArray],
        *,
        boundary_sigma_m: float = BOUNDARY_SIGMA_M,
        origin: Origin = AS_DRAWN,
    ) -> None:
        self.version = version
        self.origin = origin
        self.boundary_sigma_m = boundary_sigma_m
        self._records = records
        self._geometries = geometries
        self._layers: dict[Level, Layer] = {}
        self._lines: BoundaryLines | None = None
        self._grove: Grove | None = None
        self._grid: CountyGrid | None = None
        self._loading = threading.Lock()
        self._positions = {
            level: {record.adcode: index for index, record in enumerate(records.get(level, ()))}
            for level in LARGEST_FIRST
        }
        self._counties = self._counties_by_ancestor()

    def layer(self, level: Level) -> Layer:
        """Return one level with its shapes, reading them at the first call."""
        with self._loading:
            if level not in self._layers:
                self._layers[level] = Layer(self._records.get(level, ()), self._geometries(level))
            return self._layers[level]

    def border_of(self, mask: NDArray[np.bool_]) -> Segments:
        """Return the border of a set of counties, shape (n, 4), degrees: lon, lat, lon, lat, the set on the left."""
        return self.lines().around(mask)

    def lines(self) -> BoundaryLines:
        """Return all edges of counties, with the counties on their two sides."""
        lines = self._lines
        if lines is None:
            geometries = self.layer(Level.COUNTY).geometries
            with self._loading:
                lines = self._lines = self._lines or BoundaryLines.of(geometries)
        return lines

    def covering(self, lons: ArrayLike, lats: ArrayLike) -> tuple[IndexArray, IndexArray]:
        """Return (point, county) numbers of all coverings of WGS-84 points, ordered by point and then county."""
        grid = self._grid
        if grid is not None:
            return grid.covering(lons, lats)
        return self.layer(Level.COUNTY).pairs(*validated(lons, lats))

    def use(self, grid: CountyGrid, lines: BoundaryLines) -> None:
        """Let an index of this map's counties answer from now on; the answers stay the same."""
        with self._loading:
            self._grid = grid
            self._lines = self._lines or lines

    def borders(self, masks: Sequence[NDArray[np.bool_]]) -> tuple[Forest, IndexArray]:
        """Return the borders of sets of counties, ready to be measured: a forest over `lines`, and their numbers."""
        lines = self.lines()
        with self._loading:
            if self._grove is None:
                self._grove = Grove(lines.ends)
        return self._grove.borders([mask.tobytes() for mask in masks], lambda place: lines.bounding(masks[place]))

    def mainland(self) -> Mainland:
        """Return the region in which GCJ-02 is shifted."""
        provinces = self.layer(Level.PROVINCE)
        shifted = [record.adcode not in UNSHIFTED_PROVINCES for record in provinces.records]
        return Mainland(provinces, np.array(shifted, dtype=np.bool_))

    @property
    def atom_count(self) -> int:
        """The number of counties, which is the length of every territory's mask."""
        return len(self._records.get(Level.COUNTY, ()))

    def records(self, level: Level) -> tuple[AtomRecord, ...]:
        """Return codes and names of one level without reading any shape."""
        return tuple(self._records.get(level, ()))

    def record(self, adcode: str) -> AtomRecord:
        """Return codes and names of one division; the largest one where a code serves several levels.

        Raises UnknownAdcodeError.
        """
        level, index = self._place(adcode)
        return self._records[level][index]

    def atom(self, adcode: str) -> Atom:
        """Return one division with its shape. Raises UnknownAdcodeError."""
        level, index = self._place(adcode)
        return self.layer(level).atom(index)

    def ancestors(self, adcode: str) -> tuple[AtomRecord, ...]:
        """Return the larger divisions around one, nearest first. Raises UnknownAdcodeError."""
        found: list[AtomRecord] = []
        parent = self.record(adcode).parent
        while parent is not None:
            found.append(self.record(parent))
            parent = found[-1].parent
        return tuple(found)

    def counties_of(self, adcode: str) -> tuple[str, ...]:
        """Return the codes of all counties in a division; a county holds itself. Raises UnknownAdcodeError."""
        counties = self._records[Level.COUNTY]
        return tuple(counties[index].adcode for index in self.atom_indexes(adcode).tolist())

    def atom_indexes(self, adcode: str) -> IndexArray:
        """Return the numbers of all counties in a division. Raises UnknownAdcodeError."""
        self._place(adcode)
        return self._counties[adcode]

    def codes_of(self, mask: NDArray[np.bool_]) -> tuple[str, ...]:
        """Return the codes of the counties set in a mask of shape (atom_count,)."""
        counties = self._records[Level.COUNTY]
        return tuple(counties[index].adcode for index in np.flatnonzero(mask).tolist())

    def locate(self, lon: float, lat: float) -> str | None:
        """Return the code of the county covering a WGS-84 point, None at sea or abroad."""
        return self.locate_many(lon, lat)[0]

    def locate_many(self, lons: ArrayLike, lats: ArrayLike) -> list[str | None]:
        """Return the county code per WGS-84 point; a point on a border counts as inside the first county."""
        layer = self.layer(Level.COUNTY)
        owners = layer.locate_many(lons, lats).tolist()
        return [None if index == NOWHERE else layer.records[index].adcode for index in owners]

    def _place(self, adcode: str) -> tuple[Level, int]:
        for level in LARGEST_FIRST:
            index = self._positions[level].get(adcode)
            if index is not None:
                return level, index
        raise UnknownAdcodeError(
            f"the map {self.version} has no division {adcode!r}",
            advice="Check the code against the map's release: divisions are renamed and merged every year.",
        )

    def _counties_by_ancestor(self) -> dict[str, IndexArray]:
        found: dict[str, list[int]] = {}
        for index, county in enumerate(self._records.get(Level.COUNTY, ())):
            for code in {county.adcode, *(record.adcode for record in self.ancestors(county.adcode))}:
                found.setdefault(code, []).append(index)
        return {code: np.array(indexes, dtype=np.intp) for code, indexes in found.items()}
