"""The decode cascade: cheap readers first, dearer ones only while something is missing or in doubt.

Matrix codes carry Reed-Solomon error correction: one read is proof. Bar codes carry one check digit or none, and
misreads with a valid check digit do occur, even on the untouched picture. So a bar code counts only when two
different stages read the same text at the same place, and no rival text lies over it with as many reads. The one
exception is Code 128 on the untouched picture: its check is modulo 103 and every character checks itself.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

import cv2
import msgspec
import numpy as np

from edge.code import Code
from edge.decode import readers
from edge.decode.images import LARGEST_SIDE, Gray
from edge.decode.outlines import overlap, same_place

ENOUGH_READS: Final = 2
# Above this the upscaled copies cost more memory than a station has, and modules are large enough without.
_LARGEST_UPSCALED_PIXELS: Final = 16_000_000


class Stage(NamedTuple):
    """One attempt: `prepare` makes a picture `scale` times as large, `read` looks for codes in it."""

    name: str
    scale: int
    prepare: Callable[[Gray], Gray]
    read: Callable[[Gray, str], list[Code]]


def _untouched(image: Gray) -> Gray:
    return image


def _equalised(image: Gray) -> Gray:
    return np.asarray(cv2.createCLAHE(clipLimit=2.0, tileGridSize=(8, 8)).apply(image), dtype=np.uint8)


def _upscaled(image: Gray) -> Gray:
    double = cv2.resize(image, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    return np.asarray(cv2.GaussianBlur(double, (0, 0), 1.5), dtype=np.uint8)


def _upscaled_equalised(image: Gray) -> Gray:
    return _equalised(_upscaled(image))


STAGES: Final = (
    Stage("plain", 1, _untouched, readers.zxing),
    Stage("equalised", 1, _equalised, readers.zxing),
    Stage("upscaled", 2, _upscaled, readers.zxing),
    Stage("zbar", 1, _untouched, readers.zbar),
    Stage("upscaled-equalised", 2, _upscaled_equalised, readers.zxing),
)


def read_codes(image: Gray, *, expected: int = 1) -> tuple[Code, ...]:
    """Return the codes in a picture (rows, columns; grey levels), in the order in which they were found.

    Stops at the first stage after which `expected` codes are certain and none is in doubt.
    """
    symbols: list[list[Code]] = []
    accepted: tuple[Code, ...] = ()
    for stage in STAGES:
        if stage.scale > 1 and not _may_grow(image, stage.scale):
            continue
        for code in _run(stage, image):
            _file(code, symbols)
        certain = [reads for reads in symbols if _is_certain(reads, symbols)]
        accepted = tuple(_best(reads) for reads in certain)
        if len(accepted) >= expected and len(certain) == len(symbols):
            break
    return accepted


def _may_grow(image: Gray, scale: int) -> bool:
    return image.size <= _LARGEST_UPSCALED_PIXELS and max(image.shape) * scale <= LARGEST_SIDE


def _run(stage: Stage, image: Gray) -> list[Code]:
    codes = stage.read(stage.prepare(image), stage.name)
    if stage.scale == 1:
        return codes
    return [
        msgspec.structs.replace(code, corners=tuple((x // stage.scale, y // stage.scale) for x, y in code.corners))
        for code in codes
    ]


def _file(code: Code, symbols: list[list[Code]]) -> None:
    """Add a read to the printed symbol that it repeats, or begin a new one; a stage reads each symbol once."""
    for reads in symbols:
        first = reads[0]
        if (
            (first.text, first.symbology) == (code.text, code.symbology)
            and code.stage not in {read.stage for read in reads}
            and same_place(first.corners, code.corners)
        ):
            reads.append(code)
            return
    symbols.append([code])


def _is_certain(reads: list[Code], symbols: list[list[Code]]) -> bool:
    first = reads[0]
    if not first.is_linear or (first.symbology == "Code128" and first.stage == "plain"):
        return True
    rivals = (
        len(other)
        for other in symbols
        if other is not reads and other[0].is_linear and overlap(first.corners, other[0].corners)
    )
    return len(reads) >= ENOUGH_READS and len(reads) > max(rivals, default=0)


def _best(reads: list[Code]) -> Code:
    """Prefer the read that knows its AIM identifier; only zbar's does not."""
    return next((read for read in reads if read.aim), reads[0])
