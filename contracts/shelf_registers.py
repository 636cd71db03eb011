"""The registers of a shelf controller (Modbus RTU): what its firmware serves and what an agent reads.

All values are big-endian, high word first. Input registers (function 4) are what the controller measures; holding
registers (functions 3, 6 and 16) are what it is told. Channels count from 1; block `c` starts at
`BLOCK_BASE + BLOCK_SIZE * (c - 1)` in both tables. One read of `BLOCK_SIZE` registers gives a consistent channel.
"""

import struct
from collections.abc import Sequence
from enum import IntFlag
from typing import Final, NamedTuple

MAX_CHANNELS: Final = 64
BLOCK_BASE: Final = 0x0100
BLOCK_SIZE: Final = 16
DEFAULT_UNIT_ID: Final = 1
DEFAULT_BAUD_RATE: Final = 115_200
"""Bits per second, 8 data bits, no parity, 1 stop bit."""

RAW_LIMIT: Final = 2**23 - 1
"""Largest magnitude of the 24-bit converter; a raw reading that stands on it is saturated."""

NO_TEMPERATURE: Final = -0x8000
"""`temperature` of a controller without a working probe."""

NO_HUMIDITY: Final = 0xFFFF
"""`humidity` of a controller without a working probe."""

NO_DOOR: Final = 0xFFFF
"""`door` of a controller without a door contact."""


class Register(NamedTuple):
    """Where a value stands (offset in registers from its block's start) and how its words are read.

    `layout` is a `struct` code: h int16, H uint16, i int32, I uint32.
    """

    offset: int
    layout: str
    meaning: str

    @property
    def words(self) -> int:
        """How many registers the value takes."""
        return struct.calcsize(f">{self.layout}") // 2

    def unpack(self, block: Sequence[int]) -> int:
        """Return the value that stands in the registers of a block, each 0 to 65,535."""
        words = block[self.offset : self.offset + self.words]
        value: int = struct.unpack(f">{self.layout}", struct.pack(f">{len(words)}H", *words))[0]
        return value

    def pack(self, value: int) -> list[int]:
        """Return the registers that hold `value`; `struct.error` where it does not fit."""
        return list(struct.unpack(f">{self.words}H", struct.pack(f">{self.layout}", value)))


class Fault(IntFlag):
    """Bits of `SHARED.faults`: what the controller itself knows to be wrong."""

    LOAD_CELL = 1
    """A converter answers no more: its channel repeats the last reading."""
    PROBE = 2
    """Temperature or humidity cannot be measured."""
    SUPPLY = 4
    """The supply voltage is outside its limits, so every figure is doubtful."""
    REBOOTED = 8
    """The controller started less than 10 seconds ago; event sequences begin at 0 again."""


class Shared:
    """Input registers at 0x0000, one read of `SIZE`."""

    BASE: Final = 0x0000
    SIZE: Final = 6
    CHANNELS: Final = Register(0, "H", "how many channels there are, 1 to 64")
    TEMPERATURE: Final = Register(1, "h", "degrees Celsius × 10, or NO_TEMPERATURE")
    HUMIDITY: Final = Register(2, "H", "percent × 10, or NO_HUMIDITY")
    FAULTS: Final = Register(3, "H", "bits of Fault")
    FIRMWARE: Final = Register(4, "H", "version: major × 256 + minor")
    DOOR: Final = Register(5, "H", "0 closed, 1 open, or NO_DOOR")


class Input:
    """Input registers of one channel."""

    RAW: Final = Register(0, "i", "the converter's reading, ± RAW_LIMIT")
    GRAMS: Final = Register(2, "i", "grams after tare and calibration")
    STABLE: Final = Register(4, "H", "1 when the weight has stood still for the debounce time, else 0")
    COUNT: Final = Register(5, "H", "the controller's own count of units")
    CONFIDENCE: Final = Register(6, "H", "of that count, 0 to 1,000")
    SEQUENCE: Final = Register(7, "H", "rises by 1, modulo 65,536, whenever a new stable weight is found")


class Holding:
    """Holding registers of one channel, written by whoever installs the shelf."""

    UNIT_WEIGHT: Final = Register(0, "I", "weight of one unit, grams × 10")
    TARE: Final = Register(2, "i", "grams that stand on the channel when it is empty")
    CALIBRATION: Final = Register(4, "i", "correction of the gain in parts per million")
    DEBOUNCE: Final = Register(6, "H", "milliseconds without change until a weight is stable")
    UNIT_ID: Final = Register(7, "H", "the controller's own Modbus address, 1 to 247; the same in every block")


def block(channel: int) -> int:
    """Return the address at which the block of a channel starts; `ValueError` for a channel that cannot exist."""
    if not 1 <= channel <= MAX_CHANNELS:
        raise ValueError(f"channel {channel} is not in 1..{MAX_CHANNELS}")
    return BLOCK_BASE + BLOCK_SIZE * (channel - 1)
