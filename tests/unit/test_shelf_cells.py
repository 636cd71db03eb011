"""Mixed facings, announced refills, and the climate over time: what a shelf agent makes of its samples."""

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import ConfigurationError
from contracts.messages import Environment, Stock, decode_event
from contracts.topics import Kind
from edge.shelf.cell import Cell
from edge.shelf.climate import Climate, Kinetic, Limits
from edge.shelf.mixed import explain
from edge.shelf.planogram import Line, load_planogram
from edge.shelf.setup import load_limits
from edge.shelf.weigh import Sample

A, B = "06901234567892", "06912345000017"


class Scale:
    """A load cell under one or two products; tests move the goods."""

    def __init__(self, lines: list[Line], grams: float, notes: dict[str, str] | None = None) -> None:
        self.cell = Cell(lines, notes or {})
        self.grams = grams
        self.now = 100.0
        self._random = random.Random(3)

    def rest(self, seconds: float = 6) -> dict[str, Stock]:
        """Let time pass; return the last report of each product."""
        last = {}
        for _ in range(int(4 * seconds)):
            weight = self.grams + self._random.gauss(0, 0.3)
            for draft in self.cell.feed(Sample(round(weight * 150), round(weight)), self.now, ""):
                event = decode_event(Kind.STOCK, draft.body)
                assert isinstance(event, Stock)
                last[event.gtin] = event
            self.now += 0.25
        return last


@pytest.fixture
def shared() -> Scale:
    lines = [Line(1, A, 200.0, units=6), Line(2, B, 330.0, cell=1, units=4)]
    return Scale(lines, 6 * 200.0 + 4 * 330.0)


def test_products_that_share_a_cell_are_counted_apart(shared: Scale) -> None:
    first = shared.rest()
    assert [(each.channel, each.units) for each in first.values()] == [(1, 6), (2, 4)]
    shared.grams -= 330
    assert shared.rest()[B].units == 3
    shared.grams -= 400
    told = shared.rest()
    assert (told[A].units, told[A].fault) == (4, "")


def test_what_cannot_be_told_apart_is_flagged_until_it_can_and_never_guessed() -> None:
    lines = [Line(1, A, 100.0, units=5), Line(2, B, 101.0, cell=1, units=5)]
    scale = Scale(lines, 1005.0)
    scale.rest()
    scale.grams -= 100.5
    told = scale.rest()
    assert {(each.units, each.fault, each.confidence) for each in told.values()} == {(5, "AMBIGUOUS", 0.3)}
    scale.grams += 100.5
    assert {(each.units, each.fault) for each in scale.rest().values()} == {(5, "")}


def test_counts_of_shared_cells_outlive_a_restart(shared: Scale) -> None:
    shared.rest()
    shared.grams -= 330
    shared.rest()
    again = Scale([each.line for each in shared.cell.facings], shared.grams - 200, {"channel/1": shared.cell.note()})
    assert {gtin: each.units for gtin, each in again.rest().items()} == {A: 5, B: 3}


@given(st.integers(-6, 10), st.integers(-4, 10))
def test_an_explanation_always_weighs_what_was_moved(first: int, second: int) -> None:
    moved = explain(first * 200.0 + second * 333.0, [200.0, 333.0], [6, 4]).moved
    if moved is not None:
        assert abs(moved[0] * 200.0 + moved[1] * 333.0 - first * 200.0 - second * 333.0) < 60
        assert moved[0] >= -6
        assert moved[1] >= -4
    if abs(first) + abs(second) == 1:
        assert moved == (first, second)


def test_a_refill_that_was_announced_is_settled_by_it() -> None:
    scale = Scale([Line(1, A, 150.0, units=2)], 300.0)
    scale.rest()
    scale.cell.expect(A, 40)
    scale.grams += 40 * 150.0 + 75.0
    assert scale.rest()[A].units == 42


def test_a_refill_that_was_announced_before_a_restart_is_still_awaited() -> None:
    # Forty at 5 % weigh as much as thirty-nine: what was announced settles it.
    lines = [Line(1, A, 40.0, units=10)]
    before = Scale(lines, 400)
    assert before.rest()[A].units == 10
    before.cell.expect(A, 40)
    after = Scale(lines, 400, {before.cell.note_name: before.cell.note()})
    assert after.rest()[A].units == 10
    after.grams += 39.45 * 40
    assert after.rest(40)[A].units == 50


