"""The route as one line with metres along it, and which places of it a point may belong to.

Each segment has its own scales, so that a leg of 300 km is as exact as one of 3. A grid of cells names the segments
near a point; far from the route, one vectorised look at all segments tells how far.
"""

from collections import defaultdict
from itertools import pairwise
from math import cos, floor, hypot, radians, sqrt
from typing import Final, NamedTuple

import numpy as np

from geofence.geometry.metric import nearest_segment_m
from geofence.trips.plan import Leg
from geofence.trips.plane import LonLat, offset_m, pieces, scales, thinned

CELL_DEGREES: Final = 0.01
_MERGED_M: Final = 300.0
_MOST: Final = 6


class Match(NamedTuple):
    """A place along the route: metres from its beginning, metres away from it, and how wide the corridor is there.

    `end` is 0 within a segment, -1 at its beginning and 1 at its end.
    """

    s: float
    away: float
    width: float
    leg: int
    end: int


class _Segment(NamedTuple):
    lon: float
    lat: float
    east: float
    north: float
    dx: float
    dy: float
    length_2: float
    s: float
    length: float
    width: float
    leg: int


class RouteLine:
    """Legs in a row; `starts` are the metres at which each leg begins, and the length of all."""

    def __init__(self, legs: tuple[Leg, ...], margin_m: float) -> None:
        self._segments: list[_Segment] = []
        self.starts = [0.0]
        for number, leg in enumerate(legs):
            self.starts.append(self._add(number, leg))
        self.reach_m = max(leg.width_m for leg in legs) + margin_m
        self._cells: dict[tuple[int, int], list[int]] = defaultdict(list)
        for number, segment in enumerate(self._segments):
            for cell in _cells(segment, self.reach_m):
                self._cells[cell].append(number)
        self._ends = np.array([[each.lon, each.lat, *_end(each)] for each in self._segments])

    def _add(self, number: int, leg: Leg) -> float:
        line = pieces(thinned(leg.line, leg.width_m))
        s = self.starts[-1]
        for start, end in pairwise(line):
            east, north = scales((start[1] + end[1]) / 2.0)
            dx, dy = offset_m(start, *end)
            length = hypot(dx, dy)
            if length > 0:
                one = _Segment(*start, east, north, dx, dy, length * length, s, length, leg.width_m, number)
                self._segments.append(one)
                s += length
        return s

    def matches(self, lon: float, lat: float) -> list[Match]:
        """Return the places within reach, nearest first: several where the route passes more than once."""
        numbers = self._cells.get((floor(lon / CELL_DEGREES), floor(lat / CELL_DEGREES)))
        if not numbers:
            return []
        found = {number: self._project(number, lon, lat) for number in numbers}
        near = [number for number, match in found.items() if match.away <= self.reach_m]
        if len(near) == 1:
            return [found[near[0]]]
        dips = [found[number] for number in near if not found[number].end or self._dips(number, found)]
        return dips if len(dips) < 2 else _merged(sorted(dips, key=lambda each: each.away))  # noqa: PLR2004  one needs none

    def _dips(self, number: int, found: dict[int, Match]) -> bool:
        """Whether an end of a segment is nearer than the segment that goes on from there."""
        match = found[number]
        neighbour = found.get(number + match.end)
        return neighbour is None or neighbour.away >= match.away

    def far_m(self, lon: float, lat: float) -> float:
        """Return the metres to the nearest point of the route, however far."""
        return nearest_segment_m((lon, lat), self._ends)

    def _project(self, number: int, lon: float, lat: float) -> Match:
        one = self._segments[number]
        x, y = ((lon - one.lon + 180.0) % 360.0 - 180.0) * one.east, (lat - one.lat) * one.north
        along = (x * one.dx + y * one.dy) / one.length_2
        end = -1 if along <= 0.0 else 1 if along >= 1.0 else 0
        if end:
            along = max(0.0, float(end))
        x -= along * one.dx
        y -= along * one.dy
        return Match(one.s + along * one.length, sqrt(x * x + y * y), one.width, one.leg, end)


def _merged(near: list[Match]) -> list[Match]:
    kept: list[Match] = []
    for match in near:
        if all(abs(match.s - each.s) > _MERGED_M for each in kept):
            kept.append(match)
            if len(kept) == _MOST:
                break
    return kept


def _end(segment: _Segment) -> LonLat:
    return segment.lon + segment.dx / segment.east, segment.lat + segment.dy / segment.north


def _cells(segment: _Segment, reach_m: float) -> list[tuple[int, int]]:
    lon, lat = _end(segment)
    wide = reach_m / (111_000.0 * max(0.01, cos(radians(max(abs(lat), abs(segment.lat)) + 0.1))))
    high = reach_m / 110_000.0
    columns = range(floor((min(lon, segment.lon) - wide) / CELL_DEGREES),
                    floor((max(lon, segment.lon) + wide) / CELL_DEGREES) + 1)  # fmt: skip
    rows = range(floor((min(lat, segment.lat) - high) / CELL_DEGREES),
                 floor((max(lat, segment.lat) + high) / CELL_DEGREES) + 1)  # fmt: skip
    return [(column, row) for column in columns for row in rows]
