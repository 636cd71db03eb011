"""A Modbus RTU slave on a pty: the master end is ours, the other end is a serial device for an agent to open.

pymodbus' own serial server opens a device by name, so it would need a second pty and a bridge; here its framer and
its messages work on the master end directly.
"""

import asyncio
import os
import tty
from pathlib import Path
from typing import Final

import structlog
from pymodbus.constants import ExcCodes
from pymodbus.exceptions import ModbusIOException
from pymodbus.framer.rtu import FramerRTU
from pymodbus.pdu import DecodePDU, ExceptionResponse, ModbusPDU
from pymodbus.pdu.register_message import (
    ReadHoldingRegistersRequest,
    ReadHoldingRegistersResponse,
    ReadInputRegistersRequest,
    ReadInputRegistersResponse,
    WriteMultipleRegistersRequest,
    WriteMultipleRegistersResponse,
    WriteSingleRegisterRequest,
    WriteSingleRegisterResponse,
)

from contracts.errors import ConfigurationError
from firmware_sim.shelves.controller import Controller, Trouble

_log = structlog.get_logger(__name__)
_BROADCAST: Final = 0
# Any pause between two bytes of one frame longer than this means that a new frame begins.
_FRAME_GAP_SECONDS: Final = 0.05
_LARGEST_READ: Final = 4096


class PtySlave:
    """Serves one controller at `link`, a symbolic link to the pty, from within a running event loop."""

    def __init__(self, controller: Controller, link: Path) -> None:
        self._controller = controller
        self._link = link
        self._framer = FramerRTU(DecodePDU(is_server=True))
        self._buffer = b""
        self._heard_at = 0.0
        self._master = self._slave = -1
        self._loop: asyncio.AbstractEventLoop | None = None

    def open(self) -> None:
        """Make the pty and the link; a link left by an earlier process is replaced, anything else is not touched."""
        if self._link.exists() and not self._link.is_symlink():
            raise ConfigurationError(
                f"{self._link} is in the way of a simulated serial line", advice="Remove it or choose another --links."
            )
        self._link.parent.mkdir(parents=True, exist_ok=True)
        # Our copy of the other end stays open, or the line would hang up whenever an agent closes it.
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        fresh = self._link.with_name(f".{self._link.name}.new")
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(os.ttyname(self._slave))
        fresh.replace(self._link)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._master, self._receive)

    def close(self) -> None:
        """Remove the link, unless another process has replaced it, and end the line."""
        if self._loop is not None:
            self._loop.remove_reader(self._master)
        if self._link.is_symlink() and str(self._link.readlink()) == os.ttyname(self._slave):
            self._link.unlink()
        os.close(self._master)
        os.close(self._slave)

    def _receive(self) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._heard_at > _FRAME_GAP_SECONDS:
            self._buffer = b""
        self._heard_at = now
        self._buffer += os.read(self._master, _LARGEST_READ)
        while self._buffer:
            used, answer = self._next_answer()
            if not used:
                return
            self._buffer = self._buffer[used:]
            if answer is not None:
                self._send(answer)

    def _next_answer(self) -> tuple[int, ModbusPDU | None]:
        """Return how many bytes were dealt with, 0 for an unfinished frame, and the answer to them, if any."""
        try:
            used, request = self._framer.handleFrame(self._buffer, 0, 0)
        except ModbusIOException:
            return len(self._buffer), self._refusal(self._buffer[0], self._buffer[1], ExcCodes.ILLEGAL_VALUE)
        if request is None or request.dev_id not in {_BROADCAST, self._controller.unit_id}:
            return used, None
        answer = self._answer(request)
        return used, None if request.dev_id == _BROADCAST else answer

    def _answer(self, request: ModbusPDU) -> ModbusPDU:
        device = request.dev_id
        # The class of function 4 derives from that of function 3.
        if isinstance(request, ReadInputRegistersRequest):
            words = self._controller.read_input(request.address, request.count)
            if words is not None:
                return ReadInputRegistersResponse(registers=words, dev_id=device)
        elif isinstance(request, ReadHoldingRegistersRequest):
            words = self._controller.read_holding(request.address, request.count)
            if words is not None:
                return ReadHoldingRegistersResponse(registers=words, dev_id=device)
        elif isinstance(request, WriteSingleRegisterRequest):
            if self._controller.write(request.address, request.registers):
                return WriteSingleRegisterResponse(address=request.address, registers=request.registers, dev_id=device)
        elif isinstance(request, WriteMultipleRegistersRequest):
            if self._controller.write(request.address, request.registers):
                return WriteMultipleRegistersResponse(
                    address=request.address, count=len(request.registers), dev_id=device
                )
        else:
            return self._refusal(device, request.function_code, ExcCodes.ILLEGAL_FUNCTION)
        return self._refusal(device, request.function_code, ExcCodes.ILLEGAL_ADDRESS)

    def _refusal(self, device: int, function: int, reason: ExcCodes) -> ModbusPDU:
        return ExceptionResponse(function, reason, device_id=device)

    def _send(self, answer: ModbusPDU) -> None:
        trouble = self._controller.trouble
        if trouble is Trouble.SILENCE:
            return
        frame = self._framer.buildFrame(answer)
        if trouble is Trouble.CRC:
            frame = frame[:-1] + bytes([frame[-1] ^ 0xFF])
        try:
            os.write(self._master, frame)
        except BlockingIOError:
            _log.warning("nobody reads the serial line", action="shelf.line_full", link=str(self._link))