def test_another_tare_keeps_the_count() -> None:
    scale = Scale([Line(1, A, 150.0)], 1500.0)
    scale.rest()
    scale.cell.settled([0, 15, 0, 850, 0, 0, 1000, 1, *[0] * 8])
    scale.cell.settled([0, 15, 0, 400, 0, 0, 1000, 1, *[0] * 8])
    scale.grams += 450
    assert scale.rest(40)[A].units == 10


def see(climate: Climate, now: float, celsius: float | None, *, door: bool = False) -> Environment:
    seen = climate.see(int(now * 1000), now, celsius, 50.0, door_open=door)
    assert seen is not None
    return seen


def test_a_limit_alarms_after_its_duration_and_not_before() -> None:
    climate = Climate(Limits(warmest_c=8, coldest_c=2, minutes=10))
    alarms = [see(climate, minute * 60, 9.0).alarm for minute in range(12)]
    assert alarms == [""] * 10 + ["TOO_WARM"] * 2
    assert see(climate, 800, 5.0).alarm == ""
    assert see(climate, 900, 9.0).alarm == "", "the time begins anew"
    cold = Climate(Limits(coldest_c=2, minutes=0))
    assert see(cold, 0, 1.9).alarm == "TOO_COLD"


def test_a_fast_change_an_open_door_and_a_silent_probe_are_told() -> None:
    climate = Climate(Limits(rate_c_per_min=0.5, door_minutes=1, stale_seconds=60))
    rising = [see(climate, 10 * tick, 4 + tick / 6).alarm for tick in range(20)]
    assert rising[0] == ""
    assert rising[-1] == "RATE"
    still = Climate(Limits(door_minutes=1, stale_seconds=60))
    assert see(still, 0, 4.0, door=True).alarm == ""
    assert see(still, 61, 4.0, door=True).alarm == "DOOR"
    assert see(still, 70, None).alarm == ""
    stale = see(still, 130, None)
    assert (stale.alarm, stale.temperature_c, stale.humidity) == ("STALE", 4.0, None)
    assert see(still, 131, 99.0).alarm == "STALE", "99 degrees are no temperature"
    assert Climate(Limits()).see(0, 0.0, None, None, door_open=None) is None


def test_a_probe_that_is_dead_since_before_a_restart_is_stale_and_not_silent() -> None:
    before = Climate(Limits(warmest_c=8, stale_seconds=60))
    see(before, 0, 4.0)
    after = Climate(Limits(warmest_c=8, stale_seconds=60), before.kinetic)
    assert see(after, 1000, None).alarm == ""
    stale = see(after, 1060, None)
    assert (stale.alarm, stale.temperature_c) == ("STALE", 4.0)


@pytest.mark.parametrize("text", ['{"warmst_c": 8}', '{"warmest_c": 8, "minutes": -1}', "[]"])
def test_a_limit_that_nobody_knows_is_refused_and_not_passed_over(tmp_path: Path, text: str) -> None:
    path = tmp_path / "limits.json"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match="cannot be used"):
        load_limits(path)


def test_a_field_that_no_planogram_has_is_refused_and_not_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "planogram.json"
    path.write_text(f'[{{"channel": 1, "gtin": "{A}", "unit_weight_g": 540, "packs": 6}}]')
    with pytest.raises(ConfigurationError, match="packs"):
        load_planogram(path)


def test_the_mean_kinetic_temperature_weighs_warm_hours_more() -> None:
    steady, mixed = Kinetic(), Kinetic()
    for hour in range(100):
        steady.add(5.0, 3600)
        mixed.add(25.0 if hour % 10 == 0 else 5.0, 3600)
    assert steady.celsius == pytest.approx(5.0, abs=0.01)
    assert mixed.celsius is not None
    # The arithmetic mean is 7 °C; by the formula of mean kinetic temperature it is 10.3 °C.
    assert mixed.celsius == pytest.approx(10.3, abs=0.3)
