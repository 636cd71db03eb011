"""A shelf controller on a serial line, read over Modbus RTU."""

from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

from pymodbus.client import ModbusSerialClient
from pymodbus.exceptions import ModbusException

from contracts.errors import SourceError
from contracts.shelf_registers import (
    BLOCK_SIZE,
    DEFAULT_BAUD_RATE,
    DEFAULT_UNIT_ID,
    NO_HUMIDITY,
    NO_TEMPERATURE,
    Fault,
    Input,
    Shared,
    block,
)
from edge.weigh import Sample

_ANSWER_SECONDS: Final = 0.3
_RETRIES: Final = 1


class Reading(NamedTuple):
    """Everything that one poll brings; `channels` leaves out those that the controller does not have."""

    channels: dict[int, Sample]
    temperature_c: float | None
    humidity: float | None
    faults: Fault
    firmware: str


class ShelfSource(Protocol):
    """Where a shelf agent gets its readings from."""

    def poll(self) -> Reading:
        """Return the current values, or raise `SourceError`."""
        ...

    def close(self) -> None:
        """Let go of the line; the next poll takes it up again."""
        ...


class ShelfController:
    """Polls the given channels of the controller on `port`; opens the line when it is needed."""

    def __init__(self, port: str, channels: Sequence[int]) -> None:
        self._port = port
        self._channels = tuple(channels)
        self._client = ModbusSerialClient(
            port, baudrate=DEFAULT_BAUD_RATE, timeout=_ANSWER_SECONDS, retries=_RETRIES, name="shelf"
        )

    def poll(self) -> Reading:
        """Read the shared block and every channel; a wrong CRC is asked again once, anything else is `SourceError`."""
        shared = self._read(Shared.BASE, Shared.SIZE)
        there = Shared.CHANNELS.unpack(shared)
        faults = Fault(Shared.FAULTS.unpack(shared))
        samples = {}
        for channel in self._channels:
            if channel <= there:
                registers = self._read(block(channel), BLOCK_SIZE)
                raw, grams = Input.RAW.unpack(registers), Input.GRAMS.unpack(registers)
                samples[channel] = Sample(raw, grams, Fault.LOAD_CELL in faults)
        temperature, humidity = Shared.TEMPERATURE.unpack(shared), Shared.HUMIDITY.unpack(shared)
        return Reading(
            samples,
            None if temperature == NO_TEMPERATURE or Fault.PROBE in faults else temperature / 10,
            None if humidity == NO_HUMIDITY or Fault.PROBE in faults else humidity / 10,
            faults,
            "{}.{}".format(*divmod(Shared.FIRMWARE.unpack(shared), 256)),
        )

    def close(self) -> None:
        """Close the serial line."""
        self._client.close()  # type: ignore[no-untyped-call]  # pymodbus leaves it unannotated

    def _read(self, address: int, count: int) -> list[int]:
        advice = f"Check the cable, the controller's power, its address {DEFAULT_UNIT_ID} and {DEFAULT_BAUD_RATE} baud."
        try:
            answer = self._client.read_input_registers(address, count=count, device_id=DEFAULT_UNIT_ID)
        except (ModbusException, OSError) as error:
            raise SourceError(f"no answer on {self._port}: {error}", advice=advice) from error
        if answer.isError() or len(answer.registers) != count:
            raise SourceError(f"registers 0x{address:04X} on {self._port}: {answer}", advice=advice)
        return list(answer.registers)
