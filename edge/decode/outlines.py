"""Where codes lie in a picture, from their four corners."""

from collections.abc import Sequence

import cv2
import numpy as np

from edge.code import Point


def same_place(one: Sequence[Point], other: Sequence[Point]) -> bool:
    """Whether two outlines belong to one printed symbol: their centres lie within half its longest side."""
    first, second = np.asarray(one, dtype=np.float64), np.asarray(other, dtype=np.float64)
    reach = max(_longest_side(first), _longest_side(second)) / 2
    return float(np.linalg.norm(first.mean(axis=0) - second.mean(axis=0))) <= reach


def overlap(one: Sequence[Point], other: Sequence[Point]) -> bool:
    """Whether two convex outlines share any area."""
    area, _ = cv2.intersectConvexConvex(_hull(one), _hull(other))
    return area > 0


def _longest_side(outline: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> float:
    return float(np.linalg.norm(outline - np.roll(outline, 1, axis=0), axis=1).max())


def _hull(outline: Sequence[Point]) -> cv2.typing.MatLike:
    return cv2.convexHull(np.asarray(outline, dtype=np.float32))
