"""Outbound orders: the queue, one order with its countdown, and the document that travels with it."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from trace_service.keys import KeyWrapper
from trace_service.orders import document, service
from trace_service.orders.model import ORDER_ID, State
from trace_service.orders.queries import SQL
from trace_service.orders.reconcile import reconcile
from trace_service.web.connections import ConnectionOf
from trace_service.web.context import ConsoleOf
from trace_service.web.guards import SessionOf
from trace_service.web.render import Page

router = APIRouter()
STATES: tuple[State, ...] = (State.OPEN, State.LOADING, State.DIFFERENCE, State.CLOSED, State.CANCELLED)
_EVENTS = 200
OrderPath = Annotated[str, Path(pattern=ORDER_ID)]


def _shown(
    state: Annotated[State | None, Query()] = None, before: Annotated[str | None, Query(pattern=ORDER_ID)] = None
) -> tuple[State | None, str | None]:
    return state, before


@router.get("/orders")
def orders(
    request: Request,
    console: ConsoleOf,
    session: SessionOf,
    connection: ConnectionOf,
    shown: Annotated[tuple[State | None, str | None], Depends(_shown)],
) -> Response:
    """Show the orders in one state, newest first; where none is asked for, in the first state that has any."""
    chosen, before = shown
    counts = service.counts(connection, session.brand)
    state = chosen or next((each for each in STATES if counts.get(each.value)), State.OPEN)
    found = service.orders(connection, session.brand, [state], before)
    values = {
        "state": state.value,
        "states": [each.value for each in STATES],
        "counts": counts,
        "orders": found,
        "before": found[-1].id if len(found) == service.PAGE else None,
    }
    return console.renderer.page(request, Page("orders.html", values), session)


@router.get("/orders/{number}")
def order(
    request: Request, console: ConsoleOf, session: SessionOf, connection: ConnectionOf, number: OrderPath
) -> Response:
    """Show an order: what was asked for, what was scanned, who loaded it and what they reported."""
    found = service.find(connection, session.brand, number)
    query = {"brand": session.brand, "id": number, "limit": _EVENTS}
    values = {
        "order": found,
        "counted": reconcile(connection, session.brand, number),
        "history": service.history(connection, session.brand, number),
        "events": [_report(row) for row in connection.execute(SQL["station_events"], query)],
    }
    return console.renderer.page(request, Page("order.html", values), session)


@router.get("/orders/{number}/document.pdf")
async def order_document(
    console: ConsoleOf, session: SessionOf, connection: ConnectionOf, number: OrderPath
) -> Response:
    """Return the accompanying document as it is now."""
    from trace_service.orders.pdf import render  # noqa: PLC0415  a console without documents needs no typesetter

    keys = KeyWrapper(console.settings.key_encryption_key)

    def made() -> bytes:
        return render(document.issue(connection, keys, session.brand, number))

    page = await run_in_threadpool(made)
    headers = {"Content-Disposition": f'inline; filename="{number}.pdf"'}
    return Response(page, media_type="application/pdf", headers=headers)


def _report(row: Any) -> dict[str, Any]:  # noqa: ANN401  a row's columns are known to the query alone
    """Return what a station reported as the page shows it; a detail of another type than expected is left out."""
    detail = row.body.get("detail", {})

    def text(*names: str) -> str:
        return next((value for name in names if isinstance(value := detail.get(name), str)), "")

    def count(name: str) -> int:
        value = detail.get(name)
        return len(value) if isinstance(value, list) else value if isinstance(value, int) else 0

    counts = {name: count(name) for name in ("missing", "extra", "damaged")}
    refused = row.body.get("refused", {}).get("reason", "")
    said = {
        "refused": refused,
        "verdict": text("verdict"),
        "reason": text("reason"),
        "signed": text("by", "signed_by"),
        **counts,
    }
    return {**row._asdict(), **said}
