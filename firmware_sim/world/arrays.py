"""Short names of array types, and drawing from many weighted lists at once."""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]
Bools: TypeAlias = npt.NDArray[np.bool_]
Random: TypeAlias = np.random.Generator


class Table:
    """Rows of weights; draws a column from many rows at once, in O(log) each."""

    def __init__(self, weights: Floats) -> None:
        rows, self._columns = weights.shape
        sums = weights.cumsum(axis=1)
        self._flat = (sums / sums[:, -1:] + np.arange(rows)[:, None]).ravel()

    def draw(self, rows: Ints, random: Random) -> Ints:
        """Return a column for each of `rows`."""
        found = np.searchsorted(self._flat, rows + random.random(rows.size) * (1 - 1e-12), side="right")
        return np.asarray(np.clip(found - rows * self._columns, 0, self._columns - 1))


def pick(weights: Floats, size: int, random: Random) -> Ints:
    """Return `size` indices, each as likely as its weight."""
    sums = weights.cumsum()
    return np.minimum(np.searchsorted(sums / sums[-1], random.random(size), side="right"), weights.size - 1)


def distance_km(lat: Floats, lon: Floats, lats: Floats, lons: Floats) -> Floats:
    """Return great-circle distances in kilometres between broadcast degrees (haversine)."""
    phi, phis = np.radians(lat), np.radians(lats)
    half = np.sin((phis - phi) / 2) ** 2
    half = half + np.cos(phi) * np.cos(phis) * np.sin(np.radians(lons - lon) / 2) ** 2
    return np.asarray(12_742.0 * np.arcsin(np.sqrt(half)))


def moved(lat: Floats, lon: Floats, km: Floats, random: Random) -> tuple[Floats, Floats]:
    """Return places `km` away in random directions, degrees."""
    angle = random.uniform(0, 2 * np.pi, lat.size)
    north = km * np.sin(angle) / 111.2
    return lat + north, lon + km * np.cos(angle) / (111.2 * np.cos(np.radians(lat)))
