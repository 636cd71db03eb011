"""One device's connection to the broker."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from firmware_sim.fleet import packets
from firmware_sim.fleet.packets import Publication, Reader

_ANSWER_SECONDS: Final = 30.0
_KEEPALIVE_SECONDS: Final = 60
_LAST_NUMBER: Final = 65_535


class Account(NamedTuple):
    """Who a device is."""

    device: str
    site: str
    password: str


class Link(asyncio.Protocol):
    """Calls `heard` for each message, and `lost` once when the connection is gone."""

    def __init__(self, heard: Callable[[Publication], None], lost: Callable[[], None]) -> None:
        self._heard = heard
        self._lost = lost
        self._reader = Reader()
        self._transport: asyncio.Transport | None = None
        self._granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._number = 0
        self.is_open = False

    async def open(self, host: str, port: int, account: Account, filters: Sequence[str]) -> None:
        """Connect, log in and subscribe; `OSError` where any of it fails."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(_ANSWER_SECONDS):
            self._transport, _ = await loop.create_connection(lambda: self, host, port)
            login = packets.connect(account.device, account.device, account.password, _KEEPALIVE_SECONDS)
            self._transport.write(login + packets.subscribe(1, filters))
            await self._granted
        self.is_open = True

    def publish(self, topic: str, payload: bytes) -> None:
        """Send at QoS 1; the broker's confirmation means nothing to the device."""
        self._number = self._number % _LAST_NUMBER + 1
        self._write(packets.publish(self._number, topic, payload))

    def ping(self) -> None:
        """Keep the connection alive."""
        self._write(packets.PING)

    def close(self) -> None:
        """Close at once, without taking leave."""
        self.is_open = False
        if self._transport is not None:
            self._transport.abort()
        if not self._granted.done():
            self._granted.cancel()

    def data_received(self, data: bytes) -> None:
        """Take in what the broker sends; a malformed packet ends the connection."""
        try:
            for packet in self._reader.feed(data):
                self._take(packet)
        except ConnectionError as error:
            self._fail(error)

    def connection_lost(self, exc: Exception | None) -> None:
        """Learn that the connection is gone."""
        self._fail(exc or ConnectionError("the broker closed the connection"))

    def _take(self, packet: packets.Packet) -> None:
        if packet.kind == packets.PUBLISH:
            heard = packets.publication(packet)
            if heard.number:
                self._write(packets.puback(heard.number))
            self._heard(heard)
        elif packet.kind == packets.CONNACK and packet.body[1]:
            self._fail(ConnectionError(f"the broker refuses the connection: code {packet.body[1]}"))
        elif packet.kind == packets.SUBACK and not self._granted.done():
            self._granted.set_result(None)

    def _fail(self, error: Exception) -> None:
        self.is_open = False
        if not self._granted.done():
            self._granted.set_exception(error)
            self._granted.exception()  # whoever waits gets it; a link that nobody waits for is no fault
        if self._transport is not None:
            self._transport.abort()
        self._lost()

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)
