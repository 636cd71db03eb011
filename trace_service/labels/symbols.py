"""Data to modules, by zxing-cpp: of the engines measured the fastest by far (`codefence bench labels`)."""

import re
from typing import Final

import numpy as np
import zxingcpp
from numpy.typing import NDArray
from zxingcpp import BarcodeFormat

from trace_service.labels.model import Kind, LabelError

Modules = NDArray[np.bool_]
"""Rows and columns of a symbol without its quiet zone, true where dark; a bar code has one row."""

_DARK: Final = 128
_FORMATS: Final = {
    Kind.QR: BarcodeFormat.QRCode,
    Kind.DATAMATRIX: BarcodeFormat.DataMatrix,
    Kind.GS1_128: BarcodeFormat.Code128,
    # zxing-cpp draws a frame around what it calls ITF14, at the cost of the quiet zones.
    Kind.ITF14: BarcodeFormat.ITF,
}
_OPTIONS: Final[dict[Kind, dict[str, object]]] = {
    Kind.QR: {"ec_level": "M"},
    # Rectangular DataMatrix symbols are read less well.
    Kind.DATAMATRIX: {"gs1": True, "force_square": True},
    Kind.GS1_128: {"gs1": True},
    Kind.ITF14: {},
}
_ELEMENTS: Final = re.compile(r"(?:\(\d{2,4}\)[^()]+)+")


def modules(kind: Kind, data: str) -> Modules:
    """Return the modules of a symbol; raises `LabelError` where the data do not fit into it.

    DataMatrix and GS1-128 take element strings in brackets, and FNC1 stands first in what they hold.
    """
    if kind in {Kind.DATAMATRIX, Kind.GS1_128} and _ELEMENTS.fullmatch(data) is None:
        raise LabelError(
            f"{data[:80]!r} cannot be written as a GS1 symbol: an element string without brackets in its values is due",
            advice="Print it as a QR code, which holds a Digital Link.",
        )
    try:
        symbol = zxingcpp.create_barcode(data, _FORMATS[kind], **_OPTIONS[kind])
    except ValueError as error:
        raise LabelError(f"{data[:80]!r} does not fit into {kind}: {error}", advice="Shorten it.") from error
    dark: Modules = np.array(symbol.to_image(add_quiet_zones=False)) < _DARK
    if not kind.is_linear:
        return dark
    middle = dark.shape[0] // 2
    places = np.flatnonzero(dark[middle])
    return dark[middle : middle + 1, places[0] : places[-1] + 1]
