import json
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import pytest
from conftest import TestBroker
from edge_parts import SITE, Application, start_agent
from shelf_hardware import DEVICE, GTIN, UNIT_G, Hardware
from waiting import PATIENCE, wait_for

from cli.embedded.users import INGEST
from contracts.errors import ConfigurationError, OutboxFullError, SourceError
from contracts.messages import Environment, Stock, decode_event
from contracts.shelf_registers import Fault, Holding, block
from contracts.stations import Refill
from contracts.topics import Kind
from edge.outbox import Outbox
from edge.shelf.agent import ShelfAgent
from edge.shelf.modbus import Reading, ShelfController
from edge.shelf.planogram import Line, load_planogram
from edge.shelf.refills import RefillFeed
from firmware_sim.shelves.controller import Trouble

PLANOGRAM = [{"channel": channel, "gtin": GTIN, "unit_weight_g": UNIT_G} for channel in (1, 2)]
StartBroker = Callable[[Mapping[str, str]], TestBroker]


class Shop:
    """A shelf agent in this process, and the stock that it has reported."""

    def __init__(self, folder: Path, outbox: Outbox, hardware: Hardware) -> None:
        path = folder / "planogram.json"
        path.write_text(json.dumps(PLANOGRAM))
        planogram = load_planogram(path)
        controller = ShelfController(str(hardware.line), [line.channel for line in planogram])
        self.outbox = outbox
        self.stop = threading.Event()
        self._agent = ShelfAgent(outbox, controller, planogram)
        self._thread = threading.Thread(target=self._agent.run, args=(self.stop,))

    def open(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self.stop.set()
        if self._thread.ident:
            self._thread.join()

    def reports(self, channel: int = 1) -> list[Stock]:
        events = [decode_event(row.kind, row.body) for row in self.outbox.take(10_000)]
        return [event for event in events if isinstance(event, Stock) and event.channel == channel]

    def last(self, channel: int = 1) -> tuple[int, str]:
        reports = self.reports(channel)
        return (reports[-1].units, reports[-1].fault) if reports else (-1, "")


@pytest.fixture
def hardware(tmp_path: Path) -> Iterator[Hardware]:
    hardware = Hardware(tmp_path / "shelf.tty")
    hardware.switch_on()
    yield hardware
    hardware.switch_off()


@pytest.fixture
def shop(tmp_path: Path, hardware: Hardware) -> Iterator[Shop]:
    with Outbox(tmp_path / "outbox.db") as outbox:
        shop = Shop(tmp_path, outbox, hardware)
        yield shop
        shop.close()


def test_sales_and_refills_are_counted_and_only_changes_are_reported(shop: Shop, hardware: Hardware) -> None:
    shop.open()
    wait_for(lambda: shop.last() == (10, "") and shop.last(2) == (10, ""))
    hardware.cells[1].take()
    wait_for(lambda: shop.last() == (9, ""))
    hardware.cells[1].put([UNIT_G] * 12)
    wait_for(lambda: shop.last() == (21, ""))
    time.sleep(1)
    assert [report.units for report in shop.reports(1)] == [10, 9, 21]
    assert [report.units for report in shop.reports(2)] == [10]
    assert all(report.confidence > 0.8 for report in shop.reports(1))
    climate = [decode_event(row.kind, row.body) for row in shop.outbox.take(99) if row.kind is Kind.ENV]
    assert isinstance(climate[0], Environment)
    assert (climate[0].temperature_c, climate[0].humidity) == (4.5, 61.0)


def test_no_fault_ever_leaves_a_figure_standing(
    shop: Shop, hardware: Hardware, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.shelf.agent.SILENT_SECONDS", 1.0)
    monkeypatch.setattr("edge.shelf.weigh._STUCK_SECONDS", 2.0)
    shop.open()
    wait_for(lambda: shop.last() == (10, ""))
    faults = (
        (Trouble.STUCK, "STUCK"),
        (Trouble.SATURATED, "SATURATED"),
        (Trouble.SUPPLY, "SUPPLY"),
        (Trouble.SILENCE, "SILENT"),
        (Trouble.CRC, "SILENT"),
    )
    for trouble, fault in faults:
        hardware.controller.trouble = trouble
        wait_for(lambda fault=fault: shop.last()[1] == fault)  # type: ignore[misc]
        assert shop.reports()[-1].confidence == 0
    hardware.controller.trouble = None
    wait_for(lambda: shop.last() == (10, ""))
    hardware.controller.trouble = Trouble.CELL
    wait_for(lambda: shop.last() == (10, "STUCK"))
    hardware.cells[1].take()
    hardware.controller.trouble = None
    wait_for(lambda: shop.last() == (9, ""))
    # It starts anew between two questions, and has forgotten how it was set up.
    weight = block(1) + Holding.UNIT_WEIGHT.offset
    assert hardware.controller.write(weight, Holding.UNIT_WEIGHT.pack(0))
    hardware.uptime = -time.monotonic()
    hardware.controller.sample(1.0, {})
    wait_for(lambda: (9, "REBOOTED") in [(report.units, report.fault) for report in shop.reports(1)])
    wait_for(lambda: hardware.controller.read_holding(weight, 2) == Holding.UNIT_WEIGHT.pack(round(UNIT_G * 10)))


def test_a_unit_weight_of_nothing_is_set_right_and_a_tray_lifted_off_is_no_sale(shop: Shop, hardware: Hardware) -> None:
    weight = block(1) + Holding.UNIT_WEIGHT.offset
    assert hardware.controller.write(weight, Holding.UNIT_WEIGHT.pack(0))
    shop.open()
    wait_for(lambda: shop.last() == (10, ""))
    assert hardware.controller.read_holding(weight, 2) == list(Holding.UNIT_WEIGHT.pack(round(UNIT_G * 10)))
    hardware.cells[1].zero_g -= 10 * UNIT_G + 850
    wait_for(lambda: shop.last() == (10, "NEGATIVE"))
    assert (shop.reports()[-1].confidence, shop.reports()[-1].grams < -500) == (0, True)
    hardware.cells[1].zero_g += 10 * UNIT_G + 850
    wait_for(lambda: shop.last() == (10, ""))
    assert {report.units for report in shop.reports()} == {10}


def test_a_channel_that_the_controller_does_not_have_is_reported_as_silent(tmp_path: Path, hardware: Hardware) -> None:
    planogram = [Line(1, GTIN, UNIT_G), Line(2, GTIN, UNIT_G), Line(7, GTIN, UNIT_G)]
    stop = threading.Event()
    with Outbox(tmp_path / "outbox.db") as outbox:
        agent = ShelfAgent(outbox, ShelfController(str(hardware.line), [1, 2, 7]), planogram)
        thread = threading.Thread(target=agent.run, args=(stop,))
        thread.start()

        def stock() -> dict[int, tuple[int, str]]:
            events = [decode_event(row.kind, row.body) for row in outbox.take(99)]
            return {event.channel: (event.units, event.fault) for event in events if isinstance(event, Stock)}

        try:
            wait_for(lambda: stock() == {1: (10, ""), 2: (10, ""), 7: (0, "SILENT")})
        finally:
            stop.set()
            thread.join()


def test_what_was_announced_is_remembered_with_the_first_report_that_the_outbox_takes(
    tmp_path: Path, hardware: Hardware, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed = RefillFeed("http://127.0.0.1:9", "token")
    feed._news.put(Refill(GTIN, 24, 1_000))
    nothing = Reading({}, None, None, Fault(0), "1.0")

    def full(*_: object) -> None:
        raise OutboxFullError("full", advice="Wait.")

    with Outbox(tmp_path / "outbox.db") as outbox:
        controller = ShelfController(str(hardware.line), [1])
        agent = ShelfAgent(outbox, controller, [Line(1, GTIN, UNIT_G)])
        agent.announce(feed)
        with monkeypatch.context() as while_full:
            while_full.setattr(outbox, "add", full)
            agent._digest(nothing, 0.0)
        assert outbox.notes() == {}
        agent._digest(nothing, 60.0)
        assert '"announced":[24]' in outbox.notes()["channel/1"]
        assert ShelfAgent(outbox, controller, [Line(1, GTIN, UNIT_G)]).heard_until == 1_001


def test_a_controller_that_is_unplugged_and_plugged_in_again_is_found(shop: Shop, hardware: Hardware) -> None:
    shop.open()
    wait_for(lambda: shop.last() == (10, ""))
    hardware.switch_off()
    time.sleep(1)
    hardware.cells[1].take()
    hardware.switch_on()
    wait_for(lambda: shop.last() == (9, ""))


def test_the_count_outlives_a_restart_of_the_agent(tmp_path: Path, shop: Shop, hardware: Hardware) -> None:
    shop.open()
    wait_for(lambda: shop.last() == (10, ""))
    shop.close()
    hardware.cells[1].take()
    hardware.cells[1].zero_g += UNIT_G * 0.4
    again = Shop(tmp_path, shop.outbox, hardware)
    again.open()
    wait_for(lambda: again.last()[0] == 9)
    again.close()
    assert "channel/1" in shop.outbox.notes()


def test_a_line_that_does_not_exist_is_a_source_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError) as failure:
        ShelfController(str(tmp_path / "nothing.tty"), [1]).poll()
    assert failure.value.advice


def test_the_command_publishes_what_the_shelf_holds(
    tmp_path: Path, hardware: Hardware, start_broker: StartBroker
) -> None:
    broker = start_broker({DEVICE: SITE})
    (tmp_path / "planogram.json").write_text(json.dumps(PLANOGRAM))
    application = Application(broker.port, broker.passwords[INGEST])
    agent = start_agent(
        "shelf",
        tmp_path / "log",
        device=DEVICE,
        site=SITE,
        broker_port=broker.port,
        broker_password=broker.passwords[DEVICE],
        data=tmp_path / "agent",
        serial=hardware.line,
        planogram=tmp_path / "planogram.json",
    )
    try:
        wait_for(lambda: len(application.events(Kind.STOCK)) >= 2 and application.events(Kind.ENV))
        hardware.cells[2].take()
        wait_for(lambda: len(application.events(Kind.STOCK)) >= 3)
        agent.send_signal(signal.SIGTERM)
        assert agent.wait(PATIENCE) == 0
    finally:
        with suppress(ProcessLookupError):
            agent.kill()
        agent.wait()
        application.stop()
    units = [(event.channel, event.units) for event in map(_stock, application.events(Kind.STOCK).values())]
    assert sorted(units) == [(1, 10), (2, 9), (2, 10)]


def _stock(raw: bytes) -> Stock:
    event = decode_event(Kind.STOCK, raw)
    assert isinstance(event, Stock)
    return event


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '[{"channel": 0, "gtin": "06901234567892", "unit_weight_g": 5}]',
        '[{"channel": 1, "gtin": "06901234567893", "unit_weight_g": 5}]',
        '[{"channel": 1, "gtin": "06901234567892", "unit_weight_g": 0}]',
        json.dumps([PLANOGRAM[0], PLANOGRAM[0]]),
    ],
    ids=["empty file", "no channel", "channel 0", "check digit", "weightless", "twice"],
)
def test_a_planogram_with_a_mistake_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "planogram.json"
    path.write_text(text)
    with pytest.raises(ConfigurationError) as failure:
        load_planogram(path)
    assert failure.value.advice
