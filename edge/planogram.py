"""Which product lies on which channel of a shelf."""

from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from contracts.errors import ConfigurationError
from contracts.gs1 import check_digit
from contracts.messages import Gtin
from contracts.shelf_registers import MAX_CHANNELS


class Line(Struct, frozen=True):
    """One channel: the GTIN-14 that lies on it, and what one unit weighs in grams."""

    channel: Annotated[int, Meta(ge=1, le=MAX_CHANNELS)]
    gtin: Gtin
    unit_weight_g: Annotated[float, Meta(gt=0, le=100_000)]


def load_planogram(path: Path) -> list[Line]:
    """Read a JSON array of lines; raises `ConfigurationError` that names what is wrong with it."""
    advice = 'It holds lines such as [{"channel": 1, "gtin": "06901234567892", "unit_weight_g": 540}].'
    try:
        lines = msgspec.json.decode(path.read_bytes(), type=list[Line])
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"the planogram {path} cannot be used: {error}", advice=advice) from error
    if len({line.channel for line in lines}) != len(lines) or not lines:
        raise ConfigurationError(f"the planogram {path} is empty or names a channel twice", advice=advice)
    for line in lines:
        if check_digit(line.gtin[:-1]) != int(line.gtin[-1]):
            raise ConfigurationError(f"the planogram {path}: {line.gtin} has a wrong check digit", advice=advice)
    return lines
