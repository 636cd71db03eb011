"""Labels to photos: a carton under a lamp, slightly askew and blurred, as a camera above a packing table sees it.

The difficulty is mild on purpose: a frame that a station reads only in part loses items for good, because nobody
takes the photo again.
"""

from collections.abc import Sequence
from math import ceil, sqrt
from typing import Final

import cv2
import numpy as np

from firmware_sim.labels import Gray

JPEG_QUALITY: Final = 85
_GAP_PX: Final = 36
_TILT_DEGREES: Final = 7.0
_PERSPECTIVE: Final = 0.025
_BLUR_SIGMA: Final = (0.5, 0.9)
_NOISE_SIGMA: Final = 3.0
_DIMMEST: Final = 0.72
_CARTON_GREY: Final = 150
_CARTON_BGR: Final = (0.62, 0.82, 1.0)
_ASPECT: Final = 4 / 3
Colour = np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]


def photograph(labels: Sequence[Gray], random: np.random.Generator) -> bytes:
    """Return a JPEG that shows every label (rows, columns) once, in reading order."""
    scene = _scene([_tilted(label, random) for label in labels])
    return _encode(_exposed(_askew(scene, random), random))


def _tilted(label: Gray, random: np.random.Generator) -> Gray:
    """Turn a label on the carton by a few degrees; the picture grows so that no corner is cut."""
    height, width = label.shape
    degrees = random.uniform(-_TILT_DEGREES, _TILT_DEGREES)
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
    cosine, sine = abs(turn[0, 0]), abs(turn[0, 1])
    size = (ceil(height * sine + width * cosine), ceil(height * cosine + width * sine))
    turn[:, 2] += (size[0] - width) / 2, (size[1] - height) / 2
    turned = cv2.warpAffine(label, turn, size, flags=cv2.INTER_LINEAR, borderValue=(_CARTON_GREY,))
    return np.asarray(turned, dtype=np.uint8).reshape(size[1], size[0])


def _scene(labels: Sequence[Gray]) -> Gray:
    """Lay the labels out in a grid of about the camera's aspect."""
    cell_height = max(label.shape[0] for label in labels) + _GAP_PX
    cell_width = max(label.shape[1] for label in labels) + _GAP_PX
    columns = min(len(labels), max(1, ceil(sqrt(len(labels) * _ASPECT * cell_height / cell_width))))
    rows = ceil(len(labels) / columns)
    scene = np.full((rows * cell_height + _GAP_PX, columns * cell_width + _GAP_PX), _CARTON_GREY, dtype=np.uint8)
    for index, label in enumerate(labels):
        row, column = divmod(index, columns)
        top = row * cell_height + _GAP_PX + (cell_height - _GAP_PX - label.shape[0]) // 2
        left = column * cell_width + _GAP_PX + (cell_width - _GAP_PX - label.shape[1]) // 2
        scene[top : top + label.shape[0], left : left + label.shape[1]] = label
    return scene


def _askew(scene: Gray, random: np.random.Generator) -> Gray:
    """See the scene from a camera that does not hang straight above it."""
    height, width = scene.shape
    corners = np.array([(0, 0), (width, 0), (width, height), (0, height)], dtype=np.float32)
    inward = np.array([(1, 1), (-1, 1), (-1, -1), (1, -1)]) * random.uniform(0, _PERSPECTIVE, (4, 2))
    seen = (corners + inward * (width, height)).astype(np.float32)
    lens = cv2.getPerspectiveTransform(corners, seen)
    warped = cv2.warpPerspective(scene, lens, (width, height), flags=cv2.INTER_LINEAR, borderValue=(_CARTON_GREY,))
    return np.asarray(warped, dtype=np.uint8).reshape(height, width)


def _exposed(scene: Gray, random: np.random.Generator) -> Gray:
    """Light the scene from one side, and see it through a lens and a sensor."""
    height, width = scene.shape
    angle = random.uniform(0, 2 * np.pi)
    across = np.cos(angle) * np.linspace(-0.5, 0.5, width, dtype=np.float32)
    down = np.sin(angle) * np.linspace(-0.5, 0.5, height, dtype=np.float32)
    light = 1 - (1 - _DIMMEST) * (across[None, :] + down[:, None] + 0.7)
    blurred = cv2.GaussianBlur(scene, (0, 0), random.uniform(*_BLUR_SIGMA))
    grain = _NOISE_SIGMA * random.standard_normal(scene.shape, dtype=np.float32)
    exposed: Gray = np.clip(blurred * light + grain, 0, 255).astype(np.uint8)
    return exposed


def _encode(scene: Gray) -> bytes:
    tinted: Colour = (scene[:, :, None] * np.array(_CARTON_BGR, dtype=np.float32)).astype(np.uint8)
    _, encoded = cv2.imencode(".jpg", tinted, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return encoded.tobytes()
