"""Roads between real places: lines that bend as roads do, in WGS-84."""

from typing import Final, NamedTuple

import numpy as np

from geofence.coordinates import FloatArray
from geofence.trips.plane import offset_m, scales

# Cities of the Sichuan basin and around it; distances between neighbours are those of a day's tour.
PLACES: Final = {
    "chengdu": (104.066, 30.573),
    "deyang": (104.398, 31.127),
    "mianyang": (104.679, 31.467),
    "meishan": (103.848, 30.077),
    "leshan": (103.766, 29.552),
    "ziyang": (104.627, 30.129),
    "neijiang": (105.058, 29.580),
    "zigong": (104.778, 29.339),
    "suining": (105.593, 30.533),
    "nanchong": (106.110, 30.837),
    "yaan": (103.001, 29.988),
    "guangyuan": (105.843, 32.436),
    "guangan": (106.633, 30.456),
    "chongqing": (106.551, 29.563),
    "luzhou": (105.443, 28.871),
    "yibin": (104.643, 28.752),
}
_VERTEX_M: Final = 400.0


class Road(NamedTuple):
    """A line of degrees, shape (n, 2), with the metres from its beginning to each point."""

    points: FloatArray
    metres: FloatArray

    @property
    def length_m(self) -> float:
        """How long it is."""
        return float(self.metres[-1])

    def at(self, metres: "FloatArray | float") -> FloatArray:
        """Return the positions at given metres, shape (m, 2)."""
        wanted = np.atleast_1d(metres)
        lon = np.interp(wanted, self.metres, self.points[:, 0])
        return np.column_stack([lon, np.interp(wanted, self.metres, self.points[:, 1])])

    def part(self, start: float, end: float) -> "Road":
        """Return the stretch between two distances, backwards where `end` comes first."""
        low, high = sorted((start, end))
        inner = self.points[(self.metres > low) & (self.metres < high)]
        points = np.concatenate([self.at(low), inner, self.at(high)])
        return measured(points if start <= end else points[::-1])


def measured(points: FloatArray) -> Road:
    """Return a road along given points."""
    steps = [np.hypot(*offset_m(tuple(a), *b)) for a, b in zip(points[:-1].tolist(), points[1:].tolist(), strict=True)]
    return Road(points, np.concatenate([[0.0], np.cumsum(np.maximum(steps, 1e-6))]))


def joined(*roads: Road) -> Road:
    """Return roads driven one after the other."""
    return measured(np.concatenate([roads[0].points, *(road.points[1:] for road in roads[1:])]))


def road(rng: np.random.Generator, start: tuple[float, float], end: tuple[float, float]) -> Road:
    """Return a road that bends between two places: waves of several lengths, the longest the widest."""
    x, y = offset_m(start, *end)
    distance = float(np.hypot(x, y))
    count = max(8, int(distance / _VERTEX_M))
    t = np.linspace(0.0, 1.0, count)
    side = np.zeros(count)
    for waves, share in ((1, 0.06), (3, 0.02), (7, 0.01), (17, 0.004)):
        side += distance * share * rng.normal() * np.sin(np.pi * waves * t) * np.sin(np.pi * t)
    return measured(
        _shifted(np.column_stack([start[0] + t * (end[0] - start[0]), start[1] + t * (end[1] - start[1])]), side)
    )


def bulged(base: Road, metres: float) -> Road:
    """Return the same journey by another road that lies up to `metres` to the left, and as many kilometres longer."""
    dense = base.at(np.linspace(0.0, base.length_m, max(12, int(base.length_m / 150.0))))
    t = np.linspace(0.0, 1.0, len(dense))
    # Away at once and back at once: a detour is not a gentle arc.
    return measured(_shifted(dense, metres * np.clip(np.minimum(t, 1.0 - t) * 5.0, 0.0, 1.0)))


def beside(base: Road, at: float, metres: float) -> tuple[float, float]:
    """Return the place so many metres to the left of a road."""
    points = base.at(np.array([max(0.0, at - 100.0), at, at + 100.0]))
    lon, lat = _shifted(points, np.array([0.0, metres, 0.0]))[1].tolist()
    return lon, lat


def _shifted(points: FloatArray, side: FloatArray) -> FloatArray:
    east, north = scales(float(points[:, 1].mean()))
    flat = points * [east, north]
    along = np.gradient(flat, axis=0)
    length = np.maximum(np.hypot(along[:, 0], along[:, 1]), 1e-9)
    flat = flat + np.column_stack([-along[:, 1], along[:, 0]]) / length[:, None] * side[:, None]
    moved: FloatArray = flat / [east, north]
    return moved
