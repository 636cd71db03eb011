"""Setting a shelf channel up: tare, two-point calibration, unit weight, a check of the result, and a record of it."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean
from typing import Final, NamedTuple

import msgspec
from msgspec import Struct

from contracts.errors import ConfigurationError, SourceError
from contracts.shelf_registers import RAW_LIMIT, Holding
from edge.shelf.modbus import ShelfController

READINGS: Final = 12
_PAUSE_SECONDS: Final = 0.25
_QUIET_G: Final = 4
_LEAST_REFERENCE_G: Final = 200.0
_MOST_CORRECTION_PPM: Final = 200_000
_ALLOWED_G: Final = 3.0
_ALLOWED_SHARE: Final = 0.002
Say = Callable[[str], None]


class Level(NamedTuple):
    """A quiet level of one channel: the converter's counts and grams after tare, means of several readings."""

    raw: float
    grams: float


class Zero(Struct, frozen=True):
    """A channel's tare in grams, and the correction of its gain in parts per million."""

    tare_g: int
    gain_ppm: int


class Record(Struct, frozen=True, kw_only=True):
    """What was done to a channel, by whom and when; grams unless said otherwise."""

    at: str
    by: str
    controller: str
    channel: int
    firmware: str
    reference_g: float
    raw_empty: float
    raw_loaded: float
    before: Zero
    after: Zero
    loaded_reads_g: float
    empty_reads_g: float
    unit_weight_g: float | None = None
    passed: bool


class Bench:
    """One channel under calibration; `wait` returns once the named load stands on it."""

    def __init__(self, controller: ShelfController, channel: int, wait: Callable[[str, "Bench"], None]) -> None:
        self._controller = controller
        self._channel = channel
        self._wait = wait

    def calibrate(self, reference_g: float, by: str, units: int = 0) -> Record:
        """Tare, load the reference weight, set the gain, and check both points; with `units`, weigh that many too.

        Raises `ConfigurationError` for a reference that cannot be right, `SourceError` where the channel does not work.
        """
        _require_weight(reference_g)
        registers = self._controller.settings(self._channel)
        before = Zero(Holding.TARE.unpack(registers), Holding.CALIBRATION.unpack(registers))
        firmware = self._controller.poll().firmware
        # 1. Two points.
        self._wait("empty", self)
        empty = self.level()
        self._wait(f"{reference_g:g} g", self)
        loaded = self.level()
        after = _corrected(before, empty, loaded, reference_g)
        # 2. Settings, and what they make of both points.
        self._controller.write(self._channel, Holding.CALIBRATION, after.gain_ppm)
        self._controller.write(self._channel, Holding.TARE, after.tare_g)
        reads = self.level().grams
        self._wait("empty", self)
        nothing = self.level().grams
        passed = abs(reads - reference_g) <= _allowed(reference_g) and abs(nothing) <= _ALLOWED_G
        # 3. What one unit weighs.
        unit_weight = self._weigh_units(units, nothing) if units and passed else None
        return Record(
            at=datetime.now(UTC).isoformat(timespec="seconds"),
            by=by,
            controller="#".join(map(str, self._controller.address)),
            channel=self._channel,
            firmware=firmware,
            reference_g=reference_g,
            raw_empty=round(empty.raw, 1),
            raw_loaded=round(loaded.raw, 1),
            before=before,
            after=after,
            loaded_reads_g=round(reads, 1),
            empty_reads_g=round(nothing, 1),
            unit_weight_g=unit_weight,
            passed=passed,
        )

    def _weigh_units(self, units: int, nothing: float) -> float:
        self._wait(f"{units} units", self)
        unit_weight = round((self.level().grams - nothing) / units, 1)
        if unit_weight <= 0:
            raise ConfigurationError("the units weigh nothing", advice="Put them on the channel that is calibrated.")
        self._controller.write(self._channel, Holding.UNIT_WEIGHT, round(unit_weight * 10))
        return unit_weight

    def level(self, seconds: float = 60.0) -> Level:
        """Return the next quiet level; `SourceError` where the channel is broken or does not rest in time."""
        deadline = time.monotonic() + seconds
        readings: list[tuple[int, int]] = []
        while time.monotonic() < deadline:
            sample = self._controller.poll().channels.get(self._channel)
            if sample is None:
                raise SourceError(f"the controller has no channel {self._channel}", advice="Check the number.")
            if abs(sample.raw) >= RAW_LIMIT:
                raise SourceError(f"the load cell of channel {self._channel} does not work", advice="Check its wiring.")
            readings = [*readings, (sample.raw, sample.grams)][-READINGS:]
            weights = [grams for _, grams in readings]
            if len(readings) == READINGS and max(weights) - min(weights) <= _QUIET_G:
                if len({raw for raw, _ in readings}) == 1:
                    raise SourceError(f"channel {self._channel} is stuck: no noise at all", advice="Check its wiring.")
                return Level(fmean(raw for raw, _ in readings), fmean(weights))
            time.sleep(_PAUSE_SECONDS)
        raise SourceError(f"channel {self._channel} does not rest", advice="Nothing may touch the shelf meanwhile.")


def watching(reference_g: float, say: Say, seconds: float = 120.0) -> Callable[[str, Bench], None]:
    """Return a wait that watches the channel itself: the next load has come once the weight has changed for good."""
    known: list[float] = []

    def wait(what: str, bench: Bench) -> None:
        say(f"waiting for: {what}")
        deadline = time.monotonic() + seconds
        while known:
            level = bench.level().grams
            if abs(level - known[-1]) > reference_g / 4:
                known.append(level)
                return
            if time.monotonic() > deadline:
                raise SourceError(f"nobody brought {what}", advice="Put it on the channel, or use the wizard.")
        known.append(bench.level().grams)

    return wait


def store(record: Record, path: Path) -> None:
    """Append a record to a file of JSON lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as sink:
        sink.write(msgspec.json.encode(record) + b"\n")


def _require_weight(reference_g: float) -> None:
    if reference_g < _LEAST_REFERENCE_G:
        raise ConfigurationError(
            f"{reference_g:g} g are too light",
            advice=f"Use at least {_LEAST_REFERENCE_G:g} g; a tenth of the load.",
        )


def _corrected(before: Zero, empty: Level, loaded: Level, reference_g: float) -> Zero:
    ratio = _ratio(reference_g, loaded.grams - empty.grams)
    gain = round(((1 + before.gain_ppm / 1e6) * ratio - 1) * 1e6)
    if abs(gain) > _MOST_CORRECTION_PPM:
        raise ConfigurationError(
            f"the gain would have to change by {gain / 1e4:.1f} %", advice="Check the reference weight's value."
        )
    return Zero(round((empty.grams + before.tare_g) * ratio), gain)


def _ratio(reference_g: float, shown_g: float) -> float:
    if shown_g <= reference_g / 2 or shown_g >= reference_g * 2:
        raise ConfigurationError(
            f"the channel shows {shown_g:.0f} g for {reference_g:g} g",
            advice="Check that the weight stands on this channel and the sign of the cell's wiring.",
        )
    return reference_g / shown_g


def _allowed(reference_g: float) -> float:
    return max(_ALLOWED_G, _ALLOWED_SHARE * reference_g)
