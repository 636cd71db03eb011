"""What covers points: counties, and versions with a drawn polygon."""

from dataclasses import dataclass
from itertools import pairwise

from geofence.coordinates import FloatArray
from geofence.territory import TerritoryBook
from geofence.verdicts.columns import Indexes, Pairs


@dataclass(frozen=True, slots=True)
class Covering:
    """The counties, and the versions with a drawn polygon, that cover points."""

    counties: Pairs
    drawn: Pairs

    @classmethod
    def of(cls, book: TerritoryBook, lon: FloatArray, lat: FloatArray) -> "Covering":
        """Return what covers WGS-84 points, borders included."""
        return cls(Pairs(*book.atoms.covering(lon, lat)), Pairs(*book.drawings.pairs(lon, lat)))

    def part(self, part: slice) -> "Covering":
        """Return the same for some points that follow one another."""
        return Covering(self.counties.part(part), self.drawn.part(part))


def parts(starts: Indexes, count: int) -> list[slice]:
    """Return the slices of groups that lie one after the other, from where each starts."""
    bounds = [*starts.tolist(), count]
    return [slice(*bound) for bound in pairwise(bounds)] if len(starts) else []
