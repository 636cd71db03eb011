"""What a fixed camera shows of a shelf: packages of several products, gaps, light that changes, people who pass."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]

_WIDTH, _HEIGHT, _GAP, _BOARD = 64, 120, 12, 14
_NOISE: Final = 4.0
_FEWEST_MARKS, _MOST_MARKS = 4, 9


@dataclass(frozen=True, slots=True)
class Moment:
    """How a picture was taken: light as a factor, the camera's knock in pixels, who stands before which columns."""

    light: float = 1.0
    knock: tuple[int, int] = (0, 0)
    person: tuple[float, float] | None = None
    """From and to, as parts of the picture's width."""
    slope: float = 0.25
    """By how much light changes from the left to the right edge."""


class Scene:
    """A shelf of rows; each row is a list of products, one facing each, from left to right."""

    def __init__(self, rows: Sequence[Sequence[str]], random: np.random.Generator) -> None:
        self._rows = [list(row) for row in rows]
        self._products = [gtin for row in rows for gtin in row]
        self._random = random
        most = max(len(row) for row in rows)
        self.size = (len(rows) * (_HEIGHT + _BOARD + _GAP) + _GAP, most * (_WIDTH + _GAP) + _GAP)
        self._wall = self._background()
        self._faces = {gtin: _face(gtin) for row in rows for gtin in row}

    def slots(self) -> list[dict[str, object]]:
        """Return the planogram of the picture, as the camera's agent reads it."""
        return [
            {"gtin": gtin, "x": x, "y": y, "width": _WIDTH, "height": _HEIGHT}
            for gtin, (y, x) in zip(self._products, self._places(), strict=True)
        ]

    def picture(
        self, filled: Sequence[bool], moment: Moment | None = None, swapped: Mapping[int, str] | None = None
    ) -> Picture:
        """Return a grey picture; `filled` says of each facing whether goods stand there, `swapped` which wrong ones."""
        moment = moment or Moment()
        shown = self._wall.copy()
        for number, ((y, x), there) in enumerate(zip(self._places(), filled, strict=True)):
            gtin = (swapped or {}).get(number, self._products[number])
            if there:
                shown[y : y + _HEIGHT, x : x + _WIDTH] = self._faces[gtin]
        light = moment.light * np.linspace(1 - moment.slope / 2, 1 + moment.slope / 2, self.size[1])
        seen = np.clip(shown * light + self._random.normal(0, _NOISE, self.size), 0, 255).astype(np.uint8)
        if moment.person is not None:
            self._stand_before(seen, moment.person)
        knocked: Picture = np.roll(seen, moment.knock, (0, 1))
        return knocked

    def _places(self) -> list[tuple[int, int]]:
        return [
            (_GAP + row * (_HEIGHT + _BOARD + _GAP), _GAP + column * (_WIDTH + _GAP))
            for row, products in enumerate(self._rows)
            for column in range(len(products))
        ]

    def _background(self) -> NDArray[np.float32]:
        """Draw a back wall with a pegboard, and the boards that goods stand on."""
        down, across = np.mgrid[0 : self.size[0], 0 : self.size[1]]
        wall = 150 + 12 * ((down // 9 + across // 9) % 2) + 10 * np.sin(across / 40)
        for row in range(len(self._rows)):
            board = _GAP + row * (_HEIGHT + _BOARD + _GAP) + _HEIGHT
            wall[board : board + _BOARD] = 90
        drawn: NDArray[np.float32] = wall.astype(np.float32)
        return drawn

    def _stand_before(self, seen: Picture, span: tuple[float, float]) -> None:
        """Draw somebody in a patterned coat from the floor up."""
        left, right = (round(part * self.size[1]) for part in span)
        coat = cv2.resize(self._random.integers(20, 120, (40, 8)).astype(np.uint8), (right - left, self.size[0]))
        seen[:, left:right] = coat


def _face(gtin: str) -> NDArray[np.float32]:
    """Draw a package with a label of its own: a band, a mark and lines of print; the same product looks the same."""
    random = np.random.default_rng(int(gtin))
    face = np.full((_HEIGHT, _WIDTH), float(random.integers(70, 220)), dtype=np.float32)
    top = int(random.integers(8, 40))
    face[top : top + 30, 4 : _WIDTH - 4] = float(random.integers(0, 255))
    for _ in range(int(random.integers(_FEWEST_MARKS, _MOST_MARKS))):
        centre = (int(random.integers(8, _WIDTH - 8)), int(random.integers(8, _HEIGHT - 8)))
        cv2.circle(face, centre, int(random.integers(3, 12)), float(random.integers(0, 255)), -1)
    for line in range(top + 34, _HEIGHT - 8, int(random.integers(6, 11))):
        face[line : line + 2, 6 : int(random.integers(24, _WIDTH - 6))] = float(random.integers(0, 255))
    face[:, :2] = face[:, -2:] = 20.0
    return face
