"""Writes the project's own custody events as EPCIS events, each once, soon after it happened."""

from collections.abc import Sequence
from typing import Any, Final

from trace_service.epcis.own import Fact, own_event
from trace_service.epcis.queries import SQL
from trace_service.epcis.rows import Origin, event_row
from trace_service.epcis.standard import namespaces
from trace_service.store.connection import Connection
from trace_service.store.rows import recordset

BATCH: Final = 2000


def project(connection: Connection, brand: str) -> None:
    """Write all that is still pending for a brand, a batch a transaction.

    What custody refuses waits until it is mended, and a logistic unit until it is known whose it is.
    """
    connection.execute(SQL["adopt_pending"])
    while _batch(connection, brand) == BATCH:
        pass


def project_all(connection: Connection) -> None:
    """Write all that is still pending for every brand."""
    connection.execute(SQL["adopt_pending"])
    for row in connection.execute(SQL["pending_brands"]).fetchall():
        while _batch(connection, row.brand) == BATCH:
            pass


def _batch(connection: Connection, brand: str) -> int:
    with connection.transaction():
        rows = connection.execute(SQL["claim_pending"], {"brand": brand, "limit": BATCH}).fetchall()
        if rows:
            _write(connection, brand, rows)
    return len(rows)


def _write(connection: Connection, brand: str, rows: Sequence[Any]) -> None:
    found = []
    for row in rows:
        event = own_event(_fact(brand, row))
        if event is not None:
            origin = Origin(row.device, row.boot, row.seq, row.seq)
            found.append(event_row(event, brand, namespaces.STANDARD, origin))
    connection.execute(SQL["insert_events"], {"rows": recordset(found)})
    connection.execute(SQL["done_pending"], {"ids": [row.id for row in rows]})


def _fact(brand: str, row: Any) -> Fact:  # noqa: ANN401  a row
    wrong = None
    if row.wrong_step is not None:
        wrong = Fact(
            brand,
            row.unit,
            row.wrong_step,
            row.wrong_site,
            row.wrong_gln,
            row.wrong_dealer,
            row.wrong_shipment,
            row.wrong_parent,
            row.wrong_reason,
            row.wrong_at,
        )
    return Fact(
        brand,
        row.unit,
        row.biz_step,
        row.site,
        row.gln,
        row.dealer,
        row.shipment,
        row.parent,
        row.reason,
        row.occurred_at,
        wrong,
    )
