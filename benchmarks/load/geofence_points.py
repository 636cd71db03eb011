"""Points in polygons: the adaptive grid beside GEOS's trees, and point for point the same answers."""

import time
from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray

from benchmarks.frame import Progress
from benchmarks.load.geofence_data import Array, Shapes
from geofence.grid import Grid, build_grid
from geofence.grid.sets import Covering
from geofence.grid.single import PointLookup

_SLOW_POINTS: Final = 20_000
_SINGLES: Final = 100_000
_ROUNDS: Final = 3
_CHUNK: Final = 250_000


class Measured(NamedTuple):
    """Figures, and the index they were taken with."""

    figures: dict[str, float]
    grid: Grid


def measured(name: str, shapes: Shapes, points: Array, progress: Progress) -> Measured:
    """Return points a second of the index and of the alternatives, CPU time of one core."""
    progress(f"{name}: building the index")
    began = time.process_time()
    grid = build_grid(shapes)
    built = time.process_time() - began
    known = grid.sets.decided_by_geos
    points_per_s = rate(lambda: grid.locate(*points.T), len(points))
    asked = (grid.sets.decided_by_geos - known) / _ROUNDS
    found = {
        f"{name}_build_s": round(built, 1),
        f"{name}_index_mb": round(size(grid) / 1e6, 1),
        f"{name}_points_per_s": round(points_per_s),
        f"{name}_decided_by_geos_percent": round(100 * asked / len(points), 4),
        f"{name}_bound_dealer_per_s": round(_bound(grid, points)),
    }
    found |= _singles(name, grid, points)
    progress(f"{name}: the alternatives")
    return Measured(found | _alternatives(name, shapes, points, points_per_s), grid)


def rate(work: Callable[[], object], count: int) -> float:
    """Return things a second of CPU time, the best of three rounds."""
    best = float("inf")
    for _ in range(_ROUNDS):
        began = time.process_time()
        work()
        best = min(best, time.process_time() - began)
    return count / best


def size(grid: Grid) -> int:
    """Return the bytes of an index."""
    cells = grid.cells
    arrays = (cells.coarse, cells.fine, cells.starts, cells.pairs, cells.flags, cells.keys, cells.ends)
    sets = (grid.sets.keys, grid.sets.starts, grid.sets.members)
    return sum(each.nbytes for each in (*arrays, cells.toggles, *sets))


def _bound(grid: Grid, points: Array) -> float:
    """Ask whether the territory of the one dealer that each scan is bound to covers it."""
    count = len(grid.sets.covering.geometries)
    width = (count + 7) // 8
    bits = np.zeros((len(grid.sets), width), dtype=np.uint8)
    owner = np.repeat(np.arange(len(grid.sets.keys)), np.diff(grid.sets.starts))
    np.bitwise_or.at(bits, (owner, grid.sets.members >> 3), (1 << (grid.sets.members & 7)).astype(np.uint8))
    dealer = np.random.default_rng(3).integers(0, count, len(points))
    flat = bits.reshape(-1)

    byte, bit = dealer >> 3, (dealer & 7).astype(np.uint8)

    def work() -> NDArray[np.uint8]:
        ids = grid.locate(*points.T).astype(np.int64)
        found: NDArray[np.uint8] = (flat.take(ids * width + byte) >> bit) & np.uint8(1)
        return found

    return rate(work, len(points))


def _singles(name: str, grid: Grid, points: Array) -> dict[str, float]:
    lookup = PointLookup(grid)
    took = []
    for lon, lat in points[:_SINGLES].tolist():
        began = time.perf_counter_ns()
        lookup.locate(lon, lat)
        took.append(time.perf_counter_ns() - began)
    p50, p99 = np.percentile(took, [50, 99]) / 1000
    return {f"{name}_single_p50_us": round(float(p50), 2), f"{name}_single_p99_us": round(float(p99), 1)}


def _alternatives(name: str, shapes: Shapes, points: Array, points_per_s: float) -> dict[str, float]:
    tree = shapely.STRtree(shapes)
    few = points[:_SLOW_POINTS]
    began = time.process_time()
    tree.query(shapely.points(few), predicate="intersects")
    predicate = len(few) / (time.process_time() - began)
    some = points[: 10 * _SLOW_POINTS]
    covering = Covering(lambda: shapes)
    covering.pairs(*few.T)
    began = time.process_time()
    covering.pairs(*some.T)
    boxes = len(some) / (time.process_time() - began)
    began = time.process_time()
    _by_polygon(shapes, points)
    swept = len(points) / (time.process_time() - began)
    return {
        f"{name}_strtree_predicate_per_s": round(predicate),
        f"{name}_strtree_boxes_per_s": round(boxes),
        f"{name}_by_polygon_per_s": round(swept),
        f"{name}_times_strtree_predicate": round(points_per_s / predicate, 1),
        f"{name}_times_best_shapely": round(points_per_s / max(boxes, swept), 1),
    }


def _by_polygon(shapes: Shapes, points: Array) -> int:
    """Sort by longitude once, then ask each prepared polygon about the points within its width."""
    ordered = points[np.argsort(points[:, 0])]
    hits = 0
    for shape, (west, south, east, north) in zip(shapes, shapely.bounds(shapes), strict=True):
        low, high = np.searchsorted(ordered[:, 0], (west, east))
        here = ordered[low : high + 1]
        here = here[(here[:, 1] >= south) & (here[:, 1] <= north)]
        shapely.prepare(shape)
        hits += int(shapely.intersects_xy(shape, *here.T).sum())
    return hits


def wrong(grid: Grid, shapes: Shapes, count: int, progress: Progress) -> int:
    """Return how many of `count` points, the hardest among them, the grid and GEOS answer differently."""
    random = np.random.default_rng(17)
    ends = grid.cells.ends
    covering = Covering(lambda: shapes)
    differing, done = 0, 0
    while done < count:
        points = _hard_points(ends, min(_CHUNK, count - done), random)
        ours, theirs = grid.covering(*points.T), covering.pairs(*points.T)
        if not all(np.array_equal(one, other) for one, other in zip(ours, theirs, strict=True)):
            first, second = (point * len(shapes) + polygon for point, polygon in (ours, theirs))
            differing += len(np.unique(np.setxor1d(first, second) // len(shapes)))
        done += len(points)
        progress(f"{done:,} points compared with GEOS, {differing} differ")
    return differing


def _hard_points(ends: Array, count: int, random: np.random.Generator) -> Array:
    """Return vertices, places on edges, their nearest neighbours in floating point, points near borders and others."""
    kinds = np.array_split(random.integers(0, len(ends), count), 5)
    vertices, on_edges, neighbours, near, rest = (ends[each] for each in kinds)
    share = random.random((len(on_edges), 1))
    west, south = ends[:, :2].min(axis=0)
    east, north = ends[:, 2:].max(axis=0)
    found = [
        vertices[:, :2],
        on_edges[:, :2] + share * (on_edges[:, 2:] - on_edges[:, :2]),
        np.nextafter(neighbours[:, 2:], random.choice([-400.0, 400.0], (len(neighbours), 2))),
        near[:, :2] + random.normal(0, 0.001, (len(near), 2)),
        random.uniform((west, south), (east, north), (len(rest), 2)),
    ]
    return np.concatenate(found).clip((-180.0, -90.0), (180.0, 90.0))
