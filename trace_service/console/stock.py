"""Stock by store and product: what is there, what contradicts it, what to count, and the climate around it."""

from typing import Final

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from trace_service.web import inquiries, stocktaking
from trace_service.web.context import ConsoleOf
from trace_service.web.guards import SessionOf, WorkerSession
from trace_service.web.parameters import CountedField, Gtin, SiteId
from trace_service.web.render import Page

router = APIRouter()
MOST_LEADS: Final = 8
MOST_ROWS: Final = 300
"""A page of more is no help to anybody: what needs ordering, then what is least certain, comes first."""


@router.get("/stock")
async def stock(request: Request, console: ConsoleOf, session: SessionOf) -> Response:
    """Show the stock of every store; live updates fetch only what changes."""
    database, brand = console.database, session.brand
    rows, more = await inquiries.urgent_stock(database, brand, MOST_ROWS)
    leads = await stocktaking.leads(database, brand, None, MOST_LEADS)
    values = {
        "rows": rows,
        "more": more,
        "leads": leads.rows,
        "findings": await stocktaking.findings(database, brand),
        "counts": await stocktaking.counts(database, brand),
        "climate": await stocktaking.climate(database, brand),
    }
    template = "stock_table.html" if "hx-request" in request.headers else "stock.html"
    return console.renderer.page(request, Page(template, values), session)


@router.get("/stock/{site}/{gtin}")
async def place(request: Request, console: ConsoleOf, session: SessionOf, site: SiteId, gtin: Gtin) -> Response:
    """Show one product at one site: where its figure comes from, its lots, its findings."""
    found = await stocktaking.place(console.database, session.brand, site, gtin)
    template = "stock_place_parts.html" if "hx-request" in request.headers else "stock_place.html"
    return console.renderer.page(request, Page(template, {"shown": found, "row": found.stock}), session)


@router.post("/stock/{site}/{gtin}/count")
async def count(
    console: ConsoleOf, session: WorkerSession, site: SiteId, gtin: Gtin, counted: CountedField
) -> Response:
    """Take a person's count and show the place again."""
    await stocktaking.count(console.database, session, site, gtin, counted)
    return RedirectResponse(f"/stock/{site}/{gtin}", 303)
