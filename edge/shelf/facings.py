"""What a fixed camera sees of a shelf: filled and empty facings by gradients, "unknown" where something is in the way.

Each planogram slot has a reference picture when full and one when empty. The magnitude of brightness gradients hardly
changes with light; the better of the two zero-mean normalised correlations within a few pixels decides.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final, NamedTuple

import cv2
import msgspec
import numpy as np
from msgspec import Meta, Struct
from numpy.typing import NDArray

from contracts.errors import ConfigurationError, ImageError
from contracts.messages import Gtin
from edge.decode.images import load_image, read_bytes

Image = NDArray[np.uint8]
Gradient = NDArray[np.float32]

SEARCH_PIXELS: Final = 8
_LEAST_MATCH: Final = 0.30
"""Neither reference explains a slot below this correlation: somebody stands before it, or it is too dark."""
_LEAST_LEAD: Final = 0.06
_SURE_MATCH: Final = 0.6
_STRANGE_LEAD: Final = 0.2
"""By how much another product must explain a slot better than its own."""
_BLUR: Final = 1.2
_LEAST_SIDE: Final = 16
_MOST_PIXELS: Final = 50_000_000


class Facing(StrEnum):
    """What a slot shows."""

    FULL = "full"
    EMPTY = "empty"
    UNKNOWN = "unknown"
    STRANGE = "strange"
    """Another product of the shelf stands there."""


class Slot(Struct, frozen=True, forbid_unknown_fields=True):
    """One facing of the planogram: its product and its place in the picture, pixels."""

    gtin: Gtin
    x: Annotated[int, Meta(ge=0, le=20_000)]
    y: Annotated[int, Meta(ge=0, le=20_000)]
    width: Annotated[int, Meta(ge=_LEAST_SIDE, le=20_000)]
    height: Annotated[int, Meta(ge=_LEAST_SIDE, le=20_000)]


class Seen(NamedTuple):
    """A slot with what it shows, and both correlations, -1 to 1; `other` is the product that stands there instead."""

    slot: Slot
    facing: Facing
    full: float
    empty: float
    other: str = ""


class Share(NamedTuple):
    """A product's facings: those that show it, are empty, cannot be seen, or show another product.

    `share` is that of the width of all facings that show their product.
    """

    gtin: str
    filled: int
    empty: int
    unknown: int
    share: float
    strange: int


class ShelfCamera:
    """Judges pictures of one shelf against its references, which show it quite full and quite empty."""

    def __init__(self, slots: Sequence[Slot], full: Image, empty: Image) -> None:
        if full.shape != empty.shape:
            raise ConfigurationError("the references differ in size", advice="Take both with the same camera.")
        height, width = full.shape[:2]
        outside = [slot for slot in slots if slot.x + slot.width > width or slot.y + slot.height > height]
        if not slots or outside:
            raise ConfigurationError(f"{len(outside)} slots lie outside the picture", advice="Check the planogram.")
        self._shape = full.shape[:2]
        self._slots = list(slots)
        full_gradient, empty_gradient = _gradient(full), _gradient(empty)
        self._full = [_cut(full_gradient, slot) for slot in slots]
        self._empty = [_cut(empty_gradient, slot) for slot in slots]
        faces = {slot.gtin: face for slot, face in zip(slots, self._full, strict=True)}
        self._others = [{gtin: face for gtin, face in faces.items() if gtin != slot.gtin} for slot in slots]

    def look(self, picture: Image) -> list[Seen]:
        """Return what each slot shows; raises `ConfigurationError` for a picture of another size."""
        if picture.shape[:2] != self._shape:
            raise ConfigurationError("the picture has another size", advice="Keep the camera's resolution.")
        gradient = _gradient(picture)
        return [
            _judge(slot, gradient, full, empty, others)
            for slot, full, empty, others in zip(self._slots, self._full, self._empty, self._others, strict=True)
        ]


def shares(seen: Sequence[Seen]) -> list[Share]:
    """Return each product's share of the shelf, by the width of the facings that show it."""
    width = sum(each.slot.width for each in seen if each.facing is Facing.FULL)
    by_product: Mapping[str, list[Seen]] = {
        gtin: [each for each in seen if each.slot.gtin == gtin] for gtin in sorted({each.slot.gtin for each in seen})
    }
    found = []
    for gtin, slots in by_product.items():
        own = sum(each.slot.width for each in slots if each.facing is Facing.FULL)
        filled, empty, unknown, strange = (sum(each.facing is kind for each in slots) for kind in Facing)
        found.append(Share(gtin, filled, empty, unknown, own / width if width else 0.0, strange))
    return found


