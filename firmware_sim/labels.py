"""Printed labels as grey levels: item QR codes, case labels and worksheets, with the text that people read.

All but the worksheets are drawn by zxing-cpp, 27 times faster than qrcode. Worksheets are few, and drawn by qrcode:
the stations read with zxing-cpp, and a mistake that its writer and its reader share would otherwise go unseen.
"""

from typing import Final

import cv2
import numpy as np
import qrcode
import zxingcpp
from zxingcpp import BarcodeFormat

Gray = np.ndarray[tuple[int, int], np.dtype[np.uint8]]
WHITE: Final = 255
_INK: Final = 20
_TEXT_HEIGHT_PX: Final = 22
_TEXT_SCALE: Final = 0.42
_QUIET_MODULES: Final = 4
_FORMATS: Final = {
    "qr": BarcodeFormat.QRCode,
    "datamatrix": BarcodeFormat.DataMatrix,
    "code128": BarcodeFormat.Code128,
}


def item_label(text: str, module_px: int) -> Gray:
    """Return an item's label, the QR code (level M) of `text` above its serial."""
    symbol = zxingcpp.create_barcode(text, BarcodeFormat.QRCode, ec_level="M")
    return _captioned(_scaled(np.array(symbol.to_image()), module_px), text.rsplit("/", 1)[-1])


def case_label(text: str, symbology: str, module_px: int) -> Gray:
    """Return a case's label in `symbology`: qr, datamatrix or code128.

    A `text` in GS1's bracketed notation becomes a GS1 symbol, with FNC1 first and no brackets in it.
    """
    options: dict[str, object] = {"gs1": True} if text.startswith("(") else {}
    if symbology == "datamatrix":
        options["force_square"] = True  # rectangular ones are read less well
    elif symbology == "qr":
        options["ec_level"] = "M"
    symbol = zxingcpp.create_barcode(text, _FORMATS[symbology], **options)
    image = np.array(symbol.to_image(add_quiet_zones=False))
    padded = cv2.copyMakeBorder(image, *(_QUIET_MODULES,) * 4, cv2.BORDER_CONSTANT, value=WHITE)
    return _captioned(_scaled(padded, module_px), text)


def worksheet(text: str, module_px: int) -> Gray:
    """Return a packer's worksheet: the QR code of a station's command above its text."""
    code = qrcode.QRCode(error_correction=qrcode.ERROR_CORRECT_M, border=_QUIET_MODULES)
    code.add_data(text)
    code.make()
    image = np.where(np.array(code.get_matrix()), 0, WHITE).astype(np.uint8)
    return _captioned(_scaled(image, module_px), text)


def _scaled(image: cv2.typing.MatLike, module_px: int) -> Gray:
    height, width = image.shape[:2]
    enlarged = cv2.resize(image, (width * module_px, height * module_px), interpolation=cv2.INTER_NEAREST)
    return np.asarray(enlarged, dtype=np.uint8).reshape(height * module_px, width * module_px)


def _captioned(symbol: Gray, caption: str) -> Gray:
    """Lay the symbol on white paper wide enough for the caption below it; ink is dark grey, not black."""
    font = cv2.FONT_HERSHEY_SIMPLEX
    (text_width, _), _ = cv2.getTextSize(caption, font, _TEXT_SCALE, 1)
    height, width = symbol.shape
    paper = np.full((height + _TEXT_HEIGHT_PX, max(width, text_width + 16)), WHITE, dtype=np.uint8)
    left = (paper.shape[1] - width) // 2
    paper[:height, left : left + width] = np.maximum(symbol, _INK)
    origin = ((paper.shape[1] - text_width) // 2, height + 6)
    cv2.putText(paper, caption, origin, font, _TEXT_SCALE, (_INK,), 1, cv2.LINE_AA)
    return paper
