"""Orders for ERP and WMS: create, change, cancel, acknowledge, reconcile."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from trace_service.keys import KeyWrapper
from trace_service.orders import document, service
from trace_service.orders.model import ORDER_ID, Order, OrderDraft, Placed, Reconciliation, State
from trace_service.orders.reconcile import reconcile
from trace_service.web.connections import ConnectionOf
from trace_service.web.context import ConsoleOf
from trace_service.web.tokens import Partner, require_scope

router = APIRouter(tags=["orders"])
OrderPath = Annotated[str, Path(pattern=ORDER_ID)]
PartnerOf = Annotated[Partner, Depends(require_scope("orders"))]


class Cancellation(BaseModel):
    """Why an order is cancelled."""

    model_config = ConfigDict(extra="forbid")

    reason: Annotated[str, Field(max_length=300)] = ""


class OrderList(BaseModel):
    """Orders, newest first; `before` is the parameter for the next part, null at the end."""

    orders: list[Order]
    before: str | None


class OrderHistory(BaseModel):
    """An order with every state it has been in."""

    order: Order
    history: list[dict[str, Any]]


@router.put("/orders/{number}")
def place_order(
    partner: PartnerOf, connection: ConnectionOf, number: OrderPath, draft: OrderDraft, response: Response
) -> Placed:
    """Create an order (201), or change it by a higher version (200).

    The same version with the same content may be sent any number of times. An older version, or other content under
    the same version, is refused (ORDER_VERSION), and so is a change after loading has begun (ORDER_STATE).
    """
    placed = service.place(connection, partner.brand, number, draft, partner.name)
    response.status_code = 201 if placed.outcome == "created" else 200
    return placed


@router.get("/orders")
def list_orders(
    partner: PartnerOf,
    connection: ConnectionOf,
    state: Annotated[State | None, Query()] = None,
    before: Annotated[str | None, Query(pattern=ORDER_ID)] = None,
) -> OrderList:
    """List orders, in one state or in all."""
    found = service.orders(connection, partner.brand, [state] if state else None, before)
    return OrderList(orders=found, before=found[-1].id if len(found) == service.PAGE else None)


@router.get("/orders/{number}")
def show_order(partner: PartnerOf, connection: ConnectionOf, number: OrderPath) -> OrderHistory:
    """Show an order in force and its history."""
    found = service.find(connection, partner.brand, number)
    return OrderHistory(
        order=found, history=[row._asdict() for row in service.history(connection, partner.brand, number)]
    )


@router.post("/orders/{number}/cancel")
def cancel_order(partner: PartnerOf, connection: ConnectionOf, number: OrderPath, body: Cancellation) -> Order:
    """Cancel an order that nobody has begun to load."""
    return service.cancel(connection, partner.brand, number, partner.name, body.reason)


@router.post("/orders/{number}/acknowledge")
def acknowledge_order(partner: PartnerOf, connection: ConnectionOf, number: OrderPath) -> Order:
    """Confirm that the ERP has taken note of how the order ended; repeated, it changes nothing."""
    return service.acknowledge(connection, partner.brand, number, partner.name)


@router.get("/orders/{number}/reconciliation")
def reconcile_order(partner: PartnerOf, connection: ConnectionOf, number: OrderPath) -> Reconciliation:
    """Hold the order against the scans that custody accepted for it: per line, with the codes."""
    return reconcile(connection, partner.brand, number)


@router.get("/orders/{number}/document", response_class=Response)
def order_document(console: ConsoleOf, partner: PartnerOf, connection: ConnectionOf, number: OrderPath) -> Response:
    """Return the accompanying document as it is now, a PDF; its number, and what its code says, are in the headers."""
    from trace_service.orders.pdf import render  # noqa: PLC0415  a service without documents needs no typesetter

    issued = document.issue(connection, KeyWrapper(console.settings.key_encryption_key), partner.brand, number)
    headers = {"Codefence-Document-Number": str(issued.number), "Codefence-Document-Code": issued.code}
    return Response(render(issued), media_type="application/pdf", headers=headers)
