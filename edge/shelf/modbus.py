"""Shelf controllers on serial lines or TCP, read and set over Modbus."""

import re
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Protocol

from pymodbus.client import ModbusSerialClient, ModbusTcpClient
from pymodbus.exceptions import ModbusException
from pymodbus.pdu import ModbusPDU

from contracts.errors import ConfigurationError, SourceError
from contracts.shelf_registers import (
    BLOCK_SIZE,
    DEFAULT_BAUD_RATE,
    DEFAULT_UNIT_ID,
    NO_DOOR,
    NO_HUMIDITY,
    NO_TEMPERATURE,
    RAW_LIMIT,
    Fault,
    Holding,
    Input,
    Register,
    Shared,
    block,
)
from edge.shelf.weigh import Sample

_ANSWER_SECONDS: Final = 0.3
_ATTEMPTS: Final = 2
_LONGEST_QUIETING_SECONDS: Final = 1.5
_ADDRESS: Final = re.compile(
    r"(?:tcp://(?P<host>[^\s:#/]+):(?P<port>\d{1,5})|(?P<path>/[^\s#,]+))(?:#(?P<unit>\d{1,3}))?"
)
_MOST_UNIT_ID: Final = 247
_MOST_PORT: Final = 65_535


class Address(NamedTuple):
    """Where a controller is: a serial line, or host and port of a gateway, and its Modbus address there."""

    line: str
    unit: int

    @classmethod
    def read(cls, text: str) -> "Address":
        """Read `/dev/ttyUSB0`, `/dev/ttyUSB0#2` or `tcp://10.0.0.7:502#2`; raises `ConfigurationError`."""
        match = _ADDRESS.fullmatch(text.strip())
        unit = int((match and match["unit"]) or DEFAULT_UNIT_ID)
        if match is None or not 1 <= unit <= _MOST_UNIT_ID or not 0 < int(match["port"] or 1) <= _MOST_PORT:
            raise ConfigurationError(
                f"{text!r} is no shelf controller", advice="Name it /dev/ttyUSB0, /dev/ttyUSB0#2 or tcp://HOST:502#2."
            )
        return cls(match["path"] or f"tcp://{match['host']}:{match['port']}", unit)


class Reading(NamedTuple):
    """Everything that one poll brings; `channels` leaves out those that the controller does not have."""

    channels: dict[int, Sample]
    temperature_c: float | None
    humidity: float | None
    faults: Fault
    firmware: str
    door_open: bool | None = None


class ShelfSource(Protocol):
    """Where a shelf agent gets its readings from."""

    def poll(self) -> Reading:
        """Return the current values, or raise `SourceError`."""
        ...

    def settings(self, channel: int) -> list[int]:
        """Return a channel's holding registers, or raise `SourceError`."""
        ...

    def write(self, channel: int, register: Register, value: int) -> None:
        """Write one value of a channel and read it back; raises `SourceError` where it was not taken."""
        ...

    def close(self) -> None:
        """Let go of the line; the next poll takes it up again."""
        ...


class Bus:
    """One line and its client; controllers that share an RS-485 bus take turns."""

    def __init__(self, line: str) -> None:
        self.line = line
        self.lock = threading.Lock()
        self._heard = False
        self.client: ModbusSerialClient | ModbusTcpClient
        if line.startswith("tcp://"):
            host, _, port = line.removeprefix("tcp://").rpartition(":")
            self.client = ModbusTcpClient(host, port=int(port), timeout=1.0, retries=0, name="shelf")
        else:
            self.client = ModbusSerialClient(
                line,
                baudrate=DEFAULT_BAUD_RATE,
                timeout=_ANSWER_SECONDS,
                retries=0,
                name="shelf",
                trace_packet=self._trace,
            )

    def ask(self, question: Callable[[], ModbusPDU], count: int) -> ModbusPDU:
        """Ask, and once more where no answer of `count` registers comes; raises `ModbusException` or `OSError`.

        An answer on a serial line names no question: one that comes late must not be taken for that of the next one.
        """
        with self.lock:
            started, self._heard = time.monotonic(), False
            try:
                answer = question()
            except (ModbusException, OSError):
                broken = self._heard
            else:
                if not answer.isError() and len(answer.registers) == count:
                    return answer
                broken = False
            self._quiet(_ANSWER_SECONDS)
            between, self._heard = time.monotonic() - started, False
            try:
                return question()
            finally:
                if self._heard and not broken:
                    # Was that the answer to the first question, then the second one's takes as long again.
                    self._quiet(between)

    def _trace(self, sending: bool, data: bytes) -> bytes:  # noqa: FBT001  the library's signature
        self._heard |= not sending and bool(data)
        return data

    def _quiet(self, seconds: float) -> None:
        """Wait until a serial line has said nothing for so long."""
        if not isinstance(self.client, ModbusSerialClient) or self.client.socket is None:
            return
        port = self.client.socket
        deadline = time.monotonic() + _LONGEST_QUIETING_SECONDS
        port.timeout = seconds
        while port.read(256) and time.monotonic() < deadline:
            pass
        port.timeout = _ANSWER_SECONDS


