"""The installed map: what opening it takes, and outlines for the web beside the same borders written in full."""

import gzip
import os
import time
from pathlib import Path
from typing import Final

import shapely

from benchmarks.frame import Figure, Outcome, Progress, Target
from geofence.maps import AtomMap, Level, load_installed_map
from geofence.maps.outline import SUITABLE_TOLERANCE, Extent, outline

_TARGETS: Final = {"outline.provinces_kb": Target("<=", 300), "outline.largest_cities_kb": Target("<=", 150)}


def run(progress: Progress) -> Outcome:
    """Open the map step by step, then draw provinces and the cities of whichever province takes most."""
    progress("opening the map")
    figures: dict[str, Figure] = {}
    began, held = time.process_time(), _resident_mb()
    atoms = load_installed_map()
    figures["open_cpu_s"] = round(time.process_time() - began, 3)
    began = time.process_time()
    shapes = atoms.layer(Level.COUNTY).geometries
    figures |= {"shapes_cpu_s": round(time.process_time() - began, 3), "shapes_mb": round(_resident_mb() - held, 1)}
    began = time.process_time()
    edges = atoms.lines()
    kept = edges.ends.nbytes + edges.left.nbytes + edges.right.nbytes
    figures |= {"edges_cpu_s": round(time.process_time() - began, 3), "edges_mb": round(kept / 1e6, 1)}
    figures |= {"counties": len(shapes), "edges": len(edges.ends)}
    return Outcome(figures | _outlines(atoms, progress), _TARGETS)


def _outlines(atoms: AtomMap, progress: Progress) -> dict[str, Figure]:
    progress("outlines")
    provinces = outline(atoms, Level.PROVINCE, Extent(), SUITABLE_TOLERANCE[Level.PROVINCE])
    cities = max(
        (outline(atoms, Level.CITY, Extent((each.adcode,)), SUITABLE_TOLERANCE[Level.CITY])
         for each in atoms.records(Level.PROVINCE)),
        key=len,
    )  # fmt: skip
    full = "".join(shapely.to_geojson(atoms.layer(Level.PROVINCE).geometries).tolist()).encode()
    return {
        "outline.provinces_kb": round(len(provinces) / 1000, 1),
        "outline.provinces_gzip_kb": round(len(gzip.compress(provinces)) / 1000, 1),
        "outline.largest_cities_kb": round(len(cities) / 1000, 1),
        "full.provinces_kb": round(len(full) / 1000, 1),
        "full_to_outline": round(len(full) / len(provinces), 1),
    }


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
