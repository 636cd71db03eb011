"""The wizard against a controller on a pty, and hands that reach into a simulated shop."""

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from shelf_hardware import Hardware

from cli.main import main
from contracts.errors import ConfigurationError, SourceError
from contracts.shelf_registers import Holding, block
from edge.shelf.calibrate import Bench
from edge.shelf.modbus import Address, ShelfController
from firmware_sim.print_job import Channel, Shelf
from firmware_sim.shelves.controller import Trouble
from firmware_sim.shelves.shop import Shop


@pytest.fixture
def hardware(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hardware]:
    monkeypatch.setattr("edge.shelf.calibrate._PAUSE_SECONDS", 0.05)
    hardware = Hardware(tmp_path / "shelf.tty")
    # A cell whose gain is 4 % off, on another tray than the factory thought.
    hardware.controller.write(block(1) + Holding.CALIBRATION.offset, Holding.CALIBRATION.pack(40_000))
    hardware.controller.write(block(1) + Holding.TARE.offset, Holding.TARE.pack(700))
    hardware.cells[1].units = []
    hardware.switch_on()
    yield hardware
    hardware.switch_off()


def load(hardware: Hardware, what: str) -> None:
    cell = hardware.cells[1]
    weights = {"empty": [], "5000 g": [5000.0], "10 units": [540.0] * 10}[what]
    cell.units = []
    cell.put(weights)


def test_two_points_and_a_check_make_a_channel_show_what_stands_on_it(hardware: Hardware) -> None:
    controller = ShelfController(str(hardware.line), [1])
    record = Bench(controller, 1, lambda what, _: load(hardware, what)).calibrate(5000.0, "li.na", units=10)
    controller.close()
    assert record.passed
    assert record.loaded_reads_g == pytest.approx(5000, abs=3)
    assert record.unit_weight_g == pytest.approx(540, abs=1)
    registers = hardware.controller.read_holding(block(1), 16) or []
    assert Holding.CALIBRATION.unpack(registers) == pytest.approx(0, abs=600)
    assert Holding.TARE.unpack(registers) == pytest.approx(850, abs=3)
    assert Holding.UNIT_WEIGHT.unpack(registers) == pytest.approx(5400, abs=10)


def test_the_command_watches_the_weights_and_keeps_a_record(
    tmp_path: Path, hardware: Hardware, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cli.shelf._say", lambda line: load(hardware, line.removeprefix("waiting for: ")))
    record = tmp_path / "records.jsonl"
    options = ["--reference", "5000", "--watch", "--by", "li.na", "--record", str(record), "--json"]
    answer = CliRunner().invoke(main, ["shelf", "calibrate", str(hardware.line), "1", *options])
    assert answer.exit_code == 0
    kept = json.loads(record.read_text())
    assert kept == json.loads(answer.output)
    assert (kept["by"], kept["passed"], kept["before"]["tare_g"]) == ("li.na", True, 700)


def test_what_cannot_be_right_is_refused_and_changes_nothing(hardware: Hardware) -> None:
    controller = ShelfController(str(hardware.line), [1])
    with pytest.raises(ConfigurationError, match="too light"):
        Bench(controller, 1, lambda *_: None).calibrate(50.0, "li.na")
    with pytest.raises(ConfigurationError, match="for 5000 g"):
        Bench(controller, 1, lambda *_: None).calibrate(5000.0, "li.na")
    hardware.controller.trouble = Trouble.SATURATED
    with pytest.raises(SourceError, match="does not work"):
        Bench(controller, 1, lambda *_: None).calibrate(5000.0, "li.na")
    controller.close()
    registers = hardware.controller.read_holding(block(1), 16) or []
    assert Holding.CALIBRATION.unpack(registers) == 40_000


@pytest.mark.parametrize("text", ["", "/dev/x#0", "/dev/x#300", "tcp://host", "tcp://host:99999", "a b"])
def test_an_address_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError):
        Address.read(text)


def test_a_hand_takes_what_is_there_and_an_unknown_place_is_named(tmp_path: Path) -> None:
    shelf = Shelf("shelf-01", "STORE-1", (Channel(2, "06912345000017", 500.0, 9, 40),))
    shop = Shop((shelf,), seed=1)
    stop = asyncio.Event()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=lambda: loop.run_until_complete(shop.serve(tmp_path / "shelves", stop)))
    thread.start()
    try:
        command = ["--var", str(tmp_path), "--json"]
        while not (tmp_path / "shelves" / "shelf-01.tty").exists():
            time.sleep(0.01)
        taken = CliRunner().invoke(main, ["shelf", "take", "STORE-1/2", "4", *command])
        assert json.loads(taken.output.splitlines()[-1]) == {"units": 4, "left": 5, "device": "shelf-01", "problem": ""}
        assert len(shop.shelves[0].cells[2].units) == 5
        put = CliRunner().invoke(main, ["shelf", "put", "shelf-01/2", "3", *command])
        assert json.loads(put.output.splitlines()[-1])["left"] == 8
        all_of_it = CliRunner().invoke(main, ["shelf", "take", "shelf-01/2", "50", *command])
        assert json.loads(all_of_it.output.splitlines()[-1])["units"] == 8
        nowhere = CliRunner().invoke(main, ["shelf", "take", "STORE-9/1", "1", *command])
        assert nowhere.exit_code == 2
        assert "STORE-9/1" in nowhere.output
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()
    assert np.isclose(shop.shelves[0].cells[2].load_g, 850)


def test_without_a_running_system_the_command_says_how_to_start_one(tmp_path: Path) -> None:
    answer = CliRunner().invoke(main, ["shelf", "take", "STORE-1/1", "1", "--var", str(tmp_path)])
    assert answer.exit_code == 1
    assert "codefence up" in answer.output
    assert CliRunner().invoke(main, ["shelf", "take", "STORE-1", "1"]).exit_code == 2


@pytest.mark.parametrize("place", ["S-CHENGDU-01/1", "S-CHENGDU-01", "/1", "S-CHENGDU-01/65"])
def test_a_delivery_needs_a_running_system_and_a_channel(tmp_path: Path, place: str) -> None:
    told = CliRunner().invoke(main, ["shelf", "deliver", place, "1", "--var", str(tmp_path)])
    assert told.exit_code == 2
    assert "codefence up" in told.output or "name a place" in told.output
