"""Scans as columns, and what was found about them: the form in which millions are judged at once."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from geofence.coordinates import BoolArray, FloatArray
from geofence.finding import Verdict
from geofence.territory import Seller

Indexes: TypeAlias = NDArray[np.intp]
Times: TypeAlias = NDArray[np.int64]
Codes: TypeAlias = NDArray[np.uint8]
# What the codes of a column of verdicts mean.
VERDICTS: Final = (Verdict.INSIDE, Verdict.OUTSIDE, Verdict.UNCERTAIN)
INSIDE, OUTSIDE, UNCERTAIN = range(3)
NONE: Final = -1
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def microseconds(moment: datetime) -> int:
    """Return an aware datetime as microseconds since the epoch."""
    return (moment - _EPOCH) // _MICROSECOND


def moment_of(time: int) -> datetime:
    """Return microseconds since the epoch as a datetime in UTC."""
    return _EPOCH + time * _MICROSECOND


@dataclass(frozen=True, slots=True, eq=False)
class Scans:
    """Positions of goods; every array has shape (n,).

    `seller` numbers `sellers` (dealer, channel, product line); times are microseconds since the epoch; positions are
    WGS-84 degrees, checked to be finite and in range. `sigma_m` is the standard deviation per axis with the map's own
    error, 0 for an exact place. Where `even_m` is above 0 the position is anywhere within that radius, evenly.
    """

    sellers: tuple[Seller, ...]
    seller: Indexes
    valid_at: Times
    known_at: Times
    lon: FloatArray
    lat: FloatArray
    sigma_m: FloatArray
    even_m: FloatArray

    def __len__(self) -> int:
        """Return the number of scans."""
        return len(self.seller)

    def taken(self, rows: Indexes | slice) -> "Scans":
        """Return some of the scans."""
        who_and_when = self.seller[rows], self.valid_at[rows], self.known_at[rows]
        return Scans(self.sellers, *who_and_when, self.lon[rows], self.lat[rows], self.sigma_m[rows], self.even_m[rows])


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """What was found about scans; every array has shape (n,).

    `verdict` numbers `VERDICTS`; `p_inside` and `distance_m` (negative inside) are NaN without a territory in force;
    `version` numbers the book's versions and `county` the map's counties, both `NONE` where there is none.
    """

    verdict: Codes
    p_inside: FloatArray
    distance_m: FloatArray
    version: Indexes
    county: Indexes


class Pairs(NamedTuple):
    """(scan, thing) numbers, ordered by scan and then thing."""

    scans: Indexes
    things: Indexes

    def matching(self, wanted: BoolArray) -> "Pairs":
        """Return some of the pairs."""
        return Pairs(self.scans[wanted], self.things[wanted])

    def part(self, part: slice) -> "Pairs":
        """Return the pairs of scans that follow one another, numbered from the first of these."""
        low, high = np.searchsorted(self.scans, (part.start, part.stop))
        return Pairs(self.scans[low:high] - part.start, self.things[low:high])
