"""The firmware of a shelf controller: samples to registers, and registers that an installer writes."""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from contracts.shelf_registers import (
    BLOCK_BASE,
    BLOCK_SIZE,
    DEFAULT_UNIT_ID,
    NO_DOOR,
    RAW_LIMIT,
    Fault,
    Holding,
    Input,
    Register,
    Shared,
)
from firmware_sim.print_job import Shelf
from firmware_sim.shelves.cell import COUNTS_PER_GRAM, TRAY_G

FIRMWARE: Final = 0x0102
DEBOUNCE_MS: Final = 1000
_STILL_G: Final = 4.0
_NEW_WEIGHT_G: Final = 8.0
_REBOOT_SECONDS: Final = 10.0
_LARGEST_UNIT_ID: Final = 247


class Trouble(StrEnum):
    """Faults that a controller can be given on purpose."""

    SILENCE = "silence"
    CRC = "crc"
    STUCK = "stuck"
    SATURATED = "saturated"
    CELL = "cell"
    SUPPLY = "supply"


_COMPLAINTS: Final[Mapping[Trouble | None, Fault]] = {Trouble.CELL: Fault.LOAD_CELL, Trouble.SUPPLY: Fault.SUPPLY}
"""What a controller knows of its own trouble."""


@dataclass(slots=True)
class _Measured:
    """One channel's past second and its last stable weight."""

    samples: deque[tuple[float, int]] = field(default_factory=deque)
    stable_g: int | None = None
    sequence: int = 0
    input: list[int] = field(default_factory=lambda: [0] * BLOCK_SIZE)


