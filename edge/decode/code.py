"""One code as it was read: the text, how it was printed, and where."""

from collections.abc import Sequence
from typing import Final

import cv2
import msgspec
import numpy as np

Point = tuple[int, int]
_LINEAR: Final = frozenset({"Code128", "EAN13", "EAN8", "UPCA", "UPCE", "ITF"})


class Code(msgspec.Struct, frozen=True):
    """A decoded symbol.

    `text` is what the symbol holds, unchanged: GS1 element strings keep their separators (0x1D), and bytes that name
    no known character set come as Latin-1, one character a byte. `aim` is the AIM identifier, `]Q3` for a GS1 QR
    code, and empty where the reader does not tell. `corners` are four [x, y] in pixels of the picture as it was
    given, clockwise from the symbol's own top left; a scanner that only sends text leaves them empty. `stage` names
    the step of the cascade, or the source, that read it.
    """

    text: str
    symbology: str
    aim: str
    corners: tuple[Point, ...]
    stage: str

    @property
    def is_linear(self) -> bool:
        """Whether this is a bar code, whose check digit alone does not make a read certain."""
        return self.symbology in _LINEAR


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
