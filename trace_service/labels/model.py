"""What a label is before it has a shape: a symbology, the data in it, and the values that its texts may show."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, NamedTuple

from contracts.errors import ConfigurationError


class LabelError(ConfigurationError):
    """A label that cannot be printed as asked: its data, its template or its font."""

    code = "LABEL_REFUSED"


class Kind(StrEnum):
    """A symbology with its use: a Digital Link QR code, or GS1 element strings in DataMatrix or bars."""

    QR = "qr"
    DATAMATRIX = "datamatrix"
    GS1_128 = "gs1-128"
    ITF14 = "itf-14"

    @property
    def is_linear(self) -> bool:
        """Whether this is a bar code, whose height the template sets."""
        return self in {Kind.GS1_128, Kind.ITF14}


QUIET_MODULES: Final[Mapping[Kind, int]] = {Kind.QR: 4, Kind.DATAMATRIX: 2, Kind.GS1_128: 10, Kind.ITF14: 10}
"""Modules that stay white around a symbol, left and right of a bar code (GS1 General Specifications, section 5)."""


class Label(NamedTuple):
    """One label; `data` is a Digital Link, an element string in brackets, or the 14 digits of an ITF-14.

    `name` names the label in file names; `values` are what texts may show, by field name.
    """

    name: str
    data: str
    values: Mapping[str, str]
