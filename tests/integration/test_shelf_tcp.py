"""Controllers behind TCP and several at once: one that is away keeps none of the others."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from pymodbus.datastore import ModbusDeviceContext, ModbusSequentialDataBlock, ModbusServerContext
from pymodbus.server import ModbusTcpServer
from shelf_hardware import GTIN, UNIT_G, Hardware
from waiting import PATIENCE, wait_for

from cli.embedded.files import kept_port
from contracts.errors import ConfigurationError
from contracts.messages import Stock, decode_event
from contracts.shelf_registers import BLOCK_SIZE, Holding, Input, Shared, block
from edge.outbox import Outbox
from edge.shelf.agent import ShelfAgent, run_agents
from edge.shelf.modbus import ShelfController, connect
from edge.shelf.planogram import Line

SIZE = block(1) + BLOCK_SIZE


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[int]:
    """A gateway with one controller of one channel, unit 3, that shows 5,000 g."""
    inputs, holding = [0] * SIZE, [0] * SIZE
    inputs[Shared.CHANNELS.offset] = 1
    inputs[Shared.DOOR.offset] = 1
    inputs[block(1) + Input.GRAMS.offset : block(1) + Input.GRAMS.offset + 2] = Input.GRAMS.pack(5000)
    # The library's blocks count from 1.
    device = ModbusDeviceContext(ir=ModbusSequentialDataBlock(1, inputs), hr=ModbusSequentialDataBlock(1, holding))
    port = kept_port(tmp_path / "port")
    loop = asyncio.new_event_loop()
    started, ended = threading.Event(), asyncio.Event()

    async def serve() -> None:
        server = ModbusTcpServer(ModbusServerContext(devices={3: device}, single=False), address=("127.0.0.1", port))
        await server.serve_forever(background=True)
        started.set()
        await ended.wait()
        await server.shutdown()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    assert started.wait(PATIENCE)
    yield port
    loop.call_soon_threadsafe(ended.set)
    thread.join()
    loop.close()


def test_a_controller_behind_tcp_is_read_and_set(gateway: int) -> None:
    controller = ShelfController(f"tcp://127.0.0.1:{gateway}#3", [1])
    reading = controller.poll()
    assert reading.channels[1].grams == 5000
    assert reading.door_open is True
    controller.write(1, Holding.TARE, -250)
    assert Holding.TARE.unpack(controller.settings(1)) == -250
    controller.close()


def test_of_two_controllers_the_one_that_is_away_keeps_not_the_other(tmp_path: Path) -> None:
    hardware = Hardware(tmp_path / "one.tty")
    hardware.switch_on()
    lines = [Line(1, GTIN, UNIT_G), Line(2, GTIN, UNIT_G, cell=1, controller=2)]
    controllers = connect(f"{tmp_path / 'one.tty'},{tmp_path / 'absent.tty'}#2", [[1], [1]])
    stop = threading.Event()
    with Outbox(tmp_path / "outbox.db") as outbox:
        agents = [ShelfAgent(outbox, each, [line]) for each, line in zip(controllers, lines, strict=True)]
        thread = threading.Thread(target=run_agents, args=(agents, stop))
        thread.start()
        try:
            wait_for(lambda: _channels(outbox) == {1: 10})
        finally:
            stop.set()
            thread.join()
            hardware.switch_off()
    with pytest.raises(ConfigurationError, match="twice"):
        connect("/dev/a,/dev/a", [[1], [1]])
    with pytest.raises(ConfigurationError, match="controller 2"):
        connect("/dev/a", [[1], [1]])


def _channels(outbox: Outbox) -> dict[int, int]:
    events = [decode_event(row.kind, row.body) for row in outbox.take(1000)]
    return {event.channel: event.units for event in events if isinstance(event, Stock)}
