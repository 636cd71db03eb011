from pathlib import Path

import numpy as np
import pytest

from contracts.shelf_registers import RAW_LIMIT, Fault, Holding, Input, Shared, block
from firmware_sim.print_job import Channel, Shelf
from firmware_sim.shelves.cell import TRAY_G, LoadCell, weigh_units
from firmware_sim.shelves.controller import Controller, Trouble
from firmware_sim.shelves.hands import Hand
from firmware_sim.shelves.shop import TICK_SECONDS, Shop, SimulatedShelf

GTIN = "06912345000017"
CHANNELS = (
    Channel(channel=1, gtin=GTIN, unit_weight_g=1150.0, units=12, capacity=36),
    Channel(channel=2, gtin=GTIN, unit_weight_g=35.0, units=30, capacity=40),
)
SHELF = Shelf(device="shelf-01", site="STORE-1", channels=CHANNELS)


def _run(shop: Shop, seconds: float) -> None:
    for _ in range(round(seconds / TICK_SECONDS)):
        shop.tick()


def test_the_weight_of_a_quiet_channel_is_that_of_its_units_and_stable() -> None:
    shop = Shop((SHELF,), seed=1)
    _run(shop, 4)
    words = shop.shelves[0].controller.read_input(block(1), 16)
    assert words is not None
    assert Input.GRAMS.unpack(words) == pytest.approx(12 * 1150, abs=60)
    assert Input.STABLE.unpack(words) == 1
    assert Input.COUNT.unpack(words) == 12
    assert Input.SEQUENCE.unpack(words) == 1


def test_stock_follows_customers_for_an_hour_and_is_never_negative() -> None:
    shop = Shop((SHELF,), seed=7)
    seen: set[int] = set()
    for _ in range(60):
        _run(shop, 60)
        for channel in CHANNELS:
            cell = shop.shelves[0].cells[channel.channel]
            assert 0 <= len(cell.units) <= channel.capacity
            assert cell.load_g == pytest.approx(TRAY_G + len(cell.units) * channel.unit_weight_g, rel=0.02)
            seen.add(len(cell.units))
    assert len(seen) > 10, "somebody bought something"


def test_the_channel_lowest_for_its_capacity_loses_a_third_within_forty_seconds_and_the_other_hardly_anything() -> None:
    shop = Shop((SHELF,), seed=3)
    _run(shop, 40)
    assert len(shop.shelves[0].cells[1].units) == 12 - 5
    assert len(shop.shelves[0].cells[2].units) >= 28


def test_a_pick_swings_before_it_is_stable_and_raises_the_sequence() -> None:
    shop = Shop((SHELF,), seed=5)
    _run(shop, 11.8)
    before = shop.shelves[0].controller.read_input(block(1), 16)
    flags = set()
    for _ in range(40):
        shop.tick()
        flags.add(Input.STABLE.unpack(shop.shelves[0].controller.read_input(block(1), 16)))
    after = shop.shelves[0].controller.read_input(block(1), 16)
    assert flags == {0, 1}
    assert Input.SEQUENCE.unpack(after) == Input.SEQUENCE.unpack(before) + 1
    assert Input.GRAMS.unpack(before) - Input.GRAMS.unpack(after) == pytest.approx(1150, abs=25)


def test_creep_and_drift_move_the_reading_though_nobody_touches_the_shelf() -> None:
    random = np.random.default_rng(2)
    cell = LoadCell(weigh_units(20, 1000.0, random), random)
    cell.put([1000.0] * 10)
    for _ in range(300):
        cell.advance(0.1)
    settled = np.mean([cell.measure(21.0) for _ in range(200)])
    for _ in range(36_000):
        cell.advance(0.1)
    later = np.mean([cell.measure(21.0) for _ in range(200)])
    assert 0.3 < abs(later - settled) < 30


def test_the_same_seed_sells_the_same_and_another_seed_does_not() -> None:
    shops = [Shop((SHELF,), seed=seed) for seed in (4, 4, 5)]
    for shop in shops:
        _run(shop, 300)
    first, again, other = ([shop.shelves[0].cells[n].units for n in (1, 2)] for shop in shops)
    assert first == again
    assert first != other


