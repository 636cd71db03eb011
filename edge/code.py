"""One code as it was read: the text, how it was printed, and where. Needs no picture: scanners send codes too."""

from typing import Final

import msgspec

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
