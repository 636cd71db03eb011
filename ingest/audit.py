"""Proves from sequence numbers what became of everything that devices captured.

The numbers of one boot run from 1 without a break, so the highest one heard of says how many events were captured.
Every number is committed (its row is there, or was removed for its age), dead-lettered, tombstoned (the device gave it
up), or missing; these four are disjoint and together are all. What was received and is none of them is unexplained:
the books do not balance.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from msgspec import Struct
from psycopg import Connection, IsolationLevel
from psycopg.types.multirange import Multirange

from contracts.messages import MAX_SEQ
from ingest.landing.ranges import Range, count, intersect, merge, subtract
from ingest.queries import QUERIES

KINDS: Final = ("scan", "stock", "environment", "status")
_MOST_HOLES: Final = 100
_BEGINNING: Final = datetime(1970, 1, 1, tzinfo=UTC)
_END: Final = datetime(9999, 1, 1, tzinfo=UTC)

_Stream = tuple[str, UUID]


class Book(Struct, kw_only=True):
    """How many events became what. `committed` includes those that were removed for their age, `expired`.

    Of the dead-lettered, `quarantined` had a capture time out of range. `refused` counts numbers that any dead letter
    covers, also those of which another copy is committed; `replayed` those of letters that were put through again.
    `doubled` and `unexplained` should be 0.
    """

    captured: int = 0
    committed: int = 0
    kinds: dict[str, int] = {}
    expired: int = 0
    dead_lettered: int = 0
    quarantined: int = 0
    tombstoned: int = 0
    missing: int = 0
    refused: int = 0
    replayed: int = 0
    doubled: int = 0
    unexplained: int = 0

    @property
    def balances(self) -> bool:
        """Whether every captured event is accounted for exactly once, be it as missing."""
        accounted = self.committed + self.dead_lettered + self.tombstoned + self.missing
        return accounted == self.captured and not self.doubled and not self.unexplained

    def add(self, other: "Book") -> None:
        """Take in the figures of another book."""
        for name in self.__struct_fields__:
            if name != "kinds":
                setattr(self, name, getattr(self, name) + getattr(other, name))
        self.kinds = {kind: self.kinds.get(kind, 0) + other.kinds.get(kind, 0) for kind in KINDS}


class BootBook(Book, kw_only=True):
    """The book of one boot of a device; `holes` are its missing numbers, the first hundred ranges."""

    device: str
    site: str
    boot: str
    first: int
    last: int
    holes: list[Range] = []


class Audit(Struct, kw_only=True):
    """The books of every boot, their sum, and what stands in nobody's book.

    `strays` are dead letters without identity or from unregistered devices, those that were only counted included;
    `waiting` is what the devices last said is still in their outboxes.
    """

    books: list[BootBook]
    total: Book
    strays: int
    waiting: int

    @property
    def is_clean(self) -> bool:
        """Whether nothing is missing and every book balances."""
        return self.total.missing == 0 and all(book.balances for book in self.books)


class Facts(Struct, kw_only=True):
    """What the tables say of one boot; ranges are inclusive."""

    site: str
    received: list[Range]
    expired: list[Range]
    dropped: list[Range]
    window: Range
    stored: list[Range] = []
    kinds: dict[str, int] = {}
    letters: list[Range] = []
    quarantined: list[Range] = []
    replayed: list[Range] = []


def audit(
    connection: Connection,
    *,
    device: str | None = None,
    site: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Audit:
    """Return the books, read in one snapshot: of every device, of one, or of a site's.

    With `since` or `until`, of the numbers from the first to the last that each boot captured in that time, and of the
    holes beside them: a hole at the edge of a period counts in it.
    """
    connection.isolation_level = IsolationLevel.REPEATABLE_READ
    connection.read_only = True
    period = {"since": since or _BEGINNING, "until": until or _END}
    with connection.transaction():
        connection.execute(QUERIES["audit_patience"])
        streams = connection.execute(QUERIES["audit_streams"], {"device": device, "site": site}).fetchall()
        windows = _windows(connection, period) if since or until else None
        waiting = sum({row[0]: row[6] for row in streams}.values())
        facts = _facts(streams, windows)
        _fill(connection, facts)
        row = connection.execute(QUERIES["audit_strays"], period).fetchone()
    if windows is None:
        for one in facts.values():
            one.window = (1, max(last for _, last in one.received + one.stored))
    books = [balance(name, boot, one) for (name, boot), one in facts.items()]
    total = Book()
    for book in books:
        total.add(book)
    return Audit(books=books, total=total, strays=sum(row or ()), waiting=waiting)


def balance(device: str, boot: UUID, facts: Facts) -> BootBook:
    """Sort every number of the window into exactly one account."""
    window = [facts.window]
    received = intersect(facts.received, window)
    expired = subtract(intersect(facts.expired, window), facts.stored)
    committed = merge(facts.stored + expired)
    letters = intersect(facts.letters, window)
    lettered = subtract(intersect(letters, received), committed)
    tombstoned = subtract(intersect(intersect(facts.dropped, received), window), merge(committed + lettered))
    holes = subtract(window, merge(received + committed))
    accounted = merge(committed + lettered + tombstoned)
    return BootBook(
        device=device,
        site=facts.site,
        boot=boot.hex,
        first=facts.window[0],
        last=facts.window[1],
        captured=count(window),
        committed=count(committed),
        kinds=facts.kinds,
        expired=count(expired),
        dead_lettered=count(lettered),
        quarantined=count(intersect(lettered, facts.quarantined)),
        tombstoned=count(tombstoned),
        missing=count(holes),
        refused=count(letters),
        replayed=count(intersect(facts.replayed, window)),
        doubled=sum(facts.kinds.values()) - count(facts.stored),
        # Received and nowhere, or stored and never noted as received.
        unexplained=count(subtract(received, accounted)) + count(subtract(facts.stored, received)),
        holes=holes[:_MOST_HOLES],
    )


def _windows(connection: Connection, period: Mapping[str, datetime]) -> dict[_Stream, Range]:
    rows = connection.execute(QUERIES["audit_period"], period)
    return {(device, boot): (first, last) for device, boot, first, last in rows}


def _facts(rows: Iterable[tuple[object, ...]], windows: dict[_Stream, Range] | None) -> dict[_Stream, Facts]:
    facts: dict[_Stream, Facts] = {}
    for device, site, boot, ranges, expired, tombstones, _ in rows:
        stream = (str(device), UUID(str(boot)))
        received = _inclusive(ranges)
        window = (1, MAX_SEQ) if windows is None else widened(windows.get(stream), received)
        if window is not None and received:
            old, dropped = _inclusive(expired), _inclusive(tombstones)
            facts[stream] = Facts(site=str(site), received=received, expired=old, dropped=dropped, window=window)
    return facts


def widened(window: Range | None, received: list[Range]) -> Range | None:
    """Return the window with the holes that touch it."""
    if window is None:
        return None
    first, last = window
    start = max((min(end, first - 1) + 1 for begin, end in received if begin < first), default=1)
    stop = min((max(begin, last + 1) - 1 for begin, end in received if end > last), default=last)
    return start, stop


def _fill(connection: Connection, facts: dict[_Stream, Facts]) -> None:
    """Add what the landing tables and the dead letters hold."""
    streams = list(facts)
    devices = sorted({device for device, _ in streams})
    wanted = {
        "devices": [device for device, _ in streams],
        "boots": [boot for _, boot in streams],
        "firsts": [facts[stream].window[0] for stream in streams],
        "lasts": [facts[stream].window[1] for stream in streams],
    }
    for device, boot, *numbers, stored in connection.execute(QUERIES["audit_stored"], wanted):
        one = facts[device, boot]
        one.kinds = dict(zip(KINDS, numbers, strict=True))
        one.stored = _inclusive(stored)
    for device, boot, dropped in connection.execute(QUERIES["audit_dropped"], {"devices": devices}):
        if (device, boot) in facts:
            one = facts[device, boot]
            one.dropped = merge(one.dropped + _inclusive(dropped))
    for device, boot, *found in connection.execute(QUERIES["audit_letters"], {"devices": devices}):
        if (device, boot) in facts:
            one = facts[device, boot]
            one.letters, one.quarantined, one.replayed = (_inclusive(ranges) for ranges in found)


def _inclusive(ranges: object) -> list[Range]:
    if not isinstance(ranges, Multirange):
        raise TypeError(f"{ranges!r} is no multirange")
    return [(part.lower or 0, (part.upper or 0) - 1) for part in ranges]
