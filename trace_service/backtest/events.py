"""Reads events.jsonl in order of arrival; what makes no sense is handled by rule and counted, never an error."""

import contextlib
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from trace_service.backtest.errors import WorldError
from trace_service.backtest.tables import BOM, UNREADABLE, open_bytes, require, to_milliseconds, told
from trace_service.detection.settings import DAY_MS

TYPES: Final = frozenset(
    (
        "commission",
        "pack",
        "ship",
        "receive",
        "transfer",
        "return",
        "sale",
        "consumer_scan",
        "inspect",
        "rebind",
        "void",
    )
)
_NEEDED: Final = ("event_id", "type", "occurred_at", "received_at")
_LONGEST_LINE: Final = 4 * 2**20
_FIRST: Final = 200
# A leap that so many events in a row agree on is a quiet year.
_BELIEVED_LEAPS: Final = 20
_LARGEST_LEAP_MS: Final = 400 * DAY_MS


class Event(Struct, gc=False):
    """A line of events.jsonl; `occurred` and `received` are milliseconds, filled in by the reader.

    So is `dated`: False where the clock was not believed, and `occurred` is when it arrived.
    """

    event_id: str
    type: str
    occurred_at: datetime
    received_at: datetime
    device_id: str | int | None = None
    actor: str | int | None = None
    source: str | None = None
    place: str | None = None
    lat: float | None = None
    lon: float | None = None
    accuracy_m: float | None = None
    platform: str | None = None
    adcode: str | int | None = None
    codes: list[str] = []
    shipment: str | None = None
    to: str | None = None
    store: str | None = None
    parent: str | None = None
    batch: str | None = None
    product: str | None = None
    count: int | None = None
    from_dealer: str | None = None
    to_dealer: str | None = None
    approvers: list[str] | int | str | None = None
    reason: str | None = None
    occurred: int = 0
    received: int = 0
    dated: bool = True


_KNOWN: Final = frozenset(Event.__struct_fields__)


class _Arrival(Struct):
    received_at: datetime


class EventReader:
    """Yields the events of a folder once each; `notices` counts by rule, `examples` names the first line of each."""

    def __init__(self, folder: Path) -> None:
        self.path = require(folder, "events.jsonl")
        self.notices: Counter[str] = Counter()
        self.examples: dict[str, int] = {}
        self._seen: set[str] = set()
        self._clock: int | None = None
        self._anchor = self._middle()
        self._leaps = 0

    def _middle(self) -> int | None:
        """Return the middle arrival of the first events: what lies far from it at the start is a wrong clock."""
        decode = msgspec.json.Decoder(_Arrival).decode
        found = []
        with open_bytes(self.path) as lines:
            for _, line in zip(range(_FIRST), lines, strict=False):
                with contextlib.suppress(*UNREADABLE):
                    found.append(to_milliseconds(decode(line).received_at))
        return sorted(found)[len(found) // 2] if found else None

    def __iter__(self) -> Iterator[Event]:
        decode = msgspec.json.Decoder(Event).decode
        with open_bytes(self.path) as lines:
            try:
                for number, line in enumerate(lines, 1):
                    if line.isspace():
                        continue
                    text = line.removeprefix(BOM) if number == 1 else line
                    try:
                        event = decode(text)
                    except UNREADABLE as error:
                        other = self._otherwise(number, text, error)
                        if other is None:
                            continue
                        event = other
                    if self._accept(number, event):
                        yield event
            except (EOFError, OSError) as error:
                raise WorldError(f"{self.path}: {error}", advice="Copy the file anew.") from error
        if self.notices["malformed_line"] > len(self._seen):
            raise WorldError(
                f"{self.path}: most lines are no event, the first is line {self.examples['malformed_line']}",
                advice="Write one JSON object a line, with keys and kinds of values as in docs/world.md.",
            )

    def _otherwise(self, number: int, line: bytes, error: Exception) -> Event | None:
        """Return a line's event where only kinds of values are others: ids as numbers, numbers as text, null."""
        try:
            found = msgspec.json.decode(line) if len(line) <= _LONGEST_LINE else None
        except UNREADABLE:
            found = None
        if isinstance(found, dict):
            for key in _NEEDED:
                if key not in found:
                    raise WorldError(
                        f"{self.path}, line {number}, key {key} is missing", advice="docs/detection.md lists the keys."
                    ) from error
            with contextlib.suppress(*UNREADABLE):
                return msgspec.convert(told(found), Event, strict=False)
        self._notice("malformed_line", number)
        return None

    def _accept(self, number: int, event: Event) -> bool:
        if event.event_id in self._seen:
            self._notice("same_event_twice", number)
            return False
        self._seen.add(event.event_id)
        if event.type not in TYPES:
            self._notice("unknown_type", number)
            return False
        received = self._received(number, event)
        if received is None:
            return False
        event.received = received
        occurred = self._occurred(number, event)
        event.dated = occurred is not None
        event.occurred = received if occurred is None else min(occurred, received)
        return True

    def _received(self, number: int, event: Event) -> int | None:
        """Return when it arrived, None where that cannot be; a clock that leaps alone is not believed."""
        received = to_milliseconds(event.received_at)
        clock = self._clock if self._clock is not None else self._anchor
        if clock is not None and abs(received - clock) > _LARGEST_LEAP_MS:
            self._leaps += 1
            if self._leaps < _BELIEVED_LEAPS or received < clock:
                self._notice("received_at_not_believed", number)
                return self._clock
        elif self._clock is not None and received < self._clock:
            self._notice("out_of_order", number)
            return self._clock
        self._leaps = 0
        self._clock = received
        return received

    def _occurred(self, number: int, event: Event) -> int | None:
        """Return when it happened; None for a clock that is ahead or half a year behind, which is not believed."""
        occurred = to_milliseconds(event.occurred_at)
        if occurred > event.received + DAY_MS // 24:
            self._notice("occurred_in_the_future", number)
            return None
        if occurred < event.received - _OLDEST_MS:
            self._notice("occurred_too_long_ago", number)
            return None
        return occurred

    def _notice(self, rule: str, number: int) -> None:
        self.notices[rule] += 1
        self.examples.setdefault(rule, number)


_OLDEST_MS: Final = 183 * DAY_MS


def unknown_keys(folder: Path, lines: int = 2_000) -> set[str]:
    """Return the keys in the first lines of events.jsonl that the format does not have."""
    found: set[str] = set()
    with open_bytes(require(folder, "events.jsonl")) as file:
        for _, line in zip(range(lines), file, strict=False):
            try:
                event: Any = msgspec.json.decode(line)
            except UNREADABLE:
                continue
            if isinstance(event, dict):
                found |= event.keys() - _KNOWN
    return found
