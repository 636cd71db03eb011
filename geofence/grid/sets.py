"""Sets of polygons: their keys, their members, and GEOS for the points that floating point cannot decide."""

import threading
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import shapely
from numpy.typing import NDArray

from geofence.coordinates import FloatArray
from geofence.errors import MapFormatError
from geofence.grid.edges import KeyArray, polygon_keys
from geofence.grid.frame import expanded
from geofence.maps.atoms import GeometryArray

Ids = NDArray[np.int32]
_NOBODY = -1


class Covering:
    """GEOS's answer: bounding boxes first, prepared polygons second. The polygons are loaded when first asked."""

    def __init__(self, load: Callable[[], GeometryArray]) -> None:
        self._load = load
        self._geometries: GeometryArray | None = None
        self._tree: shapely.STRtree | None = None
        # GEOS fills a prepared geometry's index on first use, which two threads must not do at once.
        self._lock = threading.Lock()

    @property
    def geometries(self) -> GeometryArray:
        """The polygons, in the order of their numbers."""
        with self._lock:
            if self._geometries is None:
                self._geometries = self._load()
                self._tree = shapely.STRtree(self._geometries)
        return self._geometries

    def pairs(self, lon: FloatArray, lat: FloatArray) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return (point, polygon) numbers of all coverings, ordered by point and then polygon."""
        geometries = self.geometries
        assert self._tree is not None  # noqa: S101  made together with the geometries
        points, polygons = self._tree.query(shapely.points(lon, lat))
        order = np.argsort(polygons, kind="stable")
        points, polygons = points[order], polygons[order]
        covers = np.zeros(len(points), dtype=np.bool_)
        bounds = np.flatnonzero(np.diff(polygons, prepend=-1, append=-1)).tolist()
        for start, end in pairwise(bounds):
            some = points[start:end]
            geometry = geometries[polygons[start]]
            with self._lock:
                shapely.prepare(geometry)
                covers[start:end] = shapely.intersects_xy(geometry, lon[some], lat[some])
        points, polygons = points[covers], polygons[covers]
        order = np.lexsort((polygons, points))
        return points[order], polygons[order]


class PolygonSets:
    """Every set of polygons met so far, by id; id 0 is the empty set.

    `keys` names the sets; the polygons of set i are `members[starts[i]:starts[i + 1]]`, ascending. Sets that are met
    later get ids of their own, for as long as the process lives.
    """

    def __init__(self, covering: Covering, keys: KeyArray, starts: NDArray[np.int64], members: Ids) -> None:
        self.covering = covering
        self.keys, self.starts, self.members = keys, starts, members
        self._order = np.argsort(keys).astype(np.int32)
        self._sorted = keys[self._order]
        # Keys are random, so that their first bits tell nearly where each stands.
        bits = len(keys).bit_length() + 1
        self._shift = np.uint64(64 - bits)
        firsts = np.searchsorted(self._sorted >> self._shift, np.arange((1 << bits) + 1, dtype=np.uint64))
        self._slots = firsts[:-1].astype(np.int32)
        self._longest = int(np.diff(firsts).max(initial=0))
        self._late: dict[int, int] = {}
        self._late_members: list[Ids] = []
        self._lock = threading.Lock()
        self.decided_by_geos = 0

    @classmethod
    def sampled(cls, geometries: GeometryArray, keys: KeyArray, lon: FloatArray, lat: FloatArray) -> "PolygonSets":
        """Return the sets of distinct `keys`, each read at a point that it covers.

        Raises MapFormatError where GEOS does not agree with the keys, which happens with overlapping parts.
        """
        covering = Covering(lambda: geometries)
        points, polygons = covering.pairs(lon, lat)
        starts = np.searchsorted(points, np.arange(len(keys) + 1)).astype(np.int64)
        found = np.zeros(len(keys), dtype=np.uint64)
        np.bitwise_xor.at(found, points, polygon_keys(len(geometries))[polygons])
        if (found != keys).any():
            wrong = int(np.flatnonzero(found != keys)[0])
            raise MapFormatError(
                f"polygons around {lon[wrong]:.6f}, {lat[wrong]:.6f} overlap themselves",
                advice="Repair the geometries (make_valid) before building an index.",
            )
        return cls(covering, keys, starts, polygons.astype(np.int32))

    def settled(self) -> "PolygonSets":
        """Return the same sets, those met late among them, under the same ids."""
        sizes = np.fromiter((len(each) for each in self._late_members), dtype=np.int64, count=len(self._late_members))
        keys = np.concatenate([self.keys, np.fromiter(self._late, dtype=np.uint64, count=len(self._late))])
        starts = np.concatenate([self.starts, self.starts[-1] + np.cumsum(sizes)])
        return PolygonSets(self.covering, keys, starts, np.concatenate([self.members, *self._late_members]))

    def __len__(self) -> int:
        """Return the number of sets known so far."""
        return len(self.keys) + len(self._late_members)

    def of(self, set_id: int) -> Ids:
        """Return the numbers of a set's polygons, ascending."""
        if set_id >= len(self.keys):
            return self._late_members[set_id - len(self.keys)]
        return self.members[self.starts[set_id] : self.starts[set_id + 1]]

    def pairs(self, ids: Ids) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return (place in `ids`, polygon) numbers of all members of these sets, in order."""
        starts, members = self.starts, self.members
        if len(ids) and int(ids.max()) >= len(self.keys):
            sizes = [len(each) for each in self._late_members]
            starts = np.concatenate([starts, starts[-1] + np.cumsum(sizes)])
            members = np.concatenate([members, *self._late_members])
        first = starts.take(ids)
        place, within = expanded(starts.take(ids + 1) - first)
        return place, members.take(first.take(place) + within).astype(np.intp)

    def first(self) -> Ids:
        """Return for each set the number of its first polygon, -1 for the empty one."""
        firsts = np.full(len(self), _NOBODY, dtype=np.int32)
        filled = np.flatnonzero(np.diff(self.starts))
        firsts[filled] = self.members[self.starts[filled]]
        firsts[len(self.keys) :] = [each[0] if len(each) else _NOBODY for each in self._late_members]
        return firsts

    def holding(self, polygon: int) -> NDArray[np.bool_]:
        """Return for each set whether a polygon belongs to it, shape (sets,)."""
        found = np.zeros(len(self), dtype=np.bool_)
        found[np.searchsorted(self.starts, np.flatnonzero(self.members == polygon), side="right") - 1] = True
        found[len(self.keys) :] = [polygon in each for each in self._late_members]
        return found

    def ids(self, keys: KeyArray, lon: FloatArray, lat: FloatArray, doubtful: NDArray[np.intp]) -> Ids:
        """Return the ids behind `keys`; GEOS decides about the `doubtful` points and about sets not met before."""
        at = self._slots.take((keys >> self._shift).astype(np.int64))
        unmet = np.arange(len(keys))
        for _ in range(self._longest):
            unmet = unmet[self._sorted.take(at.take(unmet), mode="clip") != keys.take(unmet)]
            if not len(unmet):
                break
            at[unmet] += 1
        found: Ids = self._order.take(at, mode="clip")
        for each in unmet.tolist():
            found[each] = self._late.get(int(keys[each]), _NOBODY)
        found[doubtful] = _NOBODY
        asked = np.flatnonzero(found == _NOBODY)
        if len(asked):
            found[asked] = self._asked(lon[asked], lat[asked])
        return found

    def id_of(self, key: int, lon: float, lat: float) -> int:
        """Return the id behind one key; a key of -1 is a doubtful point's."""
        if key >= 0:
            at = int(self._sorted.searchsorted(np.uint64(key)))
            if at < len(self._sorted) and int(self._sorted[at]) == key:
                return int(self._order[at])
            if key in self._late:
                return self._late[key]
        return int(self._asked(np.array([lon]), np.array([lat]))[0])

    def _asked(self, lon: FloatArray, lat: FloatArray) -> Ids:
        self.decided_by_geos += len(lon)
        points, polygons = self.covering.pairs(lon, lat)
        bounds = np.searchsorted(points, np.arange(len(lon) + 1))
        secret = polygon_keys(len(self.covering.geometries))
        found = np.empty(len(lon), dtype=np.int32)
        for number in range(len(lon)):
            members = polygons[bounds[number] : bounds[number + 1]].astype(np.int32)
            found[number] = self._met(int(np.bitwise_xor.reduce(secret[members], initial=0)), members)
        return found

    def _met(self, key: int, members: Ids) -> int:
        at = int(self._sorted.searchsorted(np.uint64(key)))
        if at < len(self._sorted) and int(self._sorted[at]) == key:
            return int(self._order[at])
        with self._lock:
            if key not in self._late:
                self._late_members.append(members)
                self._late[key] = len(self.keys) + len(self._late_members) - 1
            return self._late[key]
