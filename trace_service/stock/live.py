"""Stock figures from shelves and from the ledger of scans, kept as messages come."""

from collections.abc import Collection
from typing import Any, Final

from trace_service.domain.events import Source
from trace_service.keys import KeyWrapper
from trace_service.replenishment.proposals import Place, Rise, review
from trace_service.stock.facings import note_unplanned, take_facings
from trace_service.stock.figures import Figures, figures_of
from trace_service.stock.lots import name_lots
from trace_service.stock.queries import SQL
from trace_service.store.connection import Connection
from trace_service.store.locks import lock
from trace_service.store.queries import SQL as STORE_SQL
from trace_service.store.rows import key_columns, recordset

Row = Any
MOVES_AT_ONCE: Final = 500
_UNCHANGED: Final = ("site", "gtin", "units", "confidence", "fault")


def process_readings(connection: Connection, claimed: Collection[Row]) -> set[tuple[str, str]]:
    """Take in claimed shelf readings; return what the console should be told, as (kind, brand)."""
    sources = {Source(row.device, row.boot, row.seq): row.ts for row in claimed}
    query = {**key_columns(sources), "moments": list(sources.values())}
    rows = connection.execute(SQL["readings"], query).fetchall()
    known, strange = _sorted_out(rows)
    if strange:
        connection.execute(STORE_SQL["insert_quarantine"], {"rows": recordset(map(_held, strange))})
    if not known:
        return set()
    lock(connection, {f"shelf {row.device}" for row in known})
    newest: dict[tuple[str, int], Row] = {}
    for row in sorted(known, key=lambda each: (each.ts, each.boot, each.seq)):
        newest[row.device, row.channel] = row
    seen = [row for row in newest.values() if row.filled is not None]
    weighed = {key: row for key, row in newest.items() if row.filled is None}
    told = take_facings(connection, seen) if seen else set()
    return told | _take_weights(connection, weighed) if weighed else told


def _take_weights(connection: Connection, newest: dict[tuple[str, int], Row]) -> set[tuple[str, str]]:
    """Take in the newest reading of each scale."""
    columns = ("device", "channel", "site", "gtin", "units", "confidence", "fault", "ts", "boot", "seq")
    written = recordset({key: getattr(row, key) for key in columns} for row in newest.values())
    # A channel that now holds another product takes its figure away from the earlier one.
    devices = sorted({device for device, _ in newest})
    before = {
        (row.device, row.channel): row
        for row in connection.execute(SQL["channels"], {"devices": devices})
        if (row.device, row.channel) in newest
    }
    connection.execute(SQL["write_channels"], {"rows": written})
    cause = max(newest.values(), key=lambda row: (row.ts, row.device, row.seq))
    places = {
        Place(row.site, row.gtin)
        for key, fresh in newest.items()
        for row in (fresh, before.get(key))
        if row is not None and not (fresh.settled and _same(before.get(key), fresh))
    }
    told = note_unplanned(connection, newest, before)
    return told | (update(connection, places, Source(cause.device, cause.boot, cause.seq), []) if places else set())


def process_moves(
    connection: Connection, keys: KeyWrapper, moved: Collection[tuple[str, str]], cause: Source
) -> set[tuple[str, str]]:
    """Count again what was received and sold where scans say so; `moved` holds (site, unit) pairs."""
    if not moved:
        return set()
    sites, units = zip(*sorted(moved), strict=True)
    query = {"sites": list(sites), "units": list(units)}
    rows = connection.execute(SQL["items_of_moves"], query).fetchall()
    if not rows:
        return set()
    columns = ("site", "unit", "gtin")
    items = {f"{name}s": [getattr(row, name) for row in rows] for name in columns}
    connection.execute(SQL["count_units"], items)
    name_lots(connection, keys, [(row.site, row.unit) for row in rows])
    places = {Place(row.site, row.gtin) for row in rows}
    _lock(connection, places)
    counted = connection.execute(SQL["count_stock"], _columns(places)).fetchall()
    return update(connection, places, cause, counted)


def process_queued_moves(connection: Connection, keys: KeyWrapper) -> tuple[int, set[tuple[str, str]]]:
    """Count what `queue_moves` left, in the caller's transaction; return how many rows, and the console's news."""
    rows = connection.execute(SQL["claim_moves"], {"limit": MOVES_AT_ONCE}).fetchall()
    if not rows:
        return 0, set()
    last = rows[-1]
    moved = {(row.site, row.unit) for row in rows}
    return len(rows), process_moves(connection, keys, moved, Source(last.device, last.boot, last.seq))


def _same(before: Row | None, fresh: Row) -> bool:
    """Whether a reading is the heartbeat of one that is known: it needs no look at the whole place."""
    return before is not None and all(getattr(before, name) == getattr(fresh, name) for name in _UNCHANGED)


def _sorted_out(rows: list[Row]) -> tuple[list[Row], list[Row]]:
    known = [row for row in rows if row.known_site and row.known_product]
    return known, [row for row in rows if not (row.known_site and row.known_product)]


def _held(row: Row) -> dict[str, Any]:
    reason = "unknown_site" if not row.known_site else "unknown_product"
    keys = {"device": row.device, "boot": row.boot, "seq": row.seq, "ts": row.ts}
    return {"brand": None, **keys, "code": row.gtin, "reason": reason, "detail": row.site}


def _lock(connection: Connection, places: Collection[Place]) -> None:
    lock(connection, {f"stock {place.site} {place.gtin}" for place in places})


def _columns(places: Collection[Place]) -> dict[str, list[str]]:
    ordered = sorted(places)
    return {"sites": [place.site for place in ordered], "gtins": [place.gtin for place in ordered]}


def update(
    connection: Connection, places: Collection[Place], cause: Source, counted: Collection[Row]
) -> set[tuple[str, str]]:
    """Bring the figures of places up to date after what was `counted` in the ledger, and the proposals on them."""
    _lock(connection, places)
    arrived = {(row.site, row.gtin): row for row in counted}
    rows = connection.execute(SQL["sense"], _columns(places)).fetchall()
    figures = figures_of(rows, arrived, cause)
    _write(connection, figures)
    rises = {(row.site, row.gtin): row.rise for row in counted if row.rise > 0} | figures.rises
    risen = [Rise(*place, items) for place, items in rises.items()]
    return review(connection, sorted(places), risen, cause) | figures.told


def _write(connection: Connection, figures: Figures) -> None:
    if figures.written:
        connection.execute(SQL["write_figures"], {"rows": recordset(figures.written)})
    if figures.strange:
        sites, gtins = zip(*sorted(figures.strange), strict=True)
        named = connection.execute(SQL["strangers"], {"sites": list(sites), "gtins": list(gtins)}).fetchall()
        units = {(row.site, row.gtin): row.units for row in named}
        for finding in figures.findings:
            if finding["kind"] == "unexplained_stock":
                finding["detail"] = {"units": units.get((finding["site"], finding["gtin"]), [])}
    if figures.findings:
        connection.execute(SQL["insert_findings"], {"rows": recordset(figures.findings)})
    if figures.resolved:
        connection.execute(SQL["resolve_findings"], {"rows": recordset({"id": each} for each in figures.resolved)})
