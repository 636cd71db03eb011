"""Which product lies on which channel of a shelf."""

from itertools import groupby
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from contracts.errors import ConfigurationError
from contracts.gs1 import check_digit
from contracts.messages import Gtin
from contracts.shelf_registers import MAX_CHANNELS

MOST_CONTROLLERS = 16
_Channel = Annotated[int, Meta(ge=1, le=MAX_CHANNELS)]


class Line(Struct, frozen=True, forbid_unknown_fields=True):
    """One facing: the GTIN-14 that lies there, and what one unit weighs in grams.

    `channel` is the number under which it is reported, unique in the planogram. `cell` is the controller's own channel
    with the load cell, the same number unless given: lines that share a cell are mixed facings. `controller` counts
    the lines of EDGE_SERIAL from 1. `units` is what stands there when the shelf is set up, where somebody counted.
    `tare_g`, given, is written to the controller. Refills mostly come in multiples of `pack`.
    """

    channel: _Channel
    gtin: Gtin
    unit_weight_g: Annotated[float, Meta(gt=0, le=100_000)]
    cell: Annotated[int, Meta(ge=0, le=MAX_CHANNELS)] = 0
    controller: Annotated[int, Meta(ge=1, le=MOST_CONTROLLERS)] = 1
    units: Annotated[int, Meta(ge=0, le=100_000)] | None = None
    tare_g: Annotated[int, Meta(ge=-100_000, le=100_000)] | None = None
    pack: Annotated[int, Meta(ge=1, le=1_000)] = 1

    @property
    def place(self) -> tuple[int, int]:
        """The controller and its load cell."""
        return self.controller, self.cell or self.channel


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
    for (controller, cell), sharing in by_cell(lines):
        if len({line.gtin for line in sharing}) != len(sharing):
            found = f"the planogram {path} names a product twice on cell {cell} of controller {controller}"
            raise ConfigurationError(found, advice="Lines that share a cell are different products.")
    return lines


def by_cell(lines: list[Line]) -> list[tuple[tuple[int, int], list[Line]]]:
    """Return the lines of each load cell, as (controller, cell) and its lines."""
    ordered = sorted(lines, key=lambda line: (line.place, line.channel))
    return [(place, list(sharing)) for place, sharing in groupby(ordered, key=lambda line: line.place)]
