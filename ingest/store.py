"""One transaction's work: lock, look up, decide, write. Whoever calls it commits, and only then acknowledges."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple
from uuid import UUID

from psycopg import Connection, Cursor

from contracts.errors import TopicError
from contracts.messages import Status
from contracts.topics import Kind
from ingest.decode import Decoded, Fault
from ingest.floods import Flood
from ingest.packed import WORK, event_copies
from ingest.plan import Address, Key, Past, Plan, Planner, Reply, whole_range
from ingest.queries import QUERIES
from ingest.ranges import Range, merge, multirange, overlaps
from ingest.rows import LETTER_TYPES, letter_rows, moment

_Stream = tuple[str, str]


class Registration(NamedTuple):
    """What the registry says of a device."""

    site: str
    retired: bool


@dataclass(slots=True)
class Outcome:
    """What a transaction did: replies to publish after the commit, and counts for the metrics."""

    replies: dict[Address, Reply] = field(default_factory=dict)
    committed: int = 0
    duplicates: int = 0
    letters: list[tuple[Decoded, Fault]] = field(default_factory=list)
    """The dead letters that were written."""
    repeats: int = 0
    """How many more were only counted on one that is kept."""

    def add(self, other: "Outcome") -> None:
        """Take in what another part of the same batch did."""
        for address, reply in other.replies.items():
            mine = self.replies.setdefault(address, Reply())
            mine.committed += reply.committed
            mine.refused += reply.refused
        self.committed += other.committed
        self.duplicates += other.duplicates
        self.letters += other.letters
        self.repeats += other.repeats


def store(connection: Connection, batch: Sequence[Decoded], *, replay: bool = False) -> Outcome:
    """Write a batch inside the caller's transaction.

    With `replay`, events that were refused before are taken, and the devices' own state is left alone.
    Raises what PostgreSQL raises; nothing is kept then.
    """
    with connection.cursor() as cursor:
        registry = _registry(cursor, batch)
        welcome = {(device, known.site) for device, known in registry.items() if not known.retired}
        messages = [
            message if (message.device, message.site) in welcome else _admit(message, registry) for message in batch
        ]
        history = _history(cursor, messages, registry)
        planner = Planner(history, replay=replay)
        for message in messages:
            planner.add(message, registered=message.device in registry)
        flood = Flood(cursor, planner.plan.letters, registry.keys())
        if not replay:
            planner.plan.letters = flood.kept()
        copied = _copy(cursor, planner.plan)
        # None of these has an answer that matters, so they go out together.
        with connection.pipeline():
            _note(cursor, planner.plan, copied)
            flood.count()
            if not replay:
                _update_devices(cursor, [message for message in messages if (message.device, message.site) in welcome])
    plan = planner.plan
    committed = sum(len(items) for _, items in plan.new)
    return Outcome(plan.replies, committed, plan.duplicates, plan.letters, flood.repeats)


def _registry(cursor: Cursor, batch: Iterable[Decoded]) -> dict[str, Registration]:
    devices = sorted({message.device for message in batch if message.device})
    rows = cursor.execute(QUERIES["registered"], {"devices": devices})
    return {device: Registration(site, retired) for device, site, retired in rows}


def _admit(message: Decoded, registry: dict[str, Registration]) -> Decoded:
    """Refuse a message that claims to come from a device, since that is not registered, not any more, or elsewhere."""
    known = registry.get(message.device)
    if not message.device or not _identified(message):
        return message
    if known is None:
        return message.reject(TopicError(f"no device {message.device} is registered"))
    if known.retired:
        return message.reject(TopicError(f"the device {message.device} is retired"))
    return message.reject(TopicError(f"{message.device} is registered at {known.site}, not at {message.site}"))


def _identified(message: Decoded) -> bool:
    return message.first is not None or message.will is not None


def _history(cursor: Cursor, messages: list[Decoded], registry: dict[str, Registration]) -> dict[Key, Past]:
    """Lock what is known of every sequence in the batch, and look up the past of numbers that came before."""
    streams: dict[_Stream, list[Decoded]] = {}
    for message in messages:
        if message.first is not None:
            streams.setdefault((message.device, message.boot), []).append(message)
    known = _lock(cursor, sorted(stream for stream in streams if stream[0] in registry))
    seen: set[Key] = set()
    for stream, members in streams.items():
        # Of an unregistered device no ranges are kept; its dead letters alone tell whether it was heard before.
        seen.update(_seen_before(stream, members, known.get(stream)))
    return _past(cursor, sorted(seen)) if seen else {}


def _seen_before(stream: _Stream, messages: list[Decoded], known: list[Range] | None) -> Iterator[Key]:
    spans = [span for message in messages for span in whole_range(message)]
    if known is not None and not overlaps(known, min(spans)[0], max(last for _, last in spans)):
        return
    for first, last in spans:
        if known is None or overlaps(known, first, last):
            for seq in range(first, last + 1):
                if known is None or overlaps(known, seq, seq):
                    yield Key(*stream, seq)


def _lock(cursor: Cursor, streams: list[_Stream]) -> dict[_Stream, list[Range]]:
    """Lock the rows of the sequences, made where missing; return the ranges received so far, inclusive."""
    known = _locked(cursor, streams)
    missing = [stream for stream in streams if stream not in known]
    if missing:
        cursor.execute(QUERIES["open_received"], _columns(missing))
        known |= _locked(cursor, missing)
    return known


def _locked(cursor: Cursor, streams: list[_Stream]) -> dict[_Stream, list[Range]]:
    if not streams:
        return {}
    rows = cursor.execute(QUERIES["lock_received"], _columns(streams))
    return {
        (device, boot.hex): [(one.lower, one.upper - 1) for one in ranges] for device, boot, ranges in rows.fetchall()
    }


def _columns(streams: list[_Stream]) -> dict[str, object]:
    return {"devices": [device for device, _ in streams], "boots": [UUID(boot) for _, boot in streams]}


def _past(cursor: Cursor, keys: list[Key]) -> dict[Key, Past]:
    parameters = {
        "devices": [key.device or None for key in keys],
        "boots": [UUID(key.boot) for key in keys],
        "seqs": [key.seq for key in keys],
    }
    reasons = {
        Key(device or "", boot.hex, seq): reason
        for device, boot, seq, reason in cursor.execute(QUERIES["refused"], parameters)
    }
    past = {key: Past(None, reason) for key, reason in reasons.items()}
    for device, boot, seq, content in cursor.execute(QUERIES["stored"], parameters):
        key = Key(device, boot.hex, seq)
        past[key] = Past(content, reasons.get(key))
    return past


def _copy(cursor: Cursor, plan: Plan) -> set[str]:
    """Store events, work and letters; return the names of the copies that had rows."""
    copied = set()
    for name, pieces in event_copies(plan.new):
        with cursor.copy(QUERIES[name]) as copy:
            for piece in pieces:
                copy.write(piece)
        copied.add(name)
    if plan.letters:
        with cursor.copy(QUERIES["copy_dead_letter"]) as copy:
            copy.set_types(LETTER_TYPES)
            for row in letter_rows(plan.letters):
                copy.write_row(row)
    return copied


def _note(cursor: Cursor, plan: Plan, copied: set[str]) -> None:
    if plan.received:
        streams = sorted(plan.received)
        ranges = [multirange(merge(plan.received[stream])) for stream in streams]
        cursor.execute(QUERIES["extend_received"], {**_columns(streams), "ranges": ranges})
    if WORK in copied:
        cursor.execute(QUERIES["notify_work"])


@dataclass(slots=True)
class _News:
    """What a batch tells of one device; None leaves what is known."""

    last_seen: int | None = None
    skew_ms: int | None = None
    state: str | None = None
    firmware: str | None = None
    outbox_depth: int | None = None


def _update_devices(cursor: Cursor, messages: list[Decoded]) -> None:
    news: dict[str, _News] = {}
    latest: dict[str, Decoded] = {}
    for message in messages:
        if message.first is not None:
            latest[message.device] = message
        if message.will is not None or (message.kind is Kind.STATUS and message.items):
            _learn(news.setdefault(message.device, _News()), message)
    for device, message in latest.items():
        one = news.setdefault(device, _News())
        one.last_seen = message.received_at
        one.skew_ms = message.sent_at - message.received_at if message.sent_at else None
    if not news:
        return
    devices = sorted(news)
    values = [news[device] for device in devices]
    parameters = {
        "devices": devices,
        "last_seens": [None if one.last_seen is None else moment(one.last_seen) for one in values],
        "skews": [one.skew_ms for one in values],
        "states": [one.state for one in values],
        "firmwares": [one.firmware for one in values],
        "depths": [one.outbox_depth for one in values],
    }
    cursor.execute(QUERIES["update_device"], parameters)


def _learn(news: _News, message: Decoded) -> None:
    if message.will is not None:
        # Written when the device connected, so it says nothing of when it was last seen.
        news.state = message.will.state
    for item in message.items:
        if isinstance(item.event, Status):
            news.state = item.event.state
            news.firmware = item.event.firmware or news.firmware
            news.outbox_depth = item.event.outbox_depth
