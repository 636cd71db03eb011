"""What a brand's engine was never told: its past scans, captured events and papers, once, in the order of arrival.

Everything is told as it is known today, at the time at which it came: what a late paper explained is not told wrongly
first. Where it stopped is kept with every batch, so that a run that was broken off goes on there.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Any, Final

from trace_service.domain.events import LOGISTIC_PREFIX, Source, Step
from trace_service.keys import KeyWrapper
from trace_service.processing.books import Books
from trace_service.processing.custody import Replayed
from trace_service.processing.loading import brands_of, load, read_event
from trace_service.processing.observing import observe_captured, observe_scans
from trace_service.processing.scans import judged_before
from trace_service.store.brands import require_brand
from trace_service.store.connection import Connection, connect
from trace_service.store.queries import SQL

_BATCH: Final = 250
_PAPERS: Final = frozenset({Step.SHIP, Step.TRANSFER_APPROVE, Step.REBIND})
_BEGIN: Final = ("-infinity", "", "00000000-0000-0000-0000-000000000000", -1)


def backfill(dsn: str, keys: KeyWrapper, books: Books, brand: str, progress: Callable[[int], None]) -> int:
    """Tell a brand's engine its past from where that stopped; return how many scans and events that was.

    `progress` is told the number so far after each batch. Another backfill of the brand waits for this one. Raises
    `ConfigurationError` for an unknown brand.
    """
    done = 0
    with connect(dsn, "backfill") as connection, connect(dsn, "past") as reader, reader.transaction():
        require_brand(reader, brand)
        reader.execute(SQL["lock_backfill"], {"brand": brand})
        begin = reader.execute(SQL["backfilled"], {"brand": brand}).fetchone() or _BEGIN
        with reader.cursor("past") as past:
            past.itersize = _BATCH
            past.execute(SQL["past"], dict(zip(("at", "device", "boot", "seq"), begin, strict=True)) | {"brand": brand})
            for rows in _batches(past):
                with connection.transaction():
                    for captured, some in groupby(rows, key=lambda row: row.captured):
                        (_captured if captured else _scanned)(connection, keys, books, brand, list(some))
                    last = rows[-1]
                    point = {"brand": brand, "at": last.at, "device": last.device, "boot": last.boot, "seq": last.seq}
                    connection.execute(SQL["backfilled_to"], point)
                    connection.execute("NOTIFY work")
                done += len(rows)
                progress(done)
    return done


def _batches(rows: Iterator[Any]) -> Iterator[list[Any]]:
    found: list[Any] = []
    for row in rows:
        found.append(row)
        if len(found) == _BATCH:
            yield found
            found = []
    if found:
        yield found


def _scanned(connection: Connection, keys: KeyWrapper, books: Books, brand: str, rows: Sequence[Any]) -> None:
    judged = judged_before(connection, keys, books, {Source(row.device, row.boot, row.seq): row.at_ts for row in rows})
    replayed = _replayed(connection, brand, {code.unit for code in judged.codes.values() if code.unit}, judged.fresh)
    observe_scans(connection, judged, [brand] * len(judged.scans), replayed)


def _captured(connection: Connection, _keys: KeyWrapper, _books: Books, brand: str, rows: Sequence[Any]) -> None:
    wanted = {Source(row.device, row.boot, row.seq) for row in rows}
    replayed = _replayed(connection, brand, {row.unit for row in rows}, wanted)
    # Who looks at a unit moves nothing, so that no replay has it.
    query = {"units": [row.unit for row in rows], "sinces": [row.at_ts for row in rows]}
    seen = {each.source: each for row in connection.execute(SQL["sightings_since"], query) if (each := read_event(row))}
    events = [*replayed.fresh, *(event for source, event in seen.items() if source in wanted)]
    observe_captured(connection, brand, events, replayed, rows[-1].at)


def _replayed(connection: Connection, brand: str, units: set[str], sources: Any) -> Replayed:  # noqa: ANN401  a set
    loaded = load(connection, units)
    custody = loaded.custody()
    fresh = [event for found in loaded.events.values() for event in found if event.source in sources]
    papers = {
        event.shipment
        for event in fresh
        if event.step in _PAPERS and event.shipment and event.dealer and event.source not in custody.refused
    }
    owners = brands_of(connection, sorted(unit for unit in units if unit.startswith(LOGISTIC_PREFIX)))
    return Replayed(custody, {}, custody.refused, owners, frozenset(), loaded, fresh, {brand: papers} if papers else {})
