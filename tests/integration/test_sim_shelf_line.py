import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pymodbus.client import ModbusSerialClient
from pymodbus.exceptions import ModbusIOException
from waiting import PATIENCE, wait_for

from contracts.shelf_registers import DEFAULT_UNIT_ID, Holding, Input, Shared, block

WORLD = {
    "run": "R0001",
    "devices": {"gateway-market": {"site": "market"}},
    "products": [],
    "dealers": [],
    "orders": [],
    "cases": [],
    "places": [],
    "shelves": [
        {
            "device": f"shelf-0{number}",
            "site": f"STORE-{number}",
            "channels": [
                {"channel": channel, "gtin": "06912345000017", "unit_weight_g": 1150, "units": 20, "capacity": 36}
                for channel in (1, 2, 3)
            ],
        }
        for number in (1, 2)
    ],
}


class Shelves:
    def __init__(self, folder: Path, *options: str) -> None:
        self.links = folder / "lines"
        world = folder / "market.json"
        world.write_text(json.dumps(WORLD))
        arguments = ("--world", world, "--links", self.links, "--state", folder / "state.json")
        command = "from cli.main import main; main()"
        # A line that a killed process has left may have become somebody else's: the system gives its number again.
        self._left = [self._made(number) for number in (1, 2)]
        self.process = subprocess.Popen(
            [sys.executable, "-c", command, "simulate", "shelves", *map(str, arguments), *options],
            stderr=subprocess.DEVNULL,
        )
        wait_for(self.is_ready)

    def is_ready(self) -> bool:
        assert self.process.poll() is None
        made = [self._made(number) for number in (1, 2)]
        return all(now not in (None, before) for now, before in zip(made, self._left, strict=True))

    def _made(self, number: int) -> int | None:
        line = self.line(number)
        return line.lstat().st_mtime_ns if line.is_symlink() else None

    def line(self, number: int) -> Path:
        return self.links / f"shelf-0{number}.tty"

    def client(self, number: int, timeout: float = 30, retries: int = 0) -> ModbusSerialClient:
        client = ModbusSerialClient(str(self.line(number)), baudrate=115_200, timeout=timeout, retries=retries)
        assert client.connect()
        return client

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)


Start = Callable[..., Shelves]


@pytest.fixture
def shelves(tmp_path: Path) -> Iterator[Start]:
    started: list[Shelves] = []

    def start(*options: str) -> Shelves:
        started.append(Shelves(tmp_path, *options))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.stop()


def test_a_modbus_client_reads_stock_and_climate_and_writes_settings(shelves: Start) -> None:
    client = shelves().client(1)
    shared = client.read_input_registers(Shared.BASE, count=Shared.SIZE).registers
    assert Shared.CHANNELS.unpack(shared) == 3
    full = pytest.approx(20 * 1150, rel=0.12)
    wait_for(lambda: Input.GRAMS.unpack(client.read_input_registers(block(3), count=16).registers) == full)
    written = client.write_registers(block(3) + Holding.UNIT_WEIGHT.offset, Holding.UNIT_WEIGHT.pack(5000))
    assert not written.isError()
    assert not client.write_register(block(3) + Holding.DEBOUNCE.offset, 700).isError()
    settings = client.read_holding_registers(block(3), count=16).registers
    assert (Holding.UNIT_WEIGHT.unpack(settings), Holding.DEBOUNCE.unpack(settings)) == (5000, 700)
    client.close()


def test_what_does_not_exist_is_answered_with_an_exception(shelves: Start) -> None:
    running = shelves()
    client = running.client(1)
    assert client.read_input_registers(0x0800, count=2).exception_code == 2
    assert client.read_coils(0, count=1).exception_code == 1
    client.close()
    client = running.client(1, timeout=1)
    with pytest.raises(ModbusIOException):
        client.read_input_registers(0, count=1, device_id=DEFAULT_UNIT_ID + 5)
    client.close()
    client = running.client(1)
    assert not client.read_input_registers(0, count=1).isError()
    client.close()


def test_noise_before_a_request_and_a_client_that_comes_back_do_not_disturb_the_line(shelves: Start) -> None:
    running = shelves()
    for _ in range(3):
        # A simulator that got no processor meanwhile has seen no pause after the noise.
        client = running.client(2, timeout=3, retries=20)
        client.socket.write(b"\x01\x04\x00")
        time.sleep(0.2)
        assert client.read_input_registers(Shared.BASE, count=Shared.SIZE).registers[0] == 3
        client.close()


def test_stock_and_lines_come_back_after_a_kill(shelves: Start) -> None:
    first = shelves()
    state = first.links.parent / "state.json"
    wait_for(lambda: state.exists() and json.loads(state.read_text())["elapsed"] > 2)
    old = str(first.line(1).readlink())
    first.stop(signal.SIGKILL)
    assert first.line(1).is_symlink()
    kept = json.loads(state.read_text())
    second = shelves()
    assert not second.client(1).read_input_registers(0, count=1).isError()
    assert second.stop() == 0
    assert not second.line(1).is_symlink()
    after = json.loads(state.read_text())
    assert after["elapsed"] > kept["elapsed"] > 2
    assert after["channels"]["shelf-02/2"]["units"] == kept["channels"]["shelf-02/2"]["units"]
    assert old.startswith("/dev/pts/")


@pytest.mark.parametrize("fault", ["silence", "crc"])
def test_a_faulty_controller_gives_no_answer_that_a_client_believes(shelves: Start, fault: str) -> None:
    running = shelves("--fault", f"shelf-01={fault}")
    client = running.client(1, timeout=1)
    with pytest.raises(ModbusIOException):
        client.read_input_registers(0, count=1)
    client.close()
    healthy = running.client(2)
    assert not healthy.read_input_registers(0, count=1).isError()
    healthy.close()
