"""Points in territories: the adaptive grid beside GEOS's trees, on one core."""

import time
from collections.abc import Callable
from typing import Final

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import affinity

from benchmarks.frame import Outcome, Progress, Target
from geofence.fences import Fence
from geofence.grid import Grid, build_grid
from geofence.grid.sets import Covering
from geofence.grid.single import PointLookup
from geofence.maps import Level, load_installed_map

POINTS: Final = 1_000_000
TERRITORIES: Final = 3_000
_SLOW_POINTS: Final = 20_000
_SINGLES: Final = 100_000
_TOWN_SIGMA: Final = 0.1
_BORDER_SIGMA: Final = 0.001

Array = NDArray[np.float64]
Shapes = NDArray[np.object_]


def run(progress: Progress) -> Outcome:
    """Measure points a second near towns and near borders, single points, and how far the answers equal GEOS's."""
    random = np.random.default_rng(11)
    districts: Shapes = load_installed_map().layer(Level.COUNTY).geometries
    towns = shapely.get_coordinates(shapely.centroid(districts))
    points = towns[random.integers(0, len(towns), POINTS)] + random.normal(0, _TOWN_SIGMA, (POINTS, 2))
    progress(f"drawing {TERRITORIES:,} overlapping territories")
    fabric = _territories(districts, towns, random)
    drawn = _shifted(fabric, random)
    figures: dict[str, float | int | str] = {
        "points": POINTS,
        "vertices": int(shapely.get_num_coordinates(drawn).sum()),
    }
    for name, shapes in (("districts", districts), ("fabric", fabric), ("drawn", drawn)):
        figures |= _measured(name, shapes, points, progress)
    figures |= _borders(drawn, random, progress)
    figures |= _discs(random, towns)
    return Outcome(figures, _TARGETS)


_TARGETS: Final = {
    "districts_points_per_s": Target(">=", 5_000_000),
    "fabric_points_per_s": Target(">=", 2_000_000),
    "drawn_points_per_s": Target(">=", 2_000_000),
    "drawn_bound_dealer_per_s": Target(">=", 2_000_000),
    "fabric_bound_dealer_per_s": Target(">=", 5_000_000),
    "drawn_times_strtree_predicate": Target(">=", 300),
    "drawn_times_best_shapely": Target(">=", 8),
    "drawn_decided_by_geos_percent": Target("<=", 1.0),
    "drawn_index_mb": Target("<=", 110),
    "drawn_single_p50_us": Target("<=", 3),
    "drawn_single_p99_us": Target("<=", 100),
    "border_points_per_s": Target(">=", 400_000),
    "disc_us": Target("<=", 50),
    "districts_wrong": Target("==", 0),
    "fabric_wrong": Target("==", 0),
    "drawn_wrong": Target("==", 0),
}


def _territories(districts: Shapes, towns: Array, random: np.random.Generator) -> Shapes:
    """Each is a district with up to eight of its neighbours, so that a point lies in about five of them."""
    found = []
    for number in range(TERRITORIES):
        home = towns[number % len(towns)]
        nearest = np.argsort(np.hypot(*(towns - home).T))[: int(random.integers(1, 10))]
        found.append(shapely.union_all(districts[nearest]))
    return np.array(found, dtype=object)


def _shifted(shapes: Shapes, random: np.random.Generator) -> Shapes:
    """As if each had been drawn by hand: no two share an edge any more."""
    offsets = random.normal(0, 0.01, (len(shapes), 2)).tolist()
    moved = [affinity.translate(shape, *by) for shape, by in zip(shapes, offsets, strict=True)]
    return np.array(shapely.make_valid(np.array(moved, dtype=object)), dtype=object)


def _measured(name: str, shapes: Shapes, points: Array, progress: Progress) -> dict[str, float]:
    progress(f"{name}: building the index")
    began = time.perf_counter()
    grid = build_grid(shapes)
    built = time.perf_counter() - began
    known = grid.sets.decided_by_geos
    ids, rate = _rate(lambda: grid.locate(*points.T), len(points))
    asked = (grid.sets.decided_by_geos - known) / 3
    found = {
        f"{name}_build_s": round(built, 1),
        f"{name}_index_mb": round(_bytes(grid) / 1e6, 1),
        f"{name}_points_per_s": round(rate),
        f"{name}_decided_by_geos_percent": round(100 * asked / len(points), 4),
    }
    found |= _bound(name, grid, points)
    found |= _singles(name, grid, points)
    progress(f"{name}: the alternatives")
    return found | _alternatives(name, shapes, points, rate) | {f"{name}_wrong": _wrong(grid, shapes, points, ids)}


