"""Fonts for pictures: each character once to dots, then laid side by side.

ASCII is set in the font that Pillow brings along. Chinese needs a font file: the template's, or one that fontconfig
knows of on this machine.
"""

import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import ImageFont

from trace_service.labels.model import LabelError

Dots = NDArray[np.bool_]
_NO_CHARACTER: Final = "\U0010ffff"
_ADVICE: Final = "Set font in the template to a font file with Chinese, or install one such as fonts-noto-cjk."


class _Glyph(NamedTuple):
    dots: Dots
    left: int
    top: int
    advance: int


class Face:
    """One font at one size."""

    def __init__(self, font: ImageFont.FreeTypeFont, name: str) -> None:
        self._font, self._name = font, name
        self._glyphs: dict[str, _Glyph] = {}
        self._missing = font.getmask(_NO_CHARACTER, mode="1")

    def width(self, text: str) -> int:
        """Return how many dots a line takes."""
        return sum(self._glyph(character).advance for character in text)

    def draw(self, paper: Dots, left: int, base: int, text: str) -> None:
        """Draw a line from `left` on its base line, both in dots; what reaches beyond the paper is cut."""
        height, width = paper.shape
        for character in text:
            glyph = self._glyph(character)
            x, y = left + glyph.left, base + glyph.top
            rows, columns = glyph.dots.shape
            bottom, right = min(y + rows, height), min(x + columns, width)
            if 0 <= y < bottom and 0 <= x < right:
                paper[y:bottom, x:right] |= glyph.dots[: bottom - y, : right - x]
            left += glyph.advance

    def _glyph(self, character: str) -> _Glyph:
        glyph = self._glyphs.get(character)
        if glyph is None:
            glyph = self._glyphs[character] = self._rendered(character)
        return glyph

    def _rendered(self, character: str) -> _Glyph:
        mask = self._font.getmask(character, mode="1")
        if character != _NO_CHARACTER and mask.size == self._missing.size and bytes(mask) == bytes(self._missing):
            raise LabelError(f"{self._name} has no glyph for {character!r}", advice=_ADVICE)
        left, top, _, _ = self._font.getbbox(character, mode="1", anchor="ls")
        width, height = mask.size
        dots = np.array(mask, dtype=np.uint8).reshape(height, width) > 0
        return _Glyph(dots, int(left), int(top), round(self._font.getlength(character, mode="1")))


def face_for(text: str, size_px: int, font: str | None) -> Face:
    """Return the face for a text: the built-in one for ASCII, else that of the file `font` or of fontconfig."""
    if text.isascii() and font is None:
        return _built_in(size_px)
    return _from_file(*(_chinese() if font is None else (font, 0)), size_px)


@cache
def _built_in(size_px: int) -> Face:
    font = ImageFont.load_default(size_px)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise LabelError("this Pillow has no FreeType", advice="Install Pillow's own wheel.")
    return Face(font, "the built-in font")


@cache
def _from_file(path: str, index: int, size_px: int) -> Face:
    try:
        return Face(ImageFont.truetype(path, size_px, index=index), path)
    except OSError as error:
        raise LabelError(f"the font {path} cannot be read: {error}", advice=_ADVICE) from error


@cache
def _chinese() -> tuple[str, int]:
    """Return file and index of the font that fontconfig prefers for simplified Chinese."""
    if shutil.which("fc-match") is None or not _asked("fc-list", ":lang=zh-cn", "file"):
        raise LabelError("no font with Chinese is installed on this machine", advice=_ADVICE)
    path, index = _asked("fc-match", "--format=%{file}\n%{index}", "sans-serif:lang=zh-cn").splitlines()
    if not Path(path).is_file():
        raise LabelError(f"fontconfig names {path}, which is not there", advice=_ADVICE)
    return path, int(index)


def _asked(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=30).stdout.strip()