class Controller:
    """The register image of one shelf; `holding` gives a channel's words as an installer left them."""

    def __init__(
        self, shelf: Shelf, holding: Mapping[int, Sequence[int]] | None = None, trouble: Trouble | None = None
    ) -> None:
        self.trouble = trouble
        self.holding = {
            channel.channel: list((holding or {}).get(channel.channel) or _factory_settings(channel.unit_weight_g))
            for channel in shelf.channels
        }
        self._measured = {number: _Measured() for number in self.holding}
        self._shared = [0] * Shared.SIZE
        self._set_shared(Shared.CHANNELS, max(self.holding))
        self._set_shared(Shared.FIRMWARE, FIRMWARE)
        self._set_shared(Shared.DOOR, NO_DOOR)

    @property
    def unit_id(self) -> int:
        """The Modbus address that the controller answers to."""
        return Holding.UNIT_ID.unpack(next(iter(self.holding.values())))

    def sample(self, uptime: float, readings: Mapping[int, float]) -> None:
        """Take one sample a channel, grams with the tray; `uptime` is seconds since the start."""
        for number, grams in readings.items():
            self._sample_one(uptime, number, grams)
        faults = Fault.REBOOTED if uptime < _REBOOT_SECONDS else Fault(0)
        self._set_shared(
            Shared.FAULTS, faults | (_COMPLAINTS.get(self.trouble, Fault(0)) if self.trouble else Fault(0))
        )

    def climate(self, temperature_c: float, humidity: float) -> None:
        """Set what the probe measures, degrees Celsius and percent."""
        self._set_shared(Shared.TEMPERATURE, round(temperature_c * 10))
        self._set_shared(Shared.HUMIDITY, round(humidity * 10))

    def door(self, *, is_open: bool) -> None:
        """Set the door contact; a controller has none until this is called."""
        self._set_shared(Shared.DOOR, int(is_open))

    def read_input(self, address: int, count: int) -> list[int] | None:
        """Return input registers, or None where one of them does not exist."""
        if address + count <= Shared.SIZE:
            return self._shared[address : address + count]
        return _cut({number: measured.input for number, measured in self._measured.items()}, address, count)

    def read_holding(self, address: int, count: int) -> list[int] | None:
        """Return holding registers, or None where one of them does not exist."""
        return _cut(self.holding, address, count)

    def write(self, address: int, words: Sequence[int]) -> bool:
        """Write holding registers; False, and nothing written, where one does not exist or may not hold its value."""
        if _cut(self.holding, address, len(words)) is None:
            return False
        places = [divmod(address - BLOCK_BASE + index, BLOCK_SIZE) for index in range(len(words))]
        ids = [word for (_, offset), word in zip(places, words, strict=True) if offset == Holding.UNIT_ID.offset]
        if not all(1 <= unit_id <= _LARGEST_UNIT_ID for unit_id in ids):
            return False
        for (index, offset), word in zip(places, words, strict=True):
            self.holding[index + 1][offset] = word
        for settings in self.holding.values() if ids else ():
            settings[Holding.UNIT_ID.offset] = ids[-1]
        return True

    def _sample_one(self, uptime: float, number: int, reading_g: float) -> None:
        measured, settings = self._measured[number], self.holding[number]
        if self.trouble in {Trouble.STUCK, Trouble.CELL} and measured.samples:
            return
        raw = RAW_LIMIT if self.trouble is Trouble.SATURATED else round(reading_g * COUNTS_PER_GRAM)
        raw = max(-RAW_LIMIT, min(RAW_LIMIT, raw))
        gain = (1 + Holding.CALIBRATION.unpack(settings) / 1e6) / COUNTS_PER_GRAM
        grams = round(raw * gain) - Holding.TARE.unpack(settings)
        since = uptime - Holding.DEBOUNCE.unpack(settings) / 1000
        measured.samples.append((uptime, grams))
        while measured.samples[0][0] < since:
            measured.samples.popleft()
        values = [value for _, value in measured.samples]
        stable = since >= 0 and max(values) - min(values) <= _STILL_G
        if stable and (measured.stable_g is None or abs(grams - measured.stable_g) > _NEW_WEIGHT_G):
            measured.stable_g = grams
            measured.sequence = (measured.sequence + 1) % 2**16
        self._publish(number, raw, grams, stable=stable)

    def _publish(self, number: int, raw: int, grams: int, *, stable: bool) -> None:
        measured, settings = self._measured[number], self.holding[number]
        unit_g = max(Holding.UNIT_WEIGHT.unpack(settings), 1) / 10
        count = min(max(round(grams / unit_g), 0), 0xFFFF)
        residual = min(abs(grams / unit_g - count), 0.5)
        fields = (
            (Input.RAW, raw),
            (Input.GRAMS, grams),
            (Input.STABLE, int(stable)),
            (Input.COUNT, count),
            (Input.CONFIDENCE, round(1000 * (1 - 2 * residual)) if stable else 0),
            (Input.SEQUENCE, measured.sequence),
        )
        for register, value in fields:
            _set(measured.input, register, value)

    def _set_shared(self, register: Register, value: int) -> None:
        _set(self._shared, register, value)


def _set(words: list[int], register: Register, value: int) -> None:
    words[register.offset : register.offset + register.words] = register.pack(value)


def _cut(blocks: Mapping[int, Sequence[int]], address: int, count: int) -> list[int] | None:
    """Return `count` words from `address` on, across blocks that stand side by side, or None."""
    words: list[int] = []
    for place in range(address, address + count):
        number, offset = divmod(place - BLOCK_BASE, BLOCK_SIZE)
        words_of = blocks.get(number + 1)
        if place < BLOCK_BASE or words_of is None:
            return None
        words.append(words_of[offset])
    return words


def _factory_settings(unit_weight_g: float) -> list[int]:
    words = [0] * BLOCK_SIZE
    _set(words, Holding.UNIT_WEIGHT, round(unit_weight_g * 10))
    _set(words, Holding.TARE, round(TRAY_G))
    _set(words, Holding.DEBOUNCE, DEBOUNCE_MS)
    _set(words, Holding.UNIT_ID, DEFAULT_UNIT_ID)
    return words
