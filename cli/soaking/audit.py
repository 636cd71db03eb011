"""Compares the multiset of captured nonces with the committed rows, so that losses and doubles cannot cancel.

A unique key alone would hide them: one event lost and another stored twice leave the count as it should be.
"""

import sqlite3
from collections import Counter
from collections.abc import Collection, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final, NamedTuple, Self
from uuid import UUID

import msgspec
import psycopg
from msgspec import Struct

from firmware_sim.fleet.journal import Capture, captures

# By nonce as well: an event stored a second time under another identity is a double, too.
_COMMITTED: Final = "SELECT code, count(*) FROM landing.scan WHERE boot = ANY (%s) OR code = ANY (%s) GROUP BY code"
_QUEUED: Final = """
SELECT scan.code, count(*) FROM landing.queued JOIN landing.scan USING (device, boot, seq)
WHERE boot = ANY (%s) OR code = ANY (%s) GROUP BY scan.code
"""
_REFUSED: Final = """
SELECT boot, seq, reason FROM landing.dead_letter CROSS JOIN LATERAL generate_series(first_seq, last_seq) AS seq
WHERE boot = ANY (%s)
"""
_SCANS_AT_EDGE: Final = "SELECT boot.boot, body, state FROM event JOIN boot ON boot.id = boot_id WHERE kind = 'scan'"


class Audit(Struct, frozen=True, kw_only=True):
    """Counts of events. `lost` were captured and are not stored; `doubled` are stored more often than captured.

    `stuck` wait for an acknowledgement though the round is over; `queue` is how many scans are not queued for the
    trace service exactly once; `misjudged` were not refused once for the right reason, or refused without one.
    """

    captured: int = 0
    committed: int = 0
    lost: int = 0
    doubled: int = 0
    stuck: int = 0
    queue: int = 0
    misjudged: int = 0

    @property
    def is_clean(self) -> bool:
        """Whether nothing is lost, doubled, stuck or misjudged."""
        return self.lost == self.doubled == self.stuck == self.queue == self.misjudged == 0

    def __add__(self, other: Self) -> "Audit":
        return Audit(**{name: getattr(self, name) + getattr(other, name) for name in self.__struct_fields__})


class Kept(NamedTuple):
    """A scan in an outbox; `state` is 0 while it waits, 1 when it is acknowledged, 2 when it was refused."""

    boot: str
    code: str
    state: int


def audit_fleet(dsn: str, journal: Path, still_open: int) -> Audit:
    """Compare a fleet's journal with the database; `still_open` is how many events the fleet says are open."""
    return _compare(dsn, list(captures(journal)), still_open)


def audit_station(dsn: str, device: str, outbox: Path, beeped: Collection[str] = ()) -> Audit:
    """Compare a station's outbox with the database. What is in the outbox was captured: the beep comes after it.

    On a small disk acknowledged scans are forgotten early; the codes `beeped` for count as captured then as well.
    """
    kept = outbox_scans(outbox)
    taken = [Capture(device, one.boot, 0, one.code, "") for one in kept]
    forgotten = set(beeped) - {one.code for one in kept}
    taken += [Capture(device, kept[0].boot, 0, code, "") for code in forgotten]
    return _compare(dsn, taken, sum(one.state == 0 for one in kept))


def outbox_scans(outbox: Path) -> list[Kept]:
    """Return every scan in an outbox, while its agent runs or after it was killed."""
    with closing(sqlite3.connect(f"{outbox.absolute().as_uri()}?mode=ro", uri=True)) as database:
        rows = database.execute(_SCANS_AT_EDGE).fetchall()
    return [Kept(boot, msgspec.json.decode(body)["code"], state) for boot, body, state in rows]


def _compare(dsn: str, taken: Sequence[Capture], stuck: int) -> Audit:
    captured = Counter(one.nonce for one in taken if not one.fate)
    expected = Counter((UUID(one.boot), one.seq, one.fate) for one in taken if one.fate)
    boots = sorted({UUID(one.boot) for one in taken})
    nonces = [one.nonce for one in taken]
    with psycopg.connect(dsn) as connection:
        committed: Counter[str] = Counter(dict(connection.execute(_COMMITTED, [boots, nonces]).fetchall()))
        queued: Counter[str] = Counter(dict(connection.execute(_QUEUED, [boots, nonces]).fetchall()))
        refused = Counter(connection.execute(_REFUSED, [boots]).fetchall())
    return Audit(
        captured=len(taken),
        committed=committed.total(),
        lost=(captured - committed).total(),
        doubled=(committed - captured).total(),
        stuck=stuck,
        queue=(committed - queued).total() + (queued - committed).total(),
        misjudged=(expected - refused).total() + (refused - expected).total(),
    )