def _rate(measured: Callable[[], NDArray[np.int32]], points: int) -> tuple[NDArray[np.int32], float]:
    best, found = float("inf"), measured()
    for _ in range(2):
        began = time.process_time()
        found = measured()
        best = min(best, time.process_time() - began)
    return found, points / best


def _bound(name: str, grid: Grid, points: Array) -> dict[str, float]:
    """Ask whether the territory of the one dealer that each scan is bound to covers it."""
    count = len(grid.sets.covering.geometries)
    width = (count + 7) // 8
    bits = np.zeros((len(grid.sets), width), dtype=np.uint8)
    owner = np.repeat(np.arange(len(grid.sets.keys)), np.diff(grid.sets.starts))
    np.bitwise_or.at(bits, (owner, grid.sets.members >> 3), (1 << (grid.sets.members & 7)).astype(np.uint8))
    dealer = np.random.default_rng(3).integers(0, count, len(points))
    flat = bits.reshape(-1)

    def measured() -> NDArray[np.int32]:
        ids = grid.locate(*points.T).astype(np.int64)
        found: NDArray[np.int32] = (flat.take(ids * width + (dealer >> 3)) >> (dealer & 7)) & 1
        return found

    return {f"{name}_bound_dealer_per_s": round(_rate(measured, len(points))[1])}


def _singles(name: str, grid: Grid, points: Array) -> dict[str, float]:
    lookup = PointLookup(grid)
    took = []
    for lon, lat in points[:_SINGLES].tolist():
        began = time.perf_counter_ns()
        lookup.locate(lon, lat)
        took.append(time.perf_counter_ns() - began)
    p50, p99 = np.percentile(took, [50, 99]) / 1000
    return {f"{name}_single_p50_us": round(float(p50), 2), f"{name}_single_p99_us": round(float(p99), 1)}


def _alternatives(name: str, shapes: Shapes, points: Array, rate: float) -> dict[str, float]:
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
    best = max(boxes, swept)
    return {
        f"{name}_strtree_predicate_per_s": round(predicate),
        f"{name}_strtree_boxes_per_s": round(boxes),
        f"{name}_by_polygon_per_s": round(swept),
        f"{name}_times_strtree_predicate": round(rate / predicate, 1),
        f"{name}_times_best_shapely": round(rate / best, 1),
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


def _wrong(grid: Grid, shapes: Shapes, points: Array, ids: NDArray[np.int32]) -> int:
    """Count points whose set differs from GEOS's, town points and vertices alike."""
    vertices = shapely.get_coordinates(shapes)
    chosen = np.concatenate([points[:100_000], vertices[:: max(1, len(vertices) // 100_000)]])
    known = np.concatenate([ids[:100_000], grid.locate(*chosen[100_000:].T)])
    at, polygons = Covering(lambda: shapes).pairs(*chosen.T)
    bounds = np.searchsorted(at, np.arange(len(chosen) + 1))
    return sum(
        not np.array_equal(polygons[bounds[each] : bounds[each + 1]], grid.sets.of(int(known[each])))
        for each in range(len(chosen))
    )


def _borders(shapes: Shapes, random: np.random.Generator, progress: Progress) -> dict[str, float]:
    progress("points a hundred metres from borders")
    vertices = shapely.get_coordinates(shapes)
    near = vertices[random.integers(0, len(vertices), POINTS // 4)] + random.normal(0, _BORDER_SIGMA, (POINTS // 4, 2))
    grid = build_grid(shapes)
    return {"border_points_per_s": round(_rate(lambda: grid.locate(*near.T), len(near))[1])}


def _discs(random: np.random.Generator, towns: Array) -> dict[str, float]:
    """Time the probability of positions whose error disc reaches the border."""
    home = towns[0]
    disc = shapely.buffer(shapely.points(home), 0.05, quad_segs=64)
    points = shapely.get_coordinates(disc)
    fence = Fence(disc, np.concatenate([points[:-1], points[1:]], axis=1))
    places = points[random.integers(0, len(points), 2_000)] + random.normal(0, 0.001, (2_000, 2))
    began = time.process_time()
    for lon, lat in places.tolist():
        fence.judge(lon, lat, 100.0)
    return {"disc_us": round(1e6 * (time.process_time() - began) / len(places), 1)}


def _bytes(grid: Grid) -> int:
    cells = grid.cells
    arrays = (cells.coarse, cells.fine, cells.starts, cells.pairs, cells.flags, cells.lines, cells.keys, cells.ends)
    sets = (grid.sets.keys, grid.sets.starts, grid.sets.members)
    return sum(each.nbytes for each in (*arrays, cells.toggles, *sets))
