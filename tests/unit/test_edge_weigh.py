import random

import pytest

from contracts.shelf_registers import RAW_LIMIT
from edge.shelf.weigh import Estimate, Sample, Weigher

UNIT = 540.0


class Cell:
    """A cell under a shelf: exact load, noise of 0.3 g, and a drift that a test sets."""

    def __init__(self, units: int, weigher: Weigher, unit: float = UNIT) -> None:
        self.load = units * unit
        self.drift = 0.0
        self.now = 100.0
        self.weigher = weigher
        self._random = random.Random(7)

    def seconds(self, seconds: float, *, raw: int | None = None, cell_failed: bool = False) -> Estimate | None:
        estimate = None
        for _ in range(int(seconds * 4)):
            grams = self.load + self.drift + self._random.gauss(0, 0.3)
            sample = Sample(round(grams * 150) if raw is None else raw, round(grams), cell_failed)
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
    cell.seconds(6)
    counts = []
    for change in (-1, -1, +1, -3, +12):
        cell.load += change * UNIT
        estimate = cell.seconds(6)
        assert estimate is not None
        counts.append(estimate.units)
    assert counts == [23, 22, 23, 20, 32]


def test_a_drift_of_several_units_does_not_change_the_count() -> None:
    cell = Cell(10, Weigher(25.0), unit=25.0)
    cell.seconds(6)
    for _ in range(40):
        cell.drift += 2
        estimate = cell.seconds(6)
    assert estimate is not None
    assert estimate.units == 10
    cell.load -= 25
    estimate = cell.seconds(6)
    assert estimate is not None
    assert estimate.units == 9


def test_a_step_of_half_a_unit_is_flagged_and_forgiven_once_the_weight_agrees_again(cell: Cell) -> None:
    cell.seconds(6)
    cell.load += UNIT / 2
    estimate = cell.seconds(6)
    assert estimate is not None
    assert estimate.fault == "UNIT_WEIGHT"
    assert estimate.confidence < 0.5
    cell.load -= UNIT / 2
    estimate = cell.seconds(6)
    assert estimate is not None
    assert (estimate.units, estimate.fault) == (24, "")


def test_a_saturated_converter_keeps_the_count_but_not_the_confidence(cell: Cell) -> None:
    cell.seconds(6)
    estimate = cell.seconds(1, raw=RAW_LIMIT)
    assert estimate is not None
    assert (estimate.units, estimate.confidence, estimate.fault) == (24, 0.0, "SATURATED")


def test_a_reading_without_any_noise_is_stuck(cell: Cell) -> None:
    cell.seconds(6)
    assert (estimate := cell.seconds(25, raw=5)) is not None
    assert estimate.fault == ""
    assert (estimate := cell.seconds(10, raw=5)) is not None
    assert (estimate.confidence, estimate.fault) == (0.0, "STUCK")
    assert (estimate := cell.seconds(3)) is not None
    assert (estimate.units, estimate.fault) == (24, "")


def test_a_controllers_dead_cell_is_the_one_that_repeats_its_reading(cell: Cell) -> None:
    cell.seconds(6)
    assert (estimate := cell.seconds(8, cell_failed=True)) is not None
    assert (estimate.units, estimate.fault) == (24, ""), "its noise shows that another one is meant"
    assert (estimate := cell.seconds(4, raw=5, cell_failed=True)) is not None
    assert (estimate.confidence, estimate.fault) == (0.0, "STUCK")


def test_what_never_worked_is_reported_and_not_left_out() -> None:
    cell = Cell(10, Weigher(100.0), unit=100.0)
    estimate = cell.seconds(1, raw=-RAW_LIMIT - 1)
    assert estimate is not None
    assert (estimate.units, estimate.confidence, estimate.fault) == (0, 0.0, "SATURATED")


@pytest.mark.parametrize(("stands", "told", "fault"), [(10, 10, ""), (0, 20, "UNIT_WEIGHT"), (30, 4, "UNIT_WEIGHT")])
def test_a_count_that_the_weight_contradicts_is_not_sure(stands: int, told: int, fault: str) -> None:
    cell = Cell(stands, Weigher(100.0, known=told), unit=100.0)
    estimate = cell.seconds(6)
    assert estimate is not None
    assert (estimate.units, estimate.fault) == (told, fault)
    assert (estimate.confidence > 0.9) is not bool(fault)


def test_a_weight_that_never_rests_is_unstable(cell: Cell) -> None:
    cell.seconds(6)
    estimate = None
    for swing in range(60):
        cell.drift = 100.0 * (swing % 2)
        estimate = cell.seconds(0.5)
    assert estimate is not None
    assert (estimate.units, estimate.fault) == (24, "UNSTABLE")


def test_a_restart_keeps_the_count_and_sees_what_was_taken_meanwhile() -> None:
    before = Cell(10, Weigher(100.0), unit=100.0)
    before.seconds(6)
    cell = Cell(7, Weigher(100.0, before.weigher.memory), unit=100.0)
    cell.drift = 30.0
    assert cell.seconds(1) is None, "no figure before the first plateau"
    estimate = cell.seconds(6)
    assert estimate is not None
    assert estimate.units == 7


