"""Signed fences on a device: size, start, memory and one check, beside the same polygon as GeoJSON asked in degrees."""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import numpy as np
import shapely
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from shapely.geometry import mapping, shape
from shapely.geometry.base import BaseGeometry

from benchmarks.frame import Figure, Outcome, Progress, Target
from contracts import fence as wire
from edge.fence import HeldFence
from firmware_sim.trackers import simulate
from geofence.maps import Level, load_installed_map
from geofence.trips import Fix
from trace_service.trips.fences import Content, Stamp, of_area, of_trip, signed

_CHECKS: Final = 2_000
_SPREAD_M: Final = 30_000.0
_TARGETS: Final = {
    "territory.bytes_a_vertex": Target("<=", 6.0),
    "route.kilobytes": Target("<=", 32.0),
    "route.resident_mb": Target("<=", 16.0),
    "route.fix_us": Target("<=", 500.0),
}
_START: Final = """
import gc, resource, sys, time
from pathlib import Path
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from contracts import fence as wire
from edge.fence import HeldFence
folder = Path(sys.argv[1])
data = (folder / "fence.bin").read_bytes()
key = Ed25519PublicKey.from_public_bytes((folder / "key").read_bytes())
def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
gc.collect()
before, began = resident(), time.process_time()
held = HeldFence(*wire.verify(data, key))
held.judge(104.0, 30.0, 10.0)
if held.head.stops:
    judge = held.follow()
took = time.process_time() - began
gc.collect()
print(took * 1e3, max(0, resident() - before) / 1e6)
"""


def run(progress: Progress) -> Outcome:
    """Build, load and ask the fence of a depot, of a dealer's territory, and of a day's tour."""
    key = Ed25519PrivateKey.generate()
    trip = simulate(110_001)
    figures: dict[str, Figure] = {}
    territory = _territory()
    contents = {
        "depot": (of_area("depot", shapely.Point(104.06, 30.57).buffer(0.002), "depot"), None),
        "territory": (of_area("territory", territory, "territory"), territory),
        "route": (of_trip(trip.plan), None),
    }
    for name, (content, area) in contents.items():
        progress(name)
        figures |= {f"{name}.{what}": value for what, value in _measured(content, key).items()}
        if area is not None:
            figures |= {f"{name}.{what}": value for what, value in _alternative(area).items()}
    figures |= _followed(contents["route"][0], key)
    figures["territory.geojson_bytes_to_fence_bytes"] = float(figures["territory.geojson_kilobytes"]) / float(
        figures["territory.kilobytes"]
    )
    figures["rounding_m"] = wire.ROUNDING_M
    return Outcome(figures, _TARGETS)


def _territory() -> BaseGeometry:
    """Return the counties within 250 km of Chengdu as a general dealer might hold them: real borders."""
    atoms = load_installed_map()
    layer = atoms.layer(Level.COUNTY)
    near = shapely.distance(shapely.centroid(layer.geometries), shapely.Point(104.07, 30.57)) < 2.5  # noqa: PLR2004
    joined: BaseGeometry = shapely.union_all(np.asarray(layer.geometries)[near])
    return joined


def _sealed(content: Content, key: Ed25519PrivateKey) -> bytes:
    now = datetime.now(UTC)
    return signed(content, Stamp("device:truck-110001", 1, now, now + timedelta(days=1)), key)


def _measured(content: Content, key: Ed25519PrivateKey) -> dict[str, Figure]:
    data = _sealed(content, key)
    with tempfile.TemporaryDirectory(prefix="codefence-bench-") as name:
        folder = Path(name)
        (folder / "fence.bin").write_bytes(data)
        (folder / "key").write_bytes(key.public_key().public_bytes_raw())
        answer = subprocess.run(
            [sys.executable, "-c", _START, name], capture_output=True, text=True, check=True, timeout=120
        )
    start, resident = map(float, answer.stdout.split())
    held = HeldFence(*wire.verify(data, key.public_key()))
    asked = _spread(held.area)
    return {
        "vertices": len(content.points),
        "kilobytes": len(data) / 1000.0,
        "bytes_a_vertex": len(data) / len(content.points),
        "start_cpu_ms": start,
        "resident_mb": resident,
        "check_p50_us": _typical(lambda lon, lat: held.judge(lon, lat, 8.0), asked),
    }


def _alternative(area: BaseGeometry) -> dict[str, Figure]:
    """Ask the same area, from text, whether it covers a point and how many degrees away its border is."""
    text = json.dumps({"type": "Feature", "properties": {}, "geometry": mapping(area)})
    parsed = shape(json.loads(text)["geometry"])
    border = parsed.boundary

    def ask(lon: float, lat: float) -> tuple[bool, float]:
        point = shapely.Point(lon, lat)
        return bool(parsed.covers(point)), float(border.distance(point))

    return {"geojson_kilobytes": len(text) / 1000.0, "geojson_check_p50_us": _typical(ask, _spread(area))}


def _followed(content: Content, key: Ed25519PrivateKey) -> dict[str, Figure]:
    trip = simulate(110_001)
    judge = HeldFence(*wire.verify(_sealed(content, key), key.public_key())).follow()
    reports = sorted((report for _, report in trip.deliveries), key=lambda each: each.at)
    began = time.process_time_ns()
    for report in reports:
        judge.observe([report])
    spent = time.process_time_ns() - began
    fixes = sum(isinstance(each, Fix) for each in reports)
    return {"route.fixes": fixes, "route.fix_us": spent / fixes / 1000.0, "route.violations": len(judge.episodes)}


def _spread(area: BaseGeometry) -> list[tuple[float, float]]:
    rng = np.random.default_rng(5)
    centre = area.centroid
    points = rng.normal((centre.x, centre.y), _SPREAD_M / 111_000.0, (_CHECKS, 2))
    return [(lon, lat) for lon, lat in points.tolist()]


def _typical(ask: Callable[[float, float], object], points: list[tuple[float, float]]) -> float:
    taken = []
    for lon, lat in points:
        began = time.perf_counter_ns()
        ask(lon, lat)
        taken.append((time.perf_counter_ns() - began) / 1000.0)
    return statistics.median(taken)