class ShelfController:
    """Polls the given channels of one controller; opens the line when it is needed."""

    def __init__(self, address: str | Address, channels: Sequence[int], bus: Bus | None = None) -> None:
        self.address = Address.read(address) if isinstance(address, str) else address
        self._channels = tuple(channels)
        self._bus = bus or Bus(self.address.line)

    def poll(self) -> Reading:
        """Read the shared block and every channel; what is not answered twice, or cannot be, is `SourceError`."""
        shared = self._read(Shared.BASE, Shared.SIZE)
        there = Shared.CHANNELS.unpack(shared)
        faults = Fault(Shared.FAULTS.unpack(shared))
        samples = {}
        for channel in self._channels:
            if channel <= there:
                registers = self._read(block(channel), BLOCK_SIZE)
                raw, grams = Input.RAW.unpack(registers), Input.GRAMS.unpack(registers)
                if abs(raw) > RAW_LIMIT + 1:
                    raise SourceError(
                        f"channel {channel} reads {raw}, which no converter of 24 bits does",
                        advice="Values are big-endian, high word first: see whether the controller swaps words.",
                    )
                samples[channel] = Sample(raw, grams, Fault.LOAD_CELL in faults)
        temperature, humidity = Shared.TEMPERATURE.unpack(shared), Shared.HUMIDITY.unpack(shared)
        door = Shared.DOOR.unpack(shared)
        return Reading(
            samples,
            None if temperature == NO_TEMPERATURE or Fault.PROBE in faults else temperature / 10,
            None if humidity == NO_HUMIDITY or Fault.PROBE in faults else humidity / 10,
            faults,
            "{}.{}".format(*divmod(Shared.FIRMWARE.unpack(shared), 256)),
            None if door == NO_DOOR else bool(door),
        )

    def settings(self, channel: int) -> list[int]:
        """Return the holding registers of a channel's block."""
        return self._ask(self._bus.client.read_holding_registers, block(channel), BLOCK_SIZE)

    def write(self, channel: int, register: Register, value: int) -> None:
        """Write one value of a channel's holding registers and read it back."""
        address, words = block(channel) + register.offset, register.pack(value)
        try:
            answer = self._bus.ask(
                lambda: self._bus.client.write_registers(address, words, device_id=self.address.unit), 0
            )
        except (ModbusException, OSError) as error:
            raise self._failure(str(error)) from error
        if answer.isError():
            raise self._failure(f"register 0x{address:04X} does not take {value}: {answer}")
        unit = value if register is Holding.UNIT_ID else self.address.unit
        self.address = self.address._replace(unit=unit)
        if register.unpack(self.settings(channel)) != value:
            raise self._failure(f"register 0x{address:04X} does not keep {value}")

    def close(self) -> None:
        """Close the line."""
        with self._bus.lock:
            self._bus.client.close()  # type: ignore[no-untyped-call]  # pymodbus leaves it unannotated

    def _read(self, address: int, count: int) -> list[int]:
        return self._ask(self._bus.client.read_input_registers, address, count)

    def _ask(self, read: "_Read", address: int, count: int) -> list[int]:
        try:
            answer = self._bus.ask(lambda: read(address, count=count, device_id=self.address.unit), count)
        except (ModbusException, OSError) as error:
            raise self._failure(f"no answer on {self._bus.line}, asked twice ({type(error).__name__})") from error
        if answer.isError() or len(answer.registers) != count:
            raise self._failure(f"registers 0x{address:04X} on {self._bus.line}: {answer}")
        return list(answer.registers)

    def _failure(self, text: str) -> SourceError:
        place = f"its address {self.address.unit}"
        if not self._bus.line.startswith("tcp://"):
            place += f" and {DEFAULT_BAUD_RATE} baud"
        return SourceError(text, advice=f"Check the cable, the controller's power, {place}.")


class _Read(Protocol):
    def __call__(self, address: int, *, count: int, device_id: int) -> ModbusPDU: ...


def connect(addresses: str, channels: Sequence[Sequence[int]]) -> list[ShelfController]:
    """Return the controllers named by `addresses`, separated by commas, each with its channels; buses are shared."""
    found = [Address.read(text) for text in addresses.split(",")]
    if len(set(found)) != len(found):
        raise ConfigurationError(f"{addresses} names a controller twice", advice="Name each one once.")
    if len(channels) > len(found):
        raise ConfigurationError(
            f"the planogram speaks of controller {len(channels)}, but only {len(found)} are named",
            advice="Name every controller in EDGE_SERIAL, separated by commas.",
        )
    buses = {address.line: Bus(address.line) for address in found}
    return [ShelfController(each, wanted, buses[each.line]) for each, wanted in zip(found, channels, strict=False)]