def test_a_restart_keeps_stock_and_settings_but_not_those_of_another_product(tmp_path: Path) -> None:
    state = tmp_path / "shelves.json"
    shop = Shop((SHELF,), seed=1, state_file=state)
    _run(shop, 60)
    assert shop.shelves[0].controller.write(block(1) + Holding.DEBOUNCE.offset, [500])
    shop.save()
    swapped = Shelf("shelf-01", "STORE-1", (CHANNELS[0], Channel(2, "06912345000024", 35.0, 30, 40)))
    again = Shop((swapped,), seed=1, state_file=state)
    assert again.shelves[0].cells[1].units == shop.shelves[0].cells[1].units
    assert Holding.DEBOUNCE.unpack(again.shelves[0].controller.read_holding(block(1), 16)) == 500
    assert len(again.shelves[0].cells[2].units) == 30


def test_the_first_ten_seconds_are_flagged_as_a_reboot_and_climate_is_plausible() -> None:
    shop = Shop((SHELF,), seed=1)
    _run(shop, 5)
    early = shop.shelves[0].controller.read_input(Shared.BASE, Shared.SIZE)
    _run(shop, 6)
    late = shop.shelves[0].controller.read_input(Shared.BASE, Shared.SIZE)
    assert Shared.FAULTS.unpack(early) == Fault.REBOOTED
    assert Shared.FAULTS.unpack(late) == 0
    assert 180 < Shared.TEMPERATURE.unpack(late) < 260
    assert 400 < Shared.HUMIDITY.unpack(late) < 650
    assert Shared.CHANNELS.unpack(late) == 2


def test_the_door_opens_when_somebody_reaches_in_and_closes_again() -> None:
    shop = Shop((SHELF,), seed=1)
    _run(shop, 1)
    shelf = shop.shelves[0]
    assert _door(shelf) == 0
    shop.reach(Hand("STORE-1", 2, 1))
    _run(shop, 0.2)
    assert _door(shelf) == 1
    seen = []
    for _ in range(120):
        _run(shop, 1)
        seen.append(_door(shelf))
    assert 0 in seen, "doors close by themselves"
    assert 1 in seen[20:], "customers open them as well"


def _door(shelf: SimulatedShelf) -> int:
    return Shared.DOOR.unpack(shelf.controller.read_input(Shared.BASE, Shared.SIZE))


def test_a_saturated_cell_stands_on_the_limit_and_a_stuck_one_repeats_itself() -> None:
    saturated, stuck = Controller(SHELF, trouble=Trouble.SATURATED), Controller(SHELF, trouble=Trouble.STUCK)
    for controller in (saturated, stuck):
        controller.sample(0.1, {1: 5000.0, 2: 1000.0})
    raw = Input.RAW.unpack(stuck.read_input(block(1), 16))
    stuck.sample(0.2, {1: 9000.0, 2: 1000.0})
    assert Input.RAW.unpack(saturated.read_input(block(1), 16)) == RAW_LIMIT
    assert Input.RAW.unpack(stuck.read_input(block(1), 16)) == raw


def test_calibration_and_tare_change_the_grams_but_not_the_raw_reading() -> None:
    controller = Controller(SHELF)
    controller.sample(0.1, {1: 10_000.0, 2: 1000.0})
    before = controller.read_input(block(1), 16)
    assert controller.write(block(1) + Holding.TARE.offset, Holding.TARE.pack(0))
    assert controller.write(block(1) + Holding.CALIBRATION.offset, Holding.CALIBRATION.pack(-10_000))
    controller.sample(0.2, {1: 10_000.0, 2: 1000.0})
    after = controller.read_input(block(1), 16)
    assert (Input.GRAMS.unpack(before), Input.GRAMS.unpack(after)) == (9150, 9900)
    assert Input.RAW.unpack(before) == Input.RAW.unpack(after)


@pytest.mark.parametrize(("address", "count"), [(6, 1), (0, 7), (0xFF, 2), (0x11F, 2), (0x300, 1)])
def test_registers_that_do_not_exist_cannot_be_read(address: int, count: int) -> None:
    assert Controller(SHELF).read_input(address, count) is None


def test_an_address_that_no_slave_may_have_is_refused_and_nothing_is_written() -> None:
    controller = Controller(SHELF)
    assert not controller.write(block(2) + Holding.DEBOUNCE.offset, [9, 300])
    assert Holding.DEBOUNCE.unpack(controller.read_holding(block(2), 16)) == 1000
    assert controller.write(block(2) + Holding.UNIT_ID.offset, [17])
    assert controller.unit_id == 17