def load_slots(path: Path) -> list[Slot]:
    """Read a JSON array of slots; raises `ConfigurationError` that names what is wrong with it."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=list[Slot])
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"the slots {path} cannot be used: {error}",
            advice='They look like [{"gtin": "06901234567892", "x": 0, "y": 0, "width": 80, "height": 200}].',
        ) from error


def load_picture(path: Path) -> Image:
    """Read a picture; raises `ConfigurationError` for a file that is none, or too large."""
    try:
        picture = load_image(read_bytes(path))
    except ImageError as error:
        raise ConfigurationError(f"{path}: {error.message}", advice=error.advice) from error
    if picture.size > _MOST_PIXELS:
        raise ConfigurationError(f"{path} is too large", advice="Use pictures up to 50 megapixels.")
    return picture


def _gradient(picture: Image) -> Gradient:
    grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY) if picture.ndim == 3 else picture  # noqa: PLR2004  colour
    smooth = cv2.GaussianBlur(grey.astype(np.float32), (0, 0), _BLUR)
    across = cv2.Sobel(smooth, cv2.CV_32F, 1, 0)
    down = cv2.Sobel(smooth, cv2.CV_32F, 0, 1)
    # Light multiplies brightness: logarithms would magnify noise in the dark, square roots do not.
    return np.sqrt(cv2.magnitude(across, down)).astype(np.float32)


def _cut(gradient: Gradient, slot: Slot) -> Gradient:
    return gradient[slot.y : slot.y + slot.height, slot.x : slot.x + slot.width]


def _judge(slot: Slot, gradient: Gradient, full: Gradient, empty: Gradient, others: Mapping[str, Gradient]) -> Seen:
    top, left = max(slot.y - SEARCH_PIXELS, 0), max(slot.x - SEARCH_PIXELS, 0)
    around = gradient[top : slot.y + slot.height + SEARCH_PIXELS, left : slot.x + slot.width + SEARCH_PIXELS]
    as_full, as_empty = _match(around, full), _match(around, empty)
    correlations = round(as_full, 3), round(as_empty, 3)
    best, lead = max(as_full, as_empty), as_full - as_empty
    if best >= _SURE_MATCH and abs(lead) >= _LEAST_LEAD:
        return Seen(slot, Facing.FULL if lead > 0 else Facing.EMPTY, *correlations)
    # Only what is not its own product without doubt is held against the others': each look costs as much as one at it.
    named = max(((_match(around, _fitted(face, slot)), gtin) for gtin, face in others.items()), default=(0.0, ""))
    if named[0] >= _SURE_MATCH and named[0] - best >= _STRANGE_LEAD:
        return Seen(slot, Facing.STRANGE, *correlations, named[1])
    if best < _LEAST_MATCH or abs(lead) < _LEAST_LEAD:
        return Seen(slot, Facing.UNKNOWN, *correlations)
    return Seen(slot, Facing.FULL if lead > 0 else Facing.EMPTY, *correlations)


def _fitted(face: Gradient, slot: Slot) -> Gradient:
    """Return another product's face, the middle of it where it is larger than the slot."""
    top, left = max(face.shape[0] - slot.height, 0) // 2, max(face.shape[1] - slot.width, 0) // 2
    return face[top : top + slot.height, left : left + slot.width]


def _match(around: Gradient, reference: Gradient) -> float:
    """Return the best correlation of a reference anywhere in its surroundings; 0 where there is no texture at all."""
    if float(reference.std()) < 1e-3 or float(around.std()) < 1e-3:  # noqa: PLR2004  quite flat
        return 0.0
    scores = cv2.matchTemplate(around, reference, cv2.TM_CCOEFF_NORMED)
    best = float(scores.max())
    return best if np.isfinite(best) else 0.0
