"""MQTT topics, in one place: who publishes what where.

`v1/{site}/p{n}/{device}/{kind}` carries events, `v1/{site}/ack/{device}` the application's acknowledgements and
`v1/{site}/cmd/{device}` commands. The partition `n` = crc32(device) % 16 lets workers split the load while each
device keeps its order. Site and device names match `[A-Za-z0-9_-]{1,64}`, so no name can reach into another level.
"""

import re
import zlib
from collections.abc import Collection
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

from contracts.errors import TopicError

PARTITIONS = 16
NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
RESERVED_PREFIX = "ingest"
_ALL_EVENTS = "v1/+/+/+/+"
_EVENT = re.compile(r"v1/([A-Za-z0-9_-]{1,64})/p(\d{1,2})/([A-Za-z0-9_-]{1,64})/(scan|stock|env|status)")


class Kind(StrEnum):
    """What a message's events are about."""

    # An enumeration's own is written in Python, and kinds are looked up for every message.
    __hash__ = str.__hash__

    SCAN = "scan"
    STOCK = "stock"
    ENV = "env"
    STATUS = "status"


class EventTopic(NamedTuple):
    """A parsed event topic."""

    site: str
    device: str
    kind: Kind


def is_reserved(name: str) -> bool:
    """Tell whether a name is kept for ingest's own users on the broker, so that no device may bear it."""
    return name.lower().startswith(RESERVED_PREFIX)


def partition(device: str) -> int:
    """Return the partition, 0 to 15, in which a device publishes."""
    return zlib.crc32(device.encode()) % PARTITIONS


def event_topic(site: str, device: str, kind: Kind) -> str:
    """Return the topic on which `device` at `site` publishes events of `kind`."""
    return f"v1/{_name(site)}/p{partition(device)}/{_name(device)}/{kind}"


def ack_topic(site: str, device: str) -> str:
    """Return the topic on which ingest acknowledges `device`'s events."""
    return f"v1/{_name(site)}/ack/{_name(device)}"


def command_topic(site: str, device: str) -> str:
    """Return the topic on which ingest commands `device`."""
    return f"v1/{_name(site)}/cmd/{_name(device)}"


def event_filters(partitions: Collection[int] = range(PARTITIONS)) -> list[str]:
    """Return the subscriptions that cover every event of the given partitions: a single one for all of them.

    NATS counts a session's unacknowledged messages over all its subscriptions, yet fills the window of each: what
    exceeds it waits for the 30 s after which it delivers again. So a session there should have one subscription.
    """
    if set(partitions) == set(range(PARTITIONS)):
        return [_ALL_EVENTS]
    return [f"v1/+/p{number}/+/+" for number in sorted(partitions)]


def every_event_filter() -> set[str]:
    """Return each subscription that `event_filters` may ever have named."""
    return {_ALL_EVENTS, *(f"v1/+/p{number}/+/+" for number in range(PARTITIONS))}


@lru_cache(maxsize=16_384)
def parse_event_topic(topic: str) -> EventTopic:
    """Split an event topic; a wrong shape or another device's partition raises `TopicError`."""
    match = _EVENT.fullmatch(topic)
    if match is None:
        raise TopicError(f"{topic[:200]!r} is no event topic", advice="Publish to v1/{site}/p{n}/{device}/{kind}.")
    site, number, device, kind = match.groups()
    if int(number) != partition(device):
        raise TopicError(f"{device} belongs to partition p{partition(device)}, not p{number}")
    return EventTopic(site, device, Kind(kind))


def _name(text: str) -> str:
    if NAME.fullmatch(text) is None:
        raise TopicError(f"{text[:80]!r} is no site or device name", advice="Use 1-64 of A-Z a-z 0-9 _ and -.")
    return text
