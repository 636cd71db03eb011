"""Messages as stations send them, numbered anew on every call."""

import secrets
import time
from collections.abc import Iterator
from typing import Final, NamedTuple

from contracts.messages import Activity, Scan, encode_event, pack
from contracts.topics import Kind, event_topic

SITE: Final = "dc-east"
DEVICES: Final = tuple(f"station-{number}" for number in range(16))


class Message(NamedTuple):
    """One message to publish."""

    topic: str
    payload: bytes


def messages(count: int, events: int = 1) -> Iterator[Message]:
    """Yield `count` messages with `events` scans each, in turn from every device, under fresh boots."""
    boots = {device: secrets.token_hex(16) for device in DEVICES}
    for number in range(count):
        device = DEVICES[number % len(DEVICES)]
        first = number // len(DEVICES) * events + 1
        now = time.time_ns() // 1_000_000
        scans = [scan_body(now, number * events + each) for each in range(events)]
        yield Message(event_topic(SITE, device, Kind.SCAN), pack(boots[device], first, now, scans))


def scan_body(now: int, number: int) -> bytes:
    """Return a scan of item `number`, captured at `now` in milliseconds since the epoch."""
    return encode_event(
        Scan(
            ts=now,
            code=f"HTTPS://ID.EXAMPLE.COM/01/06901234567892/21/{number:020X}",
            symbology="datamatrix",
            aim="]d2",
            activity=Activity.SHIP,
            reference="SO-R0003-01",
            to="D-CHENGDU",
        )
    )
