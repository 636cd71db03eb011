"""What would change: past scans judged with and without proposed versions; and as they were judged in their time."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final

from geofence.check import check_many
from geofence.evidence import Evidence, GpsEvidence, Platform, SiteEvidence
from geofence.finding import Finding
from geofence.territory import Query, TerritoryVersion
from trace_service.domain.territories import BrandBook
from trace_service.store.connection import Connection
from trace_service.territories.queries import SQL

_BATCH: Final = 5_000
MOST_EXAMPLES: Final = 50
_EXAMPLES_EACH: Final = 10
_EVER: Final = datetime(1970, 1, 1, tzinfo=UTC)

Row = Any


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
    """What was found: `scans` looked at, of which `touched` were judged by other versions; counts of changes.

    `transitions` count (before, after), `places` (dealer, city, before, after); unchanged verdicts are not in them.
    """

    scans: int = 0
    touched: int = 0
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
            "scans": self.scans, "touched": self.touched, "changed": self.changed,
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
    for part in _parts(rows):
        found.scans += len(part)
        concerned: list[tuple[Row, Query]] = []
        for row in part:
            query = book.query(row.dealer, row.gtin, row.occurred_at, known_at)
            if after.in_force(query) is not book.territories.in_force(query):
                concerned.append((row, query))
        found.touched += len(concerned)
        asked = [(query, evidence(row)) for row, query in concerned]
        olds, news = check_many(book.territories, asked), check_many(after, asked)
        for (row, _), old, new in zip(concerned, olds, news, strict=True):
            _count(found, row, old, new)
    return found


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
        for part in _parts(_scans(connection, name, query)):
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


def _parts(rows: Iterator[Row]) -> Iterator[list[Row]]:
    while part := list(islice(rows, _BATCH)):
        yield part


def _count(found: Simulation, row: Row, old: Finding, new: Finding) -> None:
    before, after = old.verdict.value, new.verdict.value
    if before == after:
        return
    found.transitions[before, after] += 1
    found.places[row.dealer, row.city or "", before, after] += 1
    if found.transitions[before, after] <= _EXAMPLES_EACH and len(found.examples) < MOST_EXAMPLES:
        place = (row.device, row.boot, row.seq, row.occurred_at, row.dealer, row.city, row.lon, row.lat)
        found.examples.append(Example(*place, before, after, old.p_inside, new.p_inside))
