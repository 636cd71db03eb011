"""How the devices of a fleet behave, well or badly."""

import random
import secrets
from enum import StrEnum
from typing import Final, NamedTuple

from contracts.errors import ChecksumError, MessageError, TimestampError
from contracts.messages import Scan, Stock, encode_event, pack
from contracts.topics import Kind, ack_topic, command_topic, event_topic

_EARLY_MS: Final = 5 * 60 * 1000
_LATE_MS: Final = 30 * 24 * 3600 * 1000


class Poison(StrEnum):
    """Ways in which an event can be bad; the first two spoil the whole message and travel alone."""

    JSON = "json"
    CRC = "crc"
    NUL = "nul"
    RANGE = "range"


class Behaviour(NamedTuple):
    """What a device does beside its duty.

    `duplicates` and `poison` are shares, 0 to 1; `shuffle` sends messages in any order; `clock_offset_ms` is how far
    its clock is ahead; `victim` names a device whose acknowledgements, commands and events it forges.
    With `gtin` the device is a shelf that holds this product, and each capture finds one unit more or less.
    """

    rate: float = 1.0
    duplicates: float = 0.0
    shuffle: bool = False
    clock_offset_ms: int = 0
    poison: float = 0.0
    victim: str = ""
    resend_seconds: float = 30.0
    longest_reconnect_seconds: float = 60.0
    gtin: str = ""

    @property
    def kind(self) -> Kind:
        """What its messages are about."""
        return Kind.STOCK if self.gtin else Kind.SCAN


class Event(NamedTuple):
    """An event as it will be sent. `fate` is empty, or why it must be refused."""

    seq: int
    nonce: str
    body: bytes
    poison: Poison | None
    fate: str

    @property
    def travels_alone(self) -> bool:
        """Whether it would spoil its neighbours."""
        return self.poison in {Poison.JSON, Poison.CRC}


def capture(seq: int, now: int, behaviour: Behaviour, draw: random.Random) -> Event:
    """Return a new event, captured at `now` by a right clock, in milliseconds since the epoch."""
    nonce = secrets.token_hex(8)
    poison = draw.choice(list(Poison)) if draw.random() < behaviour.poison else None
    code = f"{nonce}\x00" if poison is Poison.NUL else nonce
    ts = now + behaviour.clock_offset_ms
    fate = _fate(poison, behaviour.clock_offset_ms)
    at = -1 if poison is Poison.RANGE else ts
    if behaviour.gtin:
        units = draw.randint(5, 40)
        body = encode_event(
            Stock(ts=at, channel=1, gtin=behaviour.gtin, grams=500 * units, units=units, confidence=0.98)
        )
    else:
        body = encode_event(Scan(ts=at, code=code, symbology="datamatrix"))
    return Event(seq, nonce, body[:-2] if poison is Poison.JSON else body, poison, fate)


def message(boot: str, events: list[Event], now: int) -> bytes:
    """Return the payload that carries events with numbers that follow one another."""
    payload = pack(boot, events[0].seq, now, [event.body for event in events])
    if events[0].poison is Poison.CRC:
        header, _, body = payload.partition(b"\n")
        flipped = format(int(header[-8:], 16) ^ 1, "08x").encode()
        return header[:-8] + flipped + b"\n" + body
    return payload


def forgeries(site: str, device: str, victim: str, boot: str, now: int) -> list[tuple[str, bytes]]:
    """Return what a hostile device publishes: messages that only ingest, or only `victim`, may send."""
    scan = encode_event(Scan(ts=now, code=f"forged-{secrets.token_hex(8)}", symbology="datamatrix"))
    one = pack(boot, 1, now, [scan])
    everything = b'{"boot":"%b","committed":[[1,%d]]}' % (boot.encode(), 2**62)
    pause = b'{"command":"pause","until":%d}' % (now + 3_600_000)
    return [
        (ack_topic(site, victim), everything),
        (command_topic(site, victim), pause),
        (event_topic(site, victim, Kind.SCAN), one),
        (event_topic(f"{site}-2", device, Kind.SCAN), one),
    ]


def _fate(poison: Poison | None, clock_offset_ms: int) -> str:
    if poison is Poison.CRC:
        return ChecksumError.code
    if poison is not None:
        return MessageError.code
    return "" if -_LATE_MS < clock_offset_ms < _EARLY_MS else TimestampError.code
