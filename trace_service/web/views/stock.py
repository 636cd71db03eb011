"""Stock by store and product."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from trace_service.web import inquiries
from trace_service.web.auth.guards import SessionOf
from trace_service.web.context import ConsoleOf
from trace_service.web.render import Page

router = APIRouter()


@router.get("/stock")
async def stock(request: Request, console: ConsoleOf, session: SessionOf) -> Response:
    """Show what every shelf senses beside what the ledger counts; live updates fetch only the table."""
    rows = await inquiries.stock(console.database, session.brand)
    template = "stock_table.html" if "hx-request" in request.headers else "stock.html"
    return console.renderer.page(request, Page(template, {"rows": rows}), session)
