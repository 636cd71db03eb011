"""What would change: past scans judged with and without proposed versions; and as they were judged in their time."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final, TypeAlias

import numpy as np

from geofence.evidence import RADIUS_PER_SIGMA, Evidence, GpsEvidence, Platform, SiteEvidence
from geofence.finding import Finding
from geofence.proposed.recheck import recheck
from geofence.territory import DEFAULT_CHANNEL, Seller, TerritoryVersion
from geofence.verdicts.check import check_many
from geofence.verdicts.columns import VERDICTS, Scans, microseconds
from trace_service.domain.territories import BrandBook
from trace_service.store.connection import Connection
from trace_service.territories.queries import SQL

_BATCH: Final = 5_000
_LARGE_BATCH: Final = 200_000
_EXAMPLES_EACH: Final = 10
_VERDICTS: Final = tuple(each.value for each in VERDICTS)
_SIGMA_PER_RADIUS: Final = {each.value: 1 / ratio for each, ratio in RADIUS_PER_SIGMA.items()}
_EVER: Final = datetime(1970, 1, 1, tzinfo=UTC)

Row = Any
# A scan with the verdict that it has and the one that it would have.
Change: TypeAlias = tuple[Row, str, str]


@dataclass(frozen=True, slots=True)
class Example:
    """One scan whose verdict would change."""

    device: str
    boot: str
    seq: int
    occurred_at: datetime
    dealer: str
    city: str | None
    lon: float | None
    lat: float | None
    before: str
    after: str
    p_before: float | None
    p_after: float | None


@dataclass(slots=True)
class Simulation:
    """What was found: `scans` looked at, of which `judged` had to be judged to know; counts of changes.

    `transitions` count (before, after), `places` (dealer, city, before, after); unchanged verdicts are not in them.
    """

    scans: int = 0
    judged: int = 0
    transitions: Counter[tuple[str, str]] = field(default_factory=Counter)
    places: Counter[tuple[str, str, str, str]] = field(default_factory=Counter)
    examples: list[Example] = field(default_factory=list)

    @property
    def changed(self) -> int:
        """How many scans would be judged otherwise."""
        return sum(self.transitions.values())

    def as_row(self) -> dict[str, Any]:
        """Return it for machines, the largest counts first."""
        return {
            "scans": self.scans, "judged": self.judged, "changed": self.changed,
            "transitions": [
                {"before": before, "after": after, "scans": count}
                for (before, after), count in sorted(self.transitions.items(), key=lambda item: (-item[1], item[0]))
            ],
            "places": [
                {"dealer": dealer, "city": city or None, "before": before, "after": after, "scans": count}
                for (dealer, city, before, after), count in sorted(
                    self.places.items(), key=lambda item: (-item[1], item[0])
                )
            ],
            "examples": [asdict(each) for each in self.examples],
        }  # fmt: skip


def simulate(
    connection: Connection, brand: str, book: BrandBook, proposed: Sequence[TerritoryVersion],
    times: tuple[datetime, datetime] | None = None,
) -> Simulation:  # fmt: skip
    """Judge the past scans of the dealers concerned with what is recorded now, and with `proposed` as well."""
    after = book.territories.with_versions(*proposed)
    known_at = max([datetime.now(UTC), *(each.recorded_at for each in proposed)])
    found = Simulation()
    since, until = times or (_EVER, known_at)
    dealers = sorted({each.dealer for each in proposed})
    rows = _scans(connection, "scans", {"brand": brand, "dealers": dealers, "since": since, "until": until})
    for part in _parts(rows, _LARGE_BATCH):
        found.scans += len(part)
        located = [row for row in part if row.lon is not None and row.lat is not None]
        changes = recheck(book.territories, after, _columns(book, located, known_at))
        found.judged += changes.judged
        verdicts = zip(changes.rows.tolist(), changes.before.tolist(), changes.after.tolist(), strict=True)
        changed = [(located[number], _VERDICTS[old], _VERDICTS[new]) for number, old, new in verdicts]
        wanted = [each for each in changed if _count(found, each)]
        asked = [(book.query(row.dealer, row.gtin, row.occurred_at, known_at), evidence(row)) for row, _, _ in wanted]
        judged = zip(wanted, check_many(book.territories, asked), check_many(after, asked), strict=True)
        found.examples += [_example(each, old, new) for each, old, new in judged]
    return found


def _columns(book: BrandBook, rows: Sequence[Row], known_at: datetime) -> Scans:
    """Return located rows as columns: sites exact, fixes with the error of whoever reported them, and the map's."""
    sellers: dict[Seller, int] = {}
    seller = [sellers.setdefault((row.dealer, DEFAULT_CHANNEL, book.lines.get(row.gtin)), len(sellers)) for row in rows]
    per_radius = [
        0.0 if row.registered else 1 / RADIUS_PER_SIGMA[Platform(row.platform or Platform.WEB)] for row in rows
    ]
    device_m = np.array([row.accuracy_m or 0.0 for row in rows], dtype=np.float64) * np.array(per_radius)
    exact = np.array([row.registered for row in rows], dtype=np.bool_)
    return Scans(
        tuple(sellers),
        np.array(seller, dtype=np.intp),
        np.array([microseconds(row.occurred_at) for row in rows], dtype=np.int64),
        np.full(len(rows), microseconds(known_at), dtype=np.int64),
        np.array([row.lon for row in rows], dtype=np.float64),
        np.array([row.lat for row in rows], dtype=np.float64),
        np.where(exact, 0.0, np.hypot(device_m, book.territories.atoms.boundary_sigma_m)),
        np.zeros(len(rows)),
    )


