"""MQTT 3.1.1 packets as bytes: what a client says."""

import struct
from collections.abc import Sequence
from typing import Final

from ingest.mqtt.consumer import BrokerError

CONNACK: Final = 0x20
PUBLISH: Final = 0x30
PUBACK: Final = 0x40
SUBACK: Final = 0x90
UNSUBACK: Final = 0xB0
PINGRESP: Final = 0xD0

PINGREQ: Final = b"\xc0\x00"
DISCONNECT: Final = b"\xe0\x00"
DUP: Final = 0x08
LAST_MID: Final = 0xFFFF
REFUSED: Final = 0x80

_LEVEL_4: Final = b"\x00\x04MQTT\x04"
_USER_AND_PASSWORD: Final = 0xC0  # and neither a will nor a clean session
_LENGTHS: Final = (1 << 7, 1 << 14, 1 << 21, 1 << 28)


class ProtocolError(BrokerError):
    """The broker sent what MQTT 3.1.1 does not allow; nothing after it can be read."""

    code = "BROKER_PROTOCOL"


def connect(client_id: str, user: str, password: str, keepalive_seconds: int) -> bytes:
    """Return a CONNECT that continues the session of `client_id`."""
    head = _LEVEL_4 + struct.pack(">BH", _USER_AND_PASSWORD, keepalive_seconds)
    return _packet(0x10, head + _text(client_id) + _text(user) + _text(password))


def subscribe(mid: int, filters: Sequence[str]) -> bytes:
    """Return a SUBSCRIBE at QoS 1."""
    return _packet(0x82, struct.pack(">H", mid) + b"".join(_text(one) + b"\x01" for one in filters))


def unsubscribe(mid: int, filters: Sequence[str]) -> bytes:
    """Return an UNSUBSCRIBE."""
    return _packet(0xA2, struct.pack(">H", mid) + b"".join(map(_text, filters)))


def publish(mid: int, topic: str, payload: bytes) -> bytes:
    """Return a PUBLISH at QoS 1."""
    return _packet(PUBLISH | 0x02, _text(topic) + struct.pack(">H", mid) + payload)


def pubacks(mids: Sequence[int]) -> bytes:
    """Return one PUBACK after another."""
    head = PUBACK << 24 | 2 << 16
    return struct.pack(f">{len(mids)}I", *[head | mid for mid in mids])


def _packet(first: int, rest: bytes) -> bytes:
    length = len(rest)
    if length >= _LENGTHS[-1]:
        raise ProtocolError(f"{length} bytes are more than a packet holds")
    size = bytearray((first,))
    while length >= _LENGTHS[0]:
        size.append(length & 0x7F | 0x80)
        length >>= 7
    size.append(length)
    return bytes(size) + rest


def _text(text: str) -> bytes:
    encoded = text.encode()
    if len(encoded) > LAST_MID:
        raise ProtocolError(f"{len(encoded)} bytes are more than a text holds")
    return struct.pack(">H", len(encoded)) + encoded
