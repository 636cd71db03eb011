"""One transaction's work: lock, look up, decide, write. Whoever calls it commits, and only then acknowledges."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, field
from typing import Final, NamedTuple
from uuid import UUID

from psycopg import Connection, Transaction

from contracts.errors import TopicError
from contracts.messages import Status
from contracts.topics import Kind
from ingest.landing.decode import Decoded, Fault
from ingest.landing.floods import Flood
from ingest.landing.packed import WORK, event_copies
from ingest.landing.plan import Address, Key, Past, Plan, Planner, Reply
from ingest.landing.ranges import Range, merge, multirange, overlaps
from ingest.landing.rows import LETTER_TYPES, letter_rows, moment
from ingest.queries import QUERIES

# The width of the smallest rollup.
_BUCKET_MS: Final = 5 * 60 * 1000
_ROLLED_UP: Final[dict[Kind | None, str]] = {Kind.SCAN: "scan", Kind.STOCK: "stock", Kind.ENV: "environment"}

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
    return _store(connection, batch, nullcontext(), replay=replay)


def store_alone(connection: Connection, batch: Sequence[Decoded]) -> Outcome:
    """Write and commit a batch; beginning and end of its transaction take no round trip of their own.

    Raises what PostgreSQL raises; nothing is kept then, and the connection may have to be rolled back.
    """
    # `connection.transaction()` would keep a pipeline open all through it, and COPY needs none.
    return _store(connection, batch, Transaction(connection), replay=False)


def _store(
    connection: Connection, batch: Sequence[Decoded], transaction: AbstractContextManager[object], *, replay: bool
) -> Outcome:
    with ExitStack() as stack:
        with connection.pipeline():
            stack.enter_context(transaction)
            registry, known = _look_up(
                connection, {(message.device, message.boot) for message in batch if message.device}
            )
        welcome = {(device, place.site) for device, place in registry.items() if not place.retired}
        messages = [
            message if (message.device, message.site) in welcome else _admit(message, registry) for message in batch
        ]
        planner = Planner(_history(connection, messages, registry, known), replay=replay)
        for message in messages:
            planner.add(message, registered=message.device in registry)
        plan = planner.plan
        flood = Flood(connection, plan.letters, registry.keys())
        if not replay:
            plan.letters = flood.kept()
        copied = _copy(connection, plan)
        news = [] if replay else [message for message in messages if (message.device, message.site) in welcome]
        # None of these has an answer that matters, so they go out together, and so does the commit.
        with connection.pipeline():
            connection.execute(QUERIES["note"], {**_notes(plan), **_news(news), "work": WORK in copied})
            flood.count()
            stack.close()
    return Outcome(plan.replies, sum(len(items) for _, items in plan.new), plan.duplicates, plan.letters, flood.repeats)


def _look_up(
    connection: Connection, streams: Iterable[_Stream]
) -> tuple[dict[str, Registration], dict[_Stream, list[Range]]]:
    """Ask the registry for the device, and lock what is known, of every sequence."""
    registry: dict[str, Registration] = {}
    known: dict[_Stream, list[Range]] = {}
    for device, site, retired, boot, ranges in connection.execute(QUERIES["look_up"], _columns(sorted(streams))):
        registry[device] = Registration(site, retired)
        if boot is not None:
            known[device, boot.hex] = [(one.lower, one.upper - 1) for one in ranges]
    return registry, known


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


def _history(
    connection: Connection,
    messages: list[Decoded],
    registry: dict[str, Registration],
    known: dict[_Stream, list[Range]],
) -> dict[Key, Past]:
    """Look up the past of numbers that came before; what the batch is the first to bring of a sequence is locked."""
    streams: dict[_Stream, list[Range]] = {}
    for message in messages:
        if message.first is not None and message.last is not None:
            streams.setdefault((message.device, message.boot), []).append((message.first, message.last))
    # Of an unregistered device no ranges are kept; its dead letters alone tell whether it was heard before.
    fresh = sorted(stream for stream in streams if stream not in known and stream[0] in registry)
    if fresh:
        with connection.pipeline():
            connection.execute(QUERIES["open_received"], _columns(fresh))
            known |= _look_up(connection, fresh)[1]
    seen: set[Key] = set()
    for stream, spans in streams.items():
        seen.update(_seen_before(stream, spans, known.get(stream)))
    return _past(connection, sorted(seen)) if seen else {}


def _seen_before(stream: _Stream, spans: list[Range], known: list[Range] | None) -> Iterator[Key]:
    if known is not None and not overlaps(known, min(spans)[0], max(last for _, last in spans)):
        return
    for first, last in spans:
        if known is None or overlaps(known, first, last):
            for seq in range(first, last + 1):
                if known is None or overlaps(known, seq, seq):
                    yield Key(*stream, seq)


def _columns(streams: list[_Stream]) -> dict[str, object]:
    return {
        "devices": [device for device, _ in streams],
        "boots": [UUID(boot) if boot else None for _, boot in streams],
    }


def _past(connection: Connection, keys: list[Key]) -> dict[Key, Past]:
    parameters = {
        "devices": [key.device or None for key in keys],
        "boots": [UUID(key.boot) for key in keys],
        "seqs": [key.seq for key in keys],
    }
    reasons = {
        Key(device or "", boot.hex, seq): reason
        for device, boot, seq, reason in connection.execute(QUERIES["refused"], parameters)
    }
    past = {key: Past(None, reason) for key, reason in reasons.items()}
    for device, boot, seq, content in connection.execute(QUERIES["stored"], parameters):
        key = Key(device, boot.hex, seq)
        past[key] = Past(content, reasons.get(key))
    return past


def _copy(connection: Connection, plan: Plan) -> set[str]:
    """Store events, work and letters; return the names of the copies that had rows."""
    copied = set()
    for name, pieces in event_copies(plan.new):
        with connection.cursor().copy(QUERIES[name]) as copy:
            for piece in pieces:
                copy.write(piece)
        copied.add(name)
    if plan.letters:
        with connection.cursor().copy(QUERIES["copy_dead_letter"]) as copy:
            copy.set_types(LETTER_TYPES)
            for row in letter_rows(plan.letters):
                copy.write_row(row)
    return copied


def _notes(plan: Plan) -> dict[str, object]:
    """Return what was received, and the buckets to add up again, as columns."""
    streams = sorted(plan.received)
    buckets = sorted(
        {
            (name, item.event.ts // _BUCKET_MS)
            for message, items in plan.new
            if (name := _ROLLED_UP.get(message.kind))
            for item in items
        }
    )
    return {
        **_columns(streams),
        "ranges": [multirange(merge(plan.received[stream])) for stream in streams],
        "kinds": [name for name, _ in buckets],
        "buckets": [moment(number * _BUCKET_MS) for _, number in buckets],
    }


@dataclass(slots=True)
class _News:
    """What a batch tells of one device; None leaves what is known."""

    last_seen: int | None = None
    skew_ms: int | None = None
    state: str | None = None
    firmware: str | None = None
    outbox_depth: int | None = None


def _news(messages: Iterable[Decoded]) -> dict[str, object]:
    """Return what the messages tell of their devices, as columns."""
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
    devices = sorted(news)
    values = [news[device] for device in devices]
    return {
        "ids": devices,
        "last_seens": [None if one.last_seen is None else moment(one.last_seen) for one in values],
        "skews": [one.skew_ms for one in values],
        "states": [one.state for one in values],
        "firmwares": [one.firmware for one in values],
        "depths": [one.outbox_depth for one in values],
    }


def _learn(news: _News, message: Decoded) -> None:
    if message.will is not None:
        # Written when the device connected, so it says nothing of when it was last seen.
        news.state = message.will.state
    for item in message.items:
        if isinstance(item.event, Status):
            news.state = item.event.state
            news.firmware = item.event.firmware or news.firmware
            news.outbox_depth = item.event.outbox_depth
