"""What was done to a case: an append-only chain of entries, each told to whoever wants to know."""

import hashlib
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import msgspec

from trace_service.cases.machine import State
from trace_service.cases.queries import SQL
from trace_service.store.connection import Connection
from trace_service.webhooks import enqueue

START: Final = bytes(32)
# What the outside world is told of; the rest stands in the history.
_TOPICS: Final[Mapping[str, str]] = {
    "opened": "case.opened",
    "assign": "case.assigned",
    "ask_dealer": "case.dealer_asked",
    "close": "case.closed",
    "confirm": "case.closed",
    "reject": "case.returned",
    "reopen": "case.reopened",
    "order_check": "case.check_ordered",
    "report_check": "case.check_reported",
    "retracted": "case.closed",
    "evidence_added": "case.reopened",
    "evidence_retracted": "case.reopened",
}

# Whose messages say why: `telling` words them.
_EXPLAINED: Final = frozenset({"case.opened", "case.reopened"})


class Step(NamedTuple):
    """One thing that happened; without an actor the service did it."""

    action: str
    before: State
    after: State
    actor: str | None = None
    detail: Mapping[str, Any] = {}


def append(connection: Connection, brand: str, case: int, step: Step) -> None:
    """Append a step to a case that the caller has locked, and queue what is to be told of it."""
    last = connection.execute(SQL["last_entry"], {"case": case}).fetchone()
    entry = {
        "case": case,
        "number": last.number + 1 if last else 1,
        "at": datetime.now(UTC),
        "actor": step.actor,
        "action": step.action,
        "from_state": step.before.value,
        "to_state": step.after.value,
        "detail": dict(step.detail),
    }
    previous = bytes(last.digest) if last else START
    detail = msgspec.json.encode(entry["detail"]).decode()
    row = {**entry, "detail": detail, "previous": previous, "digest": digest_of(previous, entry)}
    connection.execute(SQL["append_entry"], row)
    tell(connection, brand, case, step)


def digest_of(previous: bytes, entry: Mapping[str, Any]) -> bytes:
    """Return SHA-256 over the digest before and the entry's canonical JSON (sorted keys, no spaces, UTC times)."""
    at = entry["at"].astimezone(UTC).isoformat(timespec="microseconds")
    # Through JSON once, so that what comes back from the database is written as what went in.
    detail = msgspec.json.decode(msgspec.json.encode(entry["detail"]))
    body = msgspec.json.encode({**entry, "at": at, "detail": detail}, order="deterministic")
    return hashlib.sha256(previous + body).digest()


def broken_at(case: int, entries: Iterable[Mapping[str, Any]]) -> int | None:
    """Return the number of the first entry that does not follow from the one before, or None where all do."""
    previous = START
    for place, entry in enumerate(entries, start=1):
        fields = ("number", "at", "actor", "action", "from_state", "to_state", "detail")
        said = {"case": case, **{name: entry[name] for name in fields}}
        sound = entry["number"] == place and bytes(entry["previous"]) == previous
        previous = digest_of(previous, said)
        if not sound or bytes(entry["digest"]) != previous:
            return place
    return None


def tell(connection: Connection, brand: str, case: int, step: Step) -> None:
    """Tell open pages at once; queue webhooks and mail for what is worth it."""
    news = msgspec.json.encode({"kind": "case", "brand": brand, "id": case}).decode()
    connection.execute(SQL["tell_console"], {"payload": news})
    topic = _TOPICS.get(step.action)
    if topic is None:
        return
    if step.action == "close" and step.after is State.PROPOSED:
        topic = "case.proposed"
    found = connection.execute(SQL["cases"], {"brand": brand, "states": None, "id": case, "owner": None, "limit": 1,
        "offset": 0}).fetchone()  # fmt: skip
    if found is not None:
        shown = {name: getattr(found, name) for name in _SHOWN}
        said = {"action": step.action, "actor": step.actor, **step.detail}
        payload: dict[str, Any] = {"case": shown, "step": said}
        row = {
            "brand": brand,
            "case": case,
            "topic": topic,
            "patterns": _patterns(topic),
            "actor": step.actor,
            "payload": msgspec.json.encode(payload).decode(),
            "explained": topic in _EXPLAINED,
        }
        if not connection.execute(SQL["queue_message"], row).rowcount:
            publish(connection, brand, topic, payload, step.actor)


_SHOWN: Final = (
    "id", "kind", "dealer", "dealer_name_zh", "dealer_name_en", "state", "destinations", "probability", "remaining",
    "value", "priority", "outcome", "owner", "deadline", "of_codes",
)  # fmt: skip


def publish(
    connection: Connection, brand: str, topic: str, payload: Mapping[str, Any], actor: str | None = None
) -> None:
    """Queue a message for the brand's webhooks, chat robots and mail; whoever acted gets no mail of it."""
    enqueue(connection, brand, topic, payload)
    row = {
        "brand": brand,
        "topic": topic,
        "patterns": _patterns(topic),
        "actor": actor,
        "payload": msgspec.json.encode(payload).decode(),
    }
    connection.execute(SQL["queue_mail"], row)


def _patterns(topic: str) -> list[str]:
    return [topic, topic.partition(".")[0] + ".*", "*"]
