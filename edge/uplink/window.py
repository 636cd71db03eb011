"""The events that are on their way: at most so many, each until the application acknowledges it."""

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from edge.outbox import Row

CAPACITY: Final = 100
RESEND_SECONDS: Final = 30.0
LONGEST_RESEND_SECONDS: Final = 960.0
MESSAGE_EVENTS: Final = 50
MESSAGE_BYTES: Final = 128 * 1024


@dataclass(slots=True)
class _Flight:
    row: Row
    message: int | None
    """The message that carries it on this connection; None if it was sent only on an earlier one."""
    attempts: int
    sent: float
    due: float
    taken: bool = False
    """Whether the broker has confirmed the message: not more than that, but no reason to connect anew either."""


class Window:
    """Keeps count of unacknowledged events and says when to send them again; `draw` returns 0 to 1."""

    def __init__(self, draw: Callable[[], float] = random.random) -> None:
        self._flights: dict[int, _Flight] = {}
        self._draw = draw

    @property
    def room(self) -> int:
        """How many more events may be sent."""
        return CAPACITY - len(self._flights)

    @property
    def ids(self) -> list[int]:
        """The rows that are on their way."""
        return list(self._flights)

    def launched(self, rows: Sequence[Row], message: int, now: float) -> None:
        """Note that rows were published in a message: due again in 30 s, later in up to 60, 120 … with full jitter."""
        for row in rows:
            earlier = self._flights.get(row.id)
            attempts = earlier.attempts + 1 if earlier else 1
            wait = RESEND_SECONDS
            if attempts > 1:
                wait = self._draw() * min(LONGEST_RESEND_SECONDS, RESEND_SECONDS * 2.0 ** (attempts - 1))
            self._flights[row.id] = _Flight(row, message, attempts, now, now + wait)

    def taken(self, message: int) -> None:
        """Note that the broker has confirmed a message."""
        for flight in self._flights.values():
            if flight.message == message:
                flight.taken = True

    def landed(self, ids: Iterable[int]) -> None:
        """Note that the application has dealt with rows."""
        for id_ in ids:
            self._flights.pop(id_, None)

    def due(self, now: float) -> list[Row]:
        """Return the rows whose acknowledgement is overdue, the oldest first.

        What the broker has yet to confirm is not sent once more on the same connection; `stuck` watches over it.
        """
        return sorted(
            flight.row
            for flight in self._flights.values()
            if flight.due <= now and (flight.taken or flight.message is None)
        )

    def stuck(self, now: float) -> bool:
        """Whether the broker has not even confirmed a message after 30 s, so that only a new connection helps."""
        late = now - RESEND_SECONDS
        return any(
            flight.sent <= late and not flight.taken and flight.message is not None for flight in self._flights.values()
        )

    def disconnected(self, now: float) -> None:
        """Note that what the broker has not confirmed must be sent on the next connection."""
        for flight in self._flights.values():
            flight.message = None
            if not flight.taken:
                flight.due = now


def messages(rows: Sequence[Row]) -> list[list[Row]]:
    """Group rows into messages: consecutive numbers of one boot and kind, at most 50 events or 128 KiB."""
    groups: list[list[Row]] = []
    size = 0
    for row in rows:
        last = groups[-1][-1] if groups else None
        follows = last is not None and (row.boot, row.kind, row.seq) == (last.boot, last.kind, last.seq + 1)
        if follows and len(groups[-1]) < MESSAGE_EVENTS and size + len(row.body) <= MESSAGE_BYTES:
            groups[-1].append(row)
            size += len(row.body)
        else:
            groups.append([row])
            size = len(row.body)
    return groups
