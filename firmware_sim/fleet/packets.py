"""The dozen MQTT 3.1.1 packets that a device needs, as bytes."""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

CONNACK: Final = 2
PUBLISH: Final = 3
PUBACK: Final = 4
SUBACK: Final = 9
PING: Final = b"\xc0\x00"
DISCONNECT: Final = b"\xe0\x00"
_CONTINUES: Final = 0x80
_LONGEST_LENGTH: Final = 4


class Packet(NamedTuple):
    """A packet from the broker: its type, its flags, and what follows the fixed header."""

    kind: int
    flags: int
    body: bytes


class Publication(NamedTuple):
    """A message from the broker; `number` is 0 at QoS 0."""

    topic: str
    number: int
    payload: bytes


class Reader:
    """Cuts a byte stream into packets."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, received: bytes) -> Iterator[Packet]:
        """Yield the packets that `received` completes; a malformed length raises `ConnectionError`."""
        self._rest += received
        while (header := _header(self._rest)) is not None:
            start, size = header
            if len(self._rest) < start + size:
                return
            first, body = self._rest[0], self._rest[start : start + size]
            self._rest = self._rest[start + size :]
            yield Packet(first >> 4, first & 0x0F, body)


def connect(client_id: str, user: str, password: str, keepalive: int) -> bytes:
    """Open a clean session: what it loses, the application's acknowledgement notices."""
    flags = 0xC2  # user name, password, clean session
    body = _text("MQTT") + bytes([4, flags]) + keepalive.to_bytes(2) + _text(client_id) + _text(user) + _text(password)
    return _packet(0x10, body)


def subscribe(number: int, filters: Sequence[str]) -> bytes:
    """Ask for topics at QoS 0: an acknowledgement that gets lost is asked for again by sending again."""
    return _packet(0x82, number.to_bytes(2) + b"".join(_text(each) + b"\x00" for each in filters))


def publish(number: int, topic: str, payload: bytes) -> bytes:
    """Publish at QoS 1."""
    return _packet(0x32, _text(topic) + number.to_bytes(2) + payload)


def puback(number: int) -> bytes:
    """Confirm a message."""
    return b"\x40\x02" + number.to_bytes(2)


def publication(packet: Packet) -> Publication:
    """Take a PUBLISH apart."""
    size = int.from_bytes(packet.body[:2])
    topic, rest = packet.body[2 : 2 + size].decode(), packet.body[2 + size :]
    if packet.flags & 0x06:
        return Publication(topic, int.from_bytes(rest[:2]), rest[2:])
    return Publication(topic, 0, rest)


def _header(data: bytes) -> tuple[int, int] | None:
    """Return where the body starts and how long it is, None while that has not arrived."""
    size = 0
    for index in range(_LONGEST_LENGTH):
        if len(data) < index + 2:
            return None
        byte = data[index + 1]
        size |= (byte & 0x7F) << (7 * index)
        if not byte & _CONTINUES:
            return index + 2, size
    raise ConnectionError("the broker sent a malformed packet")


def _text(text: str) -> bytes:
    raw = text.encode()
    return len(raw).to_bytes(2) + raw


def _packet(first: int, body: bytes) -> bytes:
    header, size = bytearray([first]), len(body)
    while True:
        size, digit = divmod(size, _CONTINUES)
        header.append(digit | _CONTINUES if size else digit)
        if not size:
            return bytes(header) + body
