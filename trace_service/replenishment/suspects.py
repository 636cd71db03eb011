"""Goods that must not be sold or moved, taken out of the stock as soon as a recall, a hold or an alert says so."""

from collections import Counter

from trace_service.replenishment.proposals import Place, review
from trace_service.replenishment.queries import SQL
from trace_service.store.connection import Connection
from trace_service.store.locks import lock
from trace_service.store.rows import recordset


def process_suspects(connection: Connection) -> tuple[int, set[tuple[str, str]]]:
    """Count one waiting brand's suspect goods in the caller's transaction, and look at the proposals that rest on them.

    Orders are computed anew; transfers and markdowns of goods that are no longer free are withdrawn, the others say how
    many must stay. Returns how many pieces of work that was, and what the console should be told, as (kind, brand).
    """
    claimed = Counter(row.brand for row in connection.execute(SQL["claim_suspects"]))
    told: set[tuple[str, str]] = set()
    for brand in claimed:
        places = write_suspects(connection, brand)
        if places:
            told |= _look_again(connection, brand, places)
    return claimed.total(), told


def write_suspects(connection: Connection, brand: str) -> list[Place]:
    """Bring the count of suspect goods of each of a brand's places up to date; return where it changed, locked."""
    first = _changed(connection, brand)
    if not first:
        return []
    lock(connection, {f"stock {place.site} {place.gtin}" for place in first})
    # What moved before the locks were held is counted anew; other places' turn comes with their own messages.
    found = {place: units for place, units in _changed(connection, brand).items() if place in first}
    rows = recordset({**place._asdict(), "units": units} for place, units in found.items())
    connection.execute(SQL["write_suspects"], {"rows": rows})
    return sorted(found)


def _changed(connection: Connection, brand: str) -> dict[Place, int]:
    rows = connection.execute(SQL["changed_suspects"], {"brand": brand})
    return {Place(row.site, row.gtin): row.units for row in rows}


def _look_again(connection: Connection, brand: str, places: list[Place]) -> set[tuple[str, str]]:
    columns = {"sites": [place.site for place in places], "gtins": [place.gtin for place in places]}
    for query in ("withdraw_suspects", "flag_suspects"):
        connection.execute(SQL[query], columns)
    return review(connection, places, [], None) | {("stock", brand), ("proposal", brand)}