@dataclass(frozen=True, slots=True)
class Replayed:
    """A stored verdict beside what the versions known by then say, and what those known now say."""

    row: Row
    then: Finding
    now: Finding


def replay(
    connection: Connection, brand: str, book: BrandBook, dealers: Sequence[str], known_at: datetime
) -> Iterator[Replayed]:
    """Judge every stored verdict of some dealers as it was in its time and as of `known_at`, superseded ones too."""
    query = {"brand": brand, "dealers": list(dealers), "since": _EVER, "until": known_at}
    for name in ("scans", "scans_superseded"):
        for part in _parts(_scans(connection, name, query), _BATCH):
            then = [(book.query(row.dealer, row.gtin, row.occurred_at, row.decided_at), evidence(row)) for row in part]
            now = [(book.query(row.dealer, row.gtin, row.occurred_at, known_at), evidence(row)) for row in part]
            judged = zip(part, check_many(book.territories, then), check_many(book.territories, now), strict=True)
            yield from (Replayed(*each) for each in judged)


def evidence(row: Row) -> Evidence | None:
    """Return the evidence that a stored verdict was found with; its position is WGS-84."""
    if row.lon is None or row.lat is None:
        return None
    if row.registered:
        return SiteEvidence("", row.lon, row.lat)
    return GpsEvidence(row.lon, row.lat, row.accuracy_m or 0.0, Platform(row.platform or Platform.WEB))


def _scans(connection: Connection, name: str, parameters: dict[str, Any]) -> Iterator[Row]:
    """Yield rows as they come: a year of scans is more than memory wants to hold."""
    with connection.transaction(), connection.cursor(name="territory_scans") as cursor:
        cursor.itersize = _BATCH
        cursor.execute(SQL[name], parameters)
        yield from cursor


def _parts(rows: Iterator[Row], size: int) -> Iterator[list[Row]]:
    while part := list(islice(rows, size)):
        yield part


def _count(found: Simulation, change: Change) -> bool:
    """Count a changed verdict; tell whether it is wanted as an example."""
    row, before, after = change
    found.transitions[before, after] += 1
    found.places[row.dealer, row.city or "", before, after] += 1
    return found.transitions[before, after] <= _EXAMPLES_EACH


def _example(change: Change, old: Finding, new: Finding) -> Example:
    row, before, after = change
    place = (row.device, row.boot, row.seq, row.occurred_at, row.dealer, row.city, row.lon, row.lat)
    return Example(*place, before, after, old.p_inside, new.p_inside)
