"""How much of a round error distribution lies on one side of edges, exactly: no sampling.

In polar coordinates around the centre, an area's probability is a sum over its border: each edge, walked with the
interior on its left, contributes the integral of the probability beyond it over the angle under which it is seen. For a
normal this integral is Owen's T function (Owen, Tables for Computing Bivariate Normal Probabilities, 1956; DiDonato and
Hageman, A Method for Computing the Integral of the Bivariate Normal Distribution over a Polygon, 1982), taken here by
Gauss and Legendre's rule; for an even disc it is elementary.
"""

from collections.abc import Callable
from typing import Final, TypeAlias

import numpy as np

from geofence.coordinates import FloatArray

# Sigmas beyond which a normal is not followed: 0.03 % of it lies further out.
REACH: Final = 4.0
# Below this share of its distance an edge is short: four nodes along it suffice.
_SHORT: Final = 0.35
Ends: TypeAlias = tuple[FloatArray, FloatArray, FloatArray, FloatArray]
Rule: TypeAlias = Callable[[Ends], FloatArray]
_NARROW: Final = np.polynomial.legendre.leggauss(4)
_WIDE: Final = np.polynomial.legendre.leggauss(20)


def normal_beyond(ends: Ends) -> FloatArray:
    """Return the share of a round normal of sigma 1 behind each edge, seen from the origin; shape (n,).

    `ends` are x, y, x, y. The share is positive for edges that run counterclockwise around the origin. Off by 0.001 at
    most, which is what lies beyond `REACH`.
    """
    low, high, height, sign = _seen(ends, REACH)
    total = np.zeros(len(low))
    length = high - low
    # The nearest point of the edge decides how fast the integrand changes along it.
    nearest = height**2 + np.where(low * high < 0, 0.0, np.minimum(np.abs(low), np.abs(high))) ** 2
    reached = length > 0
    short = reached & (length**2 <= _SHORT**2 * np.minimum(nearest, 1.0))
    total[short] = _along(low[short], high[short], height[short])
    wide = reached & ~short
    total[wide] = _around(low[wide], high[wide], height[wide])
    return sign * total / (2 * np.pi)


def even_beyond(ends: Ends) -> FloatArray:
    """Return the share of an even disc of radius 1 behind each edge, seen from its centre, likewise."""
    low, high, height, sign = _seen(ends, 1.0)
    reached = high > low
    angle = np.arctan2(high, height) - np.arctan2(low, height)
    return np.where(reached, sign * (angle - height * (high - low)), 0.0) / (2 * np.pi)


def _seen(ends: Ends, reach: float) -> Ends:
    """Return where each edge starts and ends along its line from the origin's foot, the foot's distance, and the turn.

    Only the part within `reach` counts.
    """
    x_0, y_0, x_1, y_1 = ends
    dx, dy = x_1 - x_0, y_1 - y_0
    length = np.sqrt(np.maximum(dx * dx + dy * dy, np.finfo(np.float64).tiny))
    turn = (x_0 * y_1 - x_1 * y_0) / length
    height = np.abs(turn)
    chord = np.sqrt(np.maximum(reach * reach - height * height, 0.0))
    low = np.maximum((x_0 * dx + y_0 * dy) / length, -chord)
    high = np.minimum((x_1 * dx + y_1 * dy) / length, chord)
    return low, high, height, np.sign(turn)


def _along(low: FloatArray, high: FloatArray, height: FloatArray) -> FloatArray:
    """Integrate along the edge: it is short, so the integrand hardly changes."""
    half, middle, height_2 = (high - low) / 2, (high + low) / 2, height * height
    total = np.zeros(len(low))
    for node, weight in zip(*_NARROW, strict=True):
        along = middle + half * node
        distance_2 = height_2 + along * along
        total += weight * np.exp(-0.5 * distance_2) / distance_2
    found: FloatArray = total * half * height
    return found


def _around(low: FloatArray, high: FloatArray, height: FloatArray) -> FloatArray:
    """Integrate over the angle: it stays bounded however near the edge passes."""
    first, last = np.arctan2(low, height), np.arctan2(high, height)
    half, middle = (last - first) / 2, (last + first) / 2
    total = np.zeros(len(low))
    for node, weight in zip(*_WIDE, strict=True):
        total += weight * np.exp(-0.5 * (height / np.cos(middle + half * node)) ** 2)
    found: FloatArray = total * half
    return found
