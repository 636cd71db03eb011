"""From bytes to typed events, pure: whatever comes in, every sequence number comes out as an event or as a fault."""

import hashlib
from collections.abc import Callable
from typing import Final, NamedTuple, Self

from msgspec import Struct
from msgspec.structs import replace

from contracts.errors import MessageError, TimestampError, TopicError
from contracts.messages import (
    Event,
    Header,
    Status,
    decode_event,
    pack,
    split_body,
    unpack_header,
    unpack_single,
)
from contracts.topics import Kind, parse_event_topic

Clock = Callable[[], int]
"""Milliseconds since the epoch, now; injected, so that a simulated year passes in an afternoon."""

_LATE_MS: Final = 30 * 24 * 3600 * 1000
_EARLY_MS: Final = 5 * 60 * 1000
_LAST_MS: Final = 253_402_300_799_999  # the end of the year 9999, the last that datetime and timestamptz share


class Item(Struct, frozen=True, gc=False):
    """One good event: `content` is the first 8 bytes of SHA-256 over its own JSON, signed as in a bigint."""

    seq: int
    content: int
    raw: bytes
    event: Event


class Fault(NamedTuple):
    """What cannot be stored: a range of sequence numbers, or None where the message has no identity.

    `payload` is a complete message of its own, so that it can be replayed.
    """

    first: int | None
    last: int | None
    reason: str
    detail: str
    payload: bytes
    sqlstate: str | None = None


class Decoded(Struct, frozen=True, kw_only=True, gc=False):
    """What one message holds: its items and faults together account for `first` to `last`.

    `device` is empty where the topic names none, `boot` where the header is unreadable; `first` is None where the
    message is outside every sequence.
    """

    topic: str
    payload: bytes
    received_at: int
    site: str = ""
    device: str = ""
    kind: Kind | None = None
    boot: str = ""
    sent_at: int = 0
    first: int | None = None
    last: int | None = None
    items: tuple[Item, ...] = ()
    faults: tuple[Fault, ...] = ()
    will: Status | None = None

    @property
    def size(self) -> int:
        """How many events of a batch this message counts for."""
        return len(self.items) + len(self.faults) or 1

    def reject(self, error: MessageError) -> Self:
        """Return the message refused as a whole."""
        fault = Fault(self.first, self.last, error.code, error.message, self.payload)
        return replace(self, items=(), faults=(fault,), will=None)

    def condemn(self, detail: str, sqlstate: str | None) -> Self:
        """Return the message with each of its items refused, because the database cannot hold them."""
        faults = tuple(
            Fault(item.seq, item.seq, MessageError.code, detail, self.alone(item), sqlstate) for item in self.items
        )
        return replace(self, items=(), faults=self.faults + faults)

    def alone(self, item: Item) -> bytes:
        """Return the payload of a message with this one event."""
        return pack(self.boot, item.seq, self.sent_at, [item.raw])


def decode(topic: str, payload: bytes, received_at: int) -> Decoded:
    """Return everything that a message says, good or bad; never raises.

    `received_at` is the clock, in milliseconds: capture times must lie within 30 days before and 5 minutes after it.
    """
    return _decode_flawless(topic, payload, received_at) or decode_step_by_step(topic, payload, received_at)


def _decode_flawless(topic: str, payload: bytes, received_at: int) -> Decoded | None:
    """Return a message of one good event; None where it is another, or anything is wrong with it."""
    try:
        site, device, kind = parse_event_topic(topic)
    except TopicError:
        return None
    single = unpack_single(payload, kind)
    if single is None or kind is Kind.STATUS:
        return None
    boot, seq, sent_at, raw, event = single
    if not received_at - _LATE_MS <= event.ts <= received_at + _EARLY_MS:
        return None
    return Decoded(
        topic=topic,
        payload=payload,
        received_at=received_at,
        site=site,
        device=device,
        kind=kind,
        boot=boot,
        sent_at=sent_at,
        first=seq,
        last=seq,
        items=(Item(seq, content_hash(raw), raw, event),),
    )


def decode_step_by_step(topic: str, payload: bytes, received_at: int) -> Decoded:
    """Return what `decode` returns, and tell what is wrong with it."""
    try:
        header, body = unpack_header(payload)
    except MessageError as error:
        return _with_names(Decoded(topic=topic, payload=payload, received_at=received_at)).reject(error)
    first = last = None
    if header.count:
        first, last = header.seq, header.seq + header.count - 1
    site, device, kind, sent_at = "", "", None, 0
    refusal, raws = None, []
    try:
        site, device, kind = parse_event_topic(topic)
        sent_at = _representable(header.sent_at)
        raws = split_body(payload, header, body)
    except MessageError as error:
        refusal = error
    items, faults = ((), ()) if kind is None or first is None else _decode_events(header, kind, raws, received_at)
    message = Decoded(
        topic=topic,
        payload=payload,
        received_at=received_at,
        site=site,
        device=device,
        kind=kind,
        boot=header.boot,
        sent_at=sent_at,
        first=first,
        last=last,
        items=items,
        faults=faults,
    )
    if refusal is not None:
        return message.reject(refusal)
    return message if first is not None or kind is None else _decode_will(message, kind, raws[0])


def content_hash(raw: bytes) -> int:
    """Return the first 8 bytes of SHA-256 as a signed integer."""
    return int.from_bytes(hashlib.sha256(raw).digest()[:8], signed=True)


def _representable(milliseconds: int) -> int:
    if milliseconds > _LAST_MS:
        raise MessageError(f"sent_at {milliseconds} is after the year 9999")
    return milliseconds


def _with_names(message: Decoded) -> Decoded:
    """Fill in what the topic alone tells of a message without identity."""
    try:
        site, device, kind = parse_event_topic(message.topic)
    except TopicError:
        return message
    return replace(message, site=site, device=device, kind=kind)


def _decode_events(
    header: Header, kind: Kind, raws: list[bytes], received_at: int
) -> tuple[tuple[Item, ...], tuple[Fault, ...]]:
    items, faults = [], []
    for seq, raw in enumerate(raws, start=header.seq):
        try:
            event = _checked(decode_event(kind, raw), received_at)
        except MessageError as error:
            alone = pack(header.boot, seq, header.sent_at, [raw])
            faults.append(Fault(seq, seq, error.code, error.message, alone))
        else:
            items.append(Item(seq, content_hash(raw), raw, event))
    return tuple(items), tuple(faults)


def _decode_will(message: Decoded, kind: Kind, raw: bytes) -> Decoded:
    if kind is not Kind.STATUS:
        return message.reject(MessageError("only a status may stand outside the sequence, with count 0"))
    try:
        event = decode_event(kind, raw)
    except MessageError as error:
        return message.reject(error)
    return replace(message, will=event if isinstance(event, Status) else None)


def _checked(event: Event, now: int) -> Event:
    """Return the event if its capture time and its tombstones make sense."""
    if not now - _LATE_MS <= event.ts <= now + _EARLY_MS:
        raise TimestampError(f"captured at {event.ts}, received at {now}, in milliseconds since the epoch")
    if isinstance(event, Status) and any(first > last for first, last in event.dropped):
        raise MessageError("a dropped range ends before it begins")
    return event
