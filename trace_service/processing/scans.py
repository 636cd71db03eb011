"""A batch of scans: verify, lock, replay custody, decide, and tell the engines, in the caller's transaction."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from contracts.gs1 import CANONICAL_HOST
from geofence.coordinates import Crs
from trace_service.cases.sync import follow_verdicts
from trace_service.codes.verify import Text, read_parent, verify
from trace_service.domain.events import Event, Refusal, Site, Source, Step
from trace_service.domain.verification import STEPS, Code, ScanFacts, Verdict, World, decide_all
from trace_service.keys import KeyWrapper
from trace_service.processing.books import Books
from trace_service.processing.custody import Replayed, Since, record
from trace_service.processing.loading import load_sites
from trace_service.processing.observing import Judged, observe_scans
from trace_service.processing.outcome import write_reliance
from trace_service.store.connection import Connection, one
from trace_service.store.locks import lock_units
from trace_service.store.queries import SQL
from trace_service.store.rows import key_columns, recordset

Row = Any
_MOST_LOTS = 200_000
_VERDICT_FIELDS = tuple(each.name for each in fields(Verdict))


@dataclass(frozen=True, slots=True)
class News:
    """What a batch changed: (kind, brand) pairs for the console, and (site, unit) pairs that moved stock."""

    told: frozenset[tuple[str, str]]
    moved: frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class _Batch:
    """Scans as landed, their codes, and the sites and dealers that they name."""

    scans: dict[Source, Row]
    codes: dict[Source, Code]
    sites: dict[str, Site]
    dealers: dict[str, str]
    brand_of_dealer: dict[str, str]

    def with_more(self, other: "_Batch") -> "_Batch":
        """Return both batches as one."""
        return _Batch(
            self.scans | other.scans,
            self.codes | other.codes,
            self.sites | other.sites,
            self.dealers | other.dealers,
            self.brand_of_dealer | other.brand_of_dealer,
        )


def process_scans(connection: Connection, keys: KeyWrapper, books: Books, claimed: Collection[Row]) -> News:
    """Decide about claimed scans, and again about every scan that their news concerns."""
    sources = {Source(row.device, row.boot, row.seq): row.ts for row in claimed}
    query = {**key_columns(sources), "moments": list(sources.values())}
    rows = connection.execute(SQL["scans"], query).fetchall()
    # 1. What are these codes?
    batch = _load(connection, keys, rows)
    # 2. Nobody else may change these units, or what they lie in, until this is committed.
    seen = {code.unit for code in batch.codes.values() if code.unit}
    lock_units(connection, seen, {unit for row in rows if (unit := read_parent(row.parent))})
    # 3. What happened to them, in the order of their events?
    events, _ = _events(batch)
    replayed = record(connection, events, seen, batch.sites)
    return _judge(connection, keys, books, batch, replayed)


def process_again(
    connection: Connection, keys: KeyWrapper, books: Books, units: Since, moment: datetime | None = None
) -> News:
    """Judge units again, each since a time, because what they rest on changed at a moment (None: just now)."""
    lock_units(connection, units.keys())
    sites: dict[str, Site] = {}
    replayed = record(connection, (), units.keys(), sites, units)
    return _judge(connection, keys, books, _Batch({}, {}, sites, {}, {}), replayed, moment=moment)


def _judge(  # noqa: PLR0913  what judging takes
    connection: Connection,
    keys: KeyWrapper,
    books: Books,
    batch: _Batch,
    replayed: Replayed,
    *,
    moment: datetime | None = None,
) -> News:
    # 4. Earlier scans of the units concerned are decided about again.
    query = {"units": list(replayed.affected), "sinces": list(replayed.affected.values())}
    again = connection.execute(SQL["scans_of_units"], query).fetchall()
    known = [row for row in again if Source(row.device, row.boot, row.seq) not in batch.scans]
    whole = batch.with_more(_load(connection, keys, known)) if known else batch
    _, inadmissible = _events(whole)
    verdicts = _decide(connection, books, whole, replayed, inadmissible)
    changed = _write(connection, verdicts)
    _quarantine(connection, whole, inadmissible)
    write_reliance(connection, replayed.custody, replayed.affected.keys() | {each.unit for each in verdicts})
    # 5. Every brand's engine is told what is new.
    came = moment or max((row.received_at for row in batch.scans.values()), default=None) or datetime.now(UTC)
    judged = _judged(connection, keys, books, whole, (batch.scans.keys(), came))
    observe_scans(connection, judged, [each.brand for each in verdicts], replayed)
    # 6. Which decided cases lost their ground?
    follow_verdicts(connection, {(each.device, each.boot, each.seq) for each in changed})
    told = {("scan", each.brand) for each in changed if each.brand}
    return News(frozenset(told), replayed.moved)


def judged_before(connection: Connection, keys: KeyWrapper, books: Books, sources: Mapping[Source, datetime]) -> Judged:
    """Return scans that were judged some time, each with the time of its capture, as if they came in just now."""
    query = {**key_columns(sources), "moments": list(sources.values())}
    rows = sorted(connection.execute(SQL["scans"], query).fetchall(), key=lambda row: row.received_at)
    batch = _load(connection, keys, rows)
    return _judged(connection, keys, books, batch, (batch.scans.keys(), rows[-1].received_at))


def _judged(
    connection: Connection, keys: KeyWrapper, books: Books, batch: _Batch, news: tuple[Collection[Source], datetime]
) -> Judged:
    """Return a batch as the engine is told of it; `news` are the scans that are new, and when they came."""
    shifted = any(row.crs not in (None, Crs.WGS84) for row in batch.scans.values())
    mainland = books.mainland if shifted else None
    return Judged(batch.scans, batch.codes, batch.sites, *news, mainland, partial(_lots, connection, keys, books))


def _lots(connection: Connection, keys: KeyWrapper, books: Books, items: Mapping[str, str]) -> Mapping[str, str]:
    """Return the lot of each container by an item in it; what was decrypted once is remembered."""
    known = books.lots
    if len(known) > _MOST_LOTS:
        known.clear()
    fresh = {unit: Text(f"{CANONICAL_HOST}{item}", "") for unit, item in items.items() if unit not in known}
    if fresh:
        codes = verify(connection, keys, fresh.values())
        known.update({unit: codes[text].lot or "" for unit, text in fresh.items()})
    return {unit: known[unit] for unit in items if known[unit]}


def _load(connection: Connection, keys: KeyWrapper, rows: Iterable[Row]) -> _Batch:
    scans = {Source(row.device, row.boot, row.seq): row for row in rows}
    texts = {source: Text(row.code, row.aim) for source, row in scans.items()}
    verified = verify(connection, keys, texts.values())
    recipients = {row.recipient for row in scans.values() if row.recipient}
    sites = load_sites(connection, {row.site for row in scans.values()}, recipients)
    owners = {site.dealer for site in sites.values() if site.dealer}
    names = {"recipients": sorted({name.upper() for name in recipients}), "names": sorted(owners)}
    brands = dict(connection.execute(SQL["recipients"], names).fetchall())
    return _Batch(
        scans,
        {source: verified[text] for source, text in texts.items()},
        sites,
        {name.upper(): name for name in brands}
        | {site.id.upper(): site.dealer for site in sites.values() if site.dealer},
        brands,
    )


def _events(batch: _Batch) -> tuple[list[tuple[str | None, Event]], dict[Source, Refusal]]:
    """Return what the scans say happened, each with its brand, and the scans that custody cannot take in."""
    events: list[tuple[str | None, Event]] = []
    refused: dict[Source, Refusal] = {}
    for source, row in batch.scans.items():
        step, code = STEPS.get(row.activity), batch.codes[source]
        if step is None:
            continue
        parent = read_parent(row.parent) if step is Step.PACK else None
        refusal = _inadmissible(step, code, parent)
        if refusal:
            refused[source] = refusal
            continue
        dealer = batch.dealers.get(row.recipient.upper()) if step is Step.SHIP else None
        stranger = row.recipient if step is Step.SHIP and dealer is None else None
        brand = batch.brand_of_dealer.get(dealer or "")
        if code.brand and brand and brand != code.brand:
            dealer = None
        shipment = (row.reference or f"{row.site}-{row.ts:%Y%m%d}-{dealer}") if step is Step.SHIP else None
        said = (dealer, shipment, parent)
        event = Event(
            code.unit, step, row.site, row.ts, source, *said, verified=bool(code.brand), recipient=stranger or None
        )
        events.append((code.brand or (brand if dealer else None), event))
    return events, refused


def _inadmissible(step: Step, code: Code, parent: str | None) -> Refusal | None:
    if not code.state.accepted:
        return Refusal.CODE_NOT_ACCEPTED
    return Refusal.PARENT_INVALID if step is Step.PACK and parent is None else None


def _decide(
    connection: Connection, books: Books, batch: _Batch, replayed: Replayed, refused: Mapping[Source, Refusal]
) -> list[Verdict]:
    (now,) = one(connection, SQL["now"])
    current = books.current(connection)
    brands = {dealer: brand for brand, book in current.items() for dealer in book.levels}
    world = World(replayed.custody, batch.sites, current, brands, now)
    asked = []
    for source, row in batch.scans.items():
        code = batch.codes[source]
        if code.brand is None:
            code = replace(code, brand=replayed.brands.get(code.unit))
        asked.append((_facts(source, row), code, refused.get(source) or replayed.refused.get(source)))
    return decide_all(asked, world)


def _facts(source: Source, row: Row) -> ScanFacts:
    place = (row.lon, row.lat, row.accuracy_m, row.platform, row.crs)
    return ScanFacts(source, row.ts, row.site, row.code, row.activity, *place)


def _write(connection: Connection, verdicts: list[Verdict]) -> list[Verdict]:
    """Store new and changed verdicts, keep what they replace, and return both sides of each change."""
    keys = key_columns((each.device, each.boot, each.seq) for each in verdicts)
    stored = {
        (row.device, row.boot, row.seq): Verdict(**{**row._asdict(), "reasons": tuple(row.reasons)})
        for row in connection.execute(SQL["verdicts"], keys)
    }
    fresh = [each for each in verdicts if stored.get((each.device, each.boot, each.seq)) != each]
    if not fresh:
        return []
    replaced = [old for each in fresh if (old := stored.get((each.device, each.boot, each.seq)))]
    if replaced:
        numbers = key_columns((each.device, each.boot, each.seq) for each in replaced)
        connection.execute(SQL["supersede_verdicts"], numbers)
    connection.execute(SQL["write_verdicts"], {"rows": recordset(fresh)})
    return [*fresh, *replaced]


def _quarantine(connection: Connection, batch: _Batch, refused: Mapping[Source, Refusal]) -> None:
    held = []
    for source, why in refused.items():
        row, code = batch.scans[source], batch.codes[source]
        detail = row.parent or code.state.value
        fields = {"ts": row.ts, "code": row.code, "reason": why.value, "detail": detail[:200]}
        held.append({"brand": code.brand, **source._asdict(), **fields})
    if held:
        connection.execute(SQL["insert_quarantine"], {"rows": recordset(held)})
    accepted = batch.scans.keys() - refused.keys()
    if accepted:
        connection.execute(SQL["resolve_accepted"], key_columns(accepted))