def test_more_taken_than_there_was_is_not_believed() -> None:
    cell = Cell(2, Weigher(100.0), unit=100.0)
    cell.seconds(6)
    cell.load = -700.0
    estimate = cell.seconds(6)
    assert estimate is not None
    assert (estimate.units, estimate.fault) == (2, "NEGATIVE"), "the last count, and nothing to be believed"
    assert estimate.confidence == 0


def test_a_refill_of_uneven_units_is_settled_by_the_scan_that_announced_it() -> None:
    """Forty units of 5 % spread weigh as much as 41 or 39 of them: the weight alone cannot tell."""
    told, silent = Cell(2, Weigher(150.0, known=2), unit=150.0), Cell(2, Weigher(150.0, known=2), unit=150.0)
    for cell in (told, silent):
        cell.seconds(6)
        cell.load += 40 * 150.0 + 75.0
    told.weigher.expect(40)
    estimate, doubtful = told.seconds(6), silent.seconds(6)
    assert estimate is not None
    assert doubtful is not None
    assert (estimate.units, estimate.fault) == (42, "")
    assert estimate.confidence > doubtful.confidence + 0.2


@pytest.mark.parametrize("trips", [(40,), (20, 20), (10, 30), (20, 10, 10)])
def test_cases_announced_one_by_one_settle_whatever_is_put_up_at_once(trips: tuple[int, ...]) -> None:
    cell = Cell(0, Weigher(40.0, known=0), unit=40.0)
    cell.seconds(6)
    for _ in range(4):
        cell.weigher.expect(10)
    for units in trips:
        cell.load += units * 40.0 + 25.0  # heavy ones: the weight alone says one more
        cell.seconds(6)
    assert cell.weigher.units == 40


def test_an_error_made_at_a_refill_is_noticed_once_the_shelf_is_nearly_empty() -> None:
    cell = Cell(0, Weigher(150.0, known=0), unit=150.0)
    cell.seconds(6)
    cell.load += 20 * 150.0 + 85.0
    assert (estimate := cell.seconds(6)) is not None
    assert estimate.units == 21, "20 heavy ones look like 21"
    for _ in range(20):
        cell.load -= 154.25
        estimate = cell.seconds(6)
    assert estimate is not None
    assert (estimate.units, estimate.fault) == (0, "")


def test_the_unit_weight_is_learnt_within_a_tenth() -> None:
    cell = Cell(48, Weigher(100.0, known=48), unit=103.0)
    cell.seconds(6)
    for _ in range(40):
        cell.load -= 103.0
        cell.seconds(6)
    assert cell.weigher.units == 8
    assert 101.5 < cell.weigher.unit_weight_g < 103.1


def test_another_product_on_the_channel_is_told_by_its_weight_and_the_right_one_takes_it_back() -> None:
    cell = Cell(20, Weigher(540.0, known=20), unit=540.0)
    cell.seconds(6)
    for _ in range(3):
        cell.load += 6 * 430.0  # somebody fills up with another sort
        cell.seconds(6)
    for _ in range(5):
        cell.load -= 430.0
        estimate = cell.seconds(6)
    assert estimate is not None
    assert (estimate.fault, estimate.confidence) == ("PLANOGRAM", 0.0)
    for _ in range(6):
        cell.load -= 540.0
        estimate = cell.seconds(6)
    assert estimate is not None
    assert estimate.fault != "PLANOGRAM"


@pytest.mark.parametrize("spread", [0.015, 0.05])
def test_uneven_units_of_the_right_product_are_not_taken_for_another(spread: float) -> None:
    random_weights = random.Random(3)
    cell = Cell(0, Weigher(70.0, known=0), unit=70.0)
    cell.seconds(6)
    faults = set()
    for number in range(60):
        cell.load += random_weights.gauss(70.0, spread * 70.0) * (1 if number % 3 else 2)
        estimate = cell.seconds(6)
        faults.add(estimate.fault if estimate else "")
    assert "PLANOGRAM" not in faults


def test_a_tray_that_is_lifted_off_is_no_sale_and_no_silent_zero() -> None:
    cell = Cell(10, Weigher(540.0))
    cell.seconds(6)
    cell.load -= 10 * 540.0 + 850.0
    lifted = cell.seconds(8)
    assert lifted is not None
    assert (lifted.units, lifted.confidence, lifted.fault) == (10, 0.0, "NEGATIVE")
    cell.load += 10 * 540.0 + 850.0
    back = cell.seconds(8)
    assert back is not None
    assert (back.units, back.fault) == (10, "")
    assert back.confidence > 0.9


def test_a_channel_that_begins_below_nothing_says_so() -> None:
    cell = Cell(0, Weigher(540.0))
    cell.load = -5000.0
    estimate = cell.seconds(8)
    assert estimate is not None
    assert (estimate.units, estimate.confidence, estimate.fault) == (0, 0.0, "NEGATIVE")
