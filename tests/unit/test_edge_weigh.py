import random

import pytest

from contracts.shelf_registers import RAW_LIMIT
from edge.weigh import Estimate, Memory, Sample, Weigher

UNIT = 540.0


class Cell:
    """A cell under a shelf: exact load, noise of 0.3 g, and a drift that a test sets."""

    def __init__(self, units: int, weigher: Weigher, unit: float = UNIT) -> None:
        self.load = units * unit
        self.drift = 0.0
        self.now = 100.0
        self.weigher = weigher
        self._random = random.Random(7)

    def seconds(self, seconds: float, **changes: int | bool) -> Estimate | None:
        estimate = None
        for _ in range(int(seconds * 4)):
            grams = self.load + self.drift + self._random.gauss(0, 0.3)
            sample = Sample(round(grams * 150), round(grams))._replace(**changes)
            estimate = self.weigher.feed(sample, self.now)
            self.now += 0.25
        return estimate


@pytest.fixture
def cell() -> Cell:
    return Cell(24, Weigher(UNIT))


def test_the_first_plateau_counts_what_stands_there(cell: Cell) -> None:
    assert cell.seconds(1) is None
    estimate = cell.seconds(3)
    assert estimate is not None
    assert (estimate.units, estimate.fault) == (24, "")
    assert estimate.confidence >= 0.9


def test_units_taken_and_put_back_are_steps(cell: Cell) -> None:
    cell.seconds(4)
    counts = []
    for change in (-1, -1, +1, -3, +12):
        cell.load += change * UNIT
        estimate = cell.seconds(4)
        assert estimate is not None
        counts.append(estimate.units)
    assert counts == [23, 22, 23, 20, 32]


def test_a_drift_of_several_units_does_not_change_the_count() -> None:
    cell = Cell(10, Weigher(25.0), unit=25.0)
    cell.seconds(4)
    for _ in range(40):
        cell.drift += 2
        estimate = cell.seconds(4)
    assert estimate is not None
    assert estimate.units == 10
    cell.load -= 25
    estimate = cell.seconds(4)
    assert estimate is not None
    assert estimate.units == 9


def test_a_step_of_half_a_unit_is_flagged_and_forgiven_once_the_weight_agrees_again(cell: Cell) -> None:
    cell.seconds(4)
    cell.load += UNIT / 2
    estimate = cell.seconds(4)
    assert estimate is not None
    assert estimate.fault == "UNIT_WEIGHT"
    assert estimate.confidence < 0.5
    cell.load -= UNIT / 2
    estimate = cell.seconds(4)
    assert estimate is not None
    assert (estimate.units, estimate.fault) == (24, "")


def test_a_saturated_converter_keeps_the_count_but_not_the_confidence(cell: Cell) -> None:
    cell.seconds(4)
    estimate = cell.seconds(1, raw=RAW_LIMIT)
    assert estimate is not None
    assert (estimate.units, estimate.confidence, estimate.fault) == (24, 0.0, "SATURATED")


def test_a_reading_without_any_noise_is_stuck(cell: Cell) -> None:
    cell.seconds(4)
    assert (estimate := cell.seconds(25, raw=5)) is not None
    assert estimate.fault == ""
    assert (estimate := cell.seconds(10, raw=5)) is not None
    assert (estimate.confidence, estimate.fault) == (0.0, "STUCK")
    assert (estimate := cell.seconds(3)) is not None
    assert (estimate.units, estimate.fault) == (24, "")


def test_the_controllers_own_complaint_counts_as_stuck(cell: Cell) -> None:
    cell.seconds(4)
    assert (estimate := cell.seconds(1, cell_failed=True)) is not None
    assert estimate.fault == "STUCK"


def test_a_weight_that_never_rests_is_unstable(cell: Cell) -> None:
    cell.seconds(4)
    estimate = None
    for swing in range(60):
        cell.drift = 100.0 * (swing % 2)
        estimate = cell.seconds(0.5)
    assert estimate is not None
    assert (estimate.units, estimate.fault) == (24, "UNSTABLE")


def test_a_restart_keeps_the_count_and_sees_what_was_taken_meanwhile() -> None:
    memory = Memory(units=10, reference_g=1000.0, unit_weight_g=100.0, confidence=0.9)
    cell = Cell(7, Weigher(100.0, memory), unit=100.0)
    cell.drift = 30.0
    assert cell.seconds(1) is None, "no figure before the first plateau"
    estimate = cell.seconds(3)
    assert estimate is not None
    assert estimate.units == 7


def test_more_taken_than_there_was_is_zero_and_doubtful() -> None:
    cell = Cell(0, Weigher(100.0, Memory(units=2, reference_g=500.0, unit_weight_g=100.0, confidence=0.9)))
    cell.load = -20.0
    estimate = cell.seconds(4)
    assert estimate is not None
    assert estimate.units == 0


def test_the_unit_weight_is_learnt_within_a_tenth() -> None:
    cell = Cell(48, Weigher(100.0), unit=100.0)
    cell.seconds(4)
    for _ in range(40):
        cell.load -= 103.0
        cell.seconds(4)
    memory = cell.weigher.memory
    assert memory is not None
    assert memory.units == 8
    assert 101.5 < memory.unit_weight_g < 103.1
