"""Proposals that must be looked at again though no message came: after an approval or a count."""

from typing import Final

from trace_service.replenishment.proposals import Place, review
from trace_service.replenishment.queries import SQL
from trace_service.store.connection import Connection
from trace_service.store.locks import lock

_AT_ONCE: Final = 200


def propose_again(connection: Connection) -> tuple[int, set[tuple[str, str]]]:
    """Bring the proposals that wait for it up to date, in the caller's transaction.

    Returns how many pieces of work that was, and what the console should be told, as (kind, brand).
    """
    claimed = connection.execute(SQL["claim_reviews"], {"limit": _AT_ONCE}).fetchall()
    places = sorted({Place(row.site, row.gtin) for row in claimed})
    told: set[tuple[str, str]] = set()
    if places:
        lock(connection, {f"stock {place.site} {place.gtin}" for place in places})
        told = review(connection, places, [], None)
    return len(claimed), told
