"""Picture files to grey levels: sizes are checked in the header, before a pixel is decoded."""

import io
import os
import stat
import struct
import zlib
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from contracts.errors import ImageError, ImageMissingError, ImageTooLargeError

Gray = np.ndarray[tuple[int, int], np.dtype[np.uint8]]
SUFFIXES: Final = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
FORMATS: Final = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")
LARGEST_PIXELS: Final = 100_000_000
# The reading library's own limit.
LARGEST_SIDE: Final = 65_535
LARGEST_BYTES: Final = 256 * 2**20
# What Pillow's decoders raise on damaged files, as seen by feeding them damaged files.
_DAMAGE: Final = (
    ArithmeticError,
    EOFError,
    LookupError,
    OSError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)
# Pillow would warn from 89 million pixels on; the limit above is checked on every header and refuses instead.
Image.MAX_IMAGE_PIXELS = None


def read_bytes(path: Path) -> bytes:
    """Return the content of a picture file; raises `ImageError` where there is none to decode."""
    try:
        _check_file(path.stat())
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise ImageMissingError("no such file", advice="Check the name and the folder.") from error
    except OSError as error:
        raise ImageError(
            f"the file cannot be read: {error.strerror}", advice="Check the file's permissions."
        ) from error
    if not content:
        raise ImageError("the file is empty", advice="Copy it again; the transfer broke off.")
    return content


def load_image(content: bytes) -> Gray:
    """Return the grey levels (rows, columns) of an encoded picture, upright as a viewer would show it.

    Of several frames or pages the first counts; transparency is laid on white paper. Raises `ImageError`.
    """
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as picture:
            _check_size(*picture.size)
            picture.draft("L", None)
            picture.load()
            gray = _gray(ImageOps.exif_transpose(picture))
    except UnidentifiedImageError as error:
        raise ImageError(
            "this is no picture in a known format", advice="Use PNG, JPEG, WebP, BMP, TIFF or GIF."
        ) from error
    except _DAMAGE as error:
        raise ImageError(
            f"the picture is damaged: {error}", advice="Copy or take it again; the file is cut short or altered."
        ) from error
    return gray


def _check_file(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise ImageError("this is no regular file", advice="Name a picture file or a folder that can be read.")
    if status.st_size > LARGEST_BYTES:
        raise ImageTooLargeError(
            f"the file has {status.st_size:,} bytes; {LARGEST_BYTES:,} are the limit",
            advice="Save the picture as JPEG or WebP, or crop it.",
        )


def _check_size(width: int, height: int) -> None:
    if width * height > LARGEST_PIXELS:
        raise ImageTooLargeError(
            f"{width:,} × {height:,} pixels are more than {LARGEST_PIXELS:,}",
            advice="Scale the picture down or crop it to the label.",
        )
    if max(width, height) > LARGEST_SIDE:
        raise ImageTooLargeError(
            f"a side of {max(width, height):,} pixels is longer than {LARGEST_SIDE:,}",
            advice="Crop the picture to the label.",
        )


def _gray(picture: Image.Image) -> Gray:
    if picture.mode[0] in "IF":
        levels = np.asarray(picture, dtype=np.float32)
        spread = max(float(np.ptp(levels)), 1.0)
        return np.array((levels - levels.min()) * (255 / spread), dtype=np.uint8)
    if picture.has_transparency_data:
        layer = picture.convert("LA")
        paper = Image.new("L", picture.size, 255)
        paper.paste(layer.getchannel("L"), mask=layer.getchannel("A"))
        picture = paper
    return np.array(picture.convert("L"), dtype=np.uint8)
