"""The two libraries that find codes in grey levels, each held to the symbologies that goods here carry."""

import functools
import importlib
from types import ModuleType
from typing import Any, Final

import structlog
import zxingcpp
from zxingcpp import BarcodeFormat

from edge.code import Code
from edge.decode.images import Gray

_log = structlog.get_logger(__name__)
_NAMES: Final = {
    BarcodeFormat.QRCode: "QRCode",
    BarcodeFormat.QRCodeModel1: "QRCode",
    BarcodeFormat.QRCodeModel2: "QRCode",
    BarcodeFormat.DataMatrix: "DataMatrix",
    BarcodeFormat.Code128: "Code128",
    BarcodeFormat.EAN13: "EAN13",
    BarcodeFormat.ISBN: "EAN13",
    BarcodeFormat.EAN8: "EAN8",
    BarcodeFormat.UPCA: "UPCA",
    BarcodeFormat.UPCE: "UPCE",
    BarcodeFormat.ITF: "ITF",
    BarcodeFormat.ITF14: "ITF",
}
# The whole family of QR codes would bring Micro QR, which was seen in the corner of a real QR code.
_FORMATS: Final = zxingcpp.BarcodeFormats(
    (
        BarcodeFormat.QRCodeModel2,
        BarcodeFormat.QRCodeModel1,
        BarcodeFormat.DataMatrix,
        BarcodeFormat.Code128,
        BarcodeFormat.EANUPC,
        BarcodeFormat.ITF,
    )
)
_ZBAR_NAMES: Final = {"QRCODE": "QRCode", "CODE128": "Code128", "EAN13": "EAN13", "EAN8": "EAN8", "I25": "ITF"}


def zxing(image: Gray, stage: str) -> list[Code]:
    """Return what zxing-cpp reads; a symbol whose format is not on the list is not looked for."""
    found = zxingcpp.read_barcodes(image, formats=_FORMATS, text_mode=zxingcpp.TextMode.Plain)
    return [_from_zxing(symbol, stage) for symbol in found if symbol.bytes]


def _from_zxing(symbol: zxingcpp.Barcode, stage: str) -> Code:
    outline = symbol.position
    points = (outline.top_left, outline.top_right, outline.bottom_right, outline.bottom_left)
    return Code(
        text=symbol.text or symbol.bytes.decode("latin-1"),
        symbology=_NAMES[symbol.format],
        aim=symbol.symbology_identifier,
        corners=tuple((point.x, point.y) for point in points),
        stage=stage,
    )


def zbar(image: Gray, stage: str) -> list[Code]:
    """Return what pyzbar reads and can be believed; nothing where the system has no zbar library.

    zbar guesses the character set of QR codes and guesses wrong, so only plain ASCII passes. It does not tell AIM
    identifiers, so `aim` is empty.
    """
    library = zbar_library()
    if library is None:
        return []
    wanted = [library.ZBarSymbol[name] for name in _ZBAR_NAMES]
    found = library.decode(image, symbols=wanted)
    return [_from_zbar(symbol, stage) for symbol in found if _is_printable(symbol.data)]


@functools.cache
def zbar_library() -> ModuleType | None:
    """Return the module `pyzbar.pyzbar`, or nothing where the system's libzbar is missing; says so once."""
    try:
        return importlib.import_module("pyzbar.pyzbar")
    except ImportError:
        _log.warning(
            "decode goes on without its last stage",
            action="decode.zbar_absent",
            advice="Debian, Ubuntu: apt-get install libzbar0",
        )
        return None


def _is_printable(data: bytes) -> bool:
    return data.isascii() and data.decode("ascii").isprintable() and bool(data)


# pyzbar ships no types; `symbol` is its `Decoded`.
def _from_zbar(symbol: Any, stage: str) -> Code:  # noqa: ANN401
    left, top, width, height = symbol.rect
    right, bottom = left + width, top + height
    return Code(
        text=symbol.data.decode("ascii"),
        symbology=_ZBAR_NAMES[symbol.type],
        aim="",
        corners=((left, top), (right, top), (right, bottom), (left, bottom)),
        stage=stage,
    )
