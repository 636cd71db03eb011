"""The devices and how they are."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from trace_service.web import inquiries
from trace_service.web.context import ConsoleOf
from trace_service.web.guards import SessionOf
from trace_service.web.render import Page

router = APIRouter()


@router.get("/devices")
async def devices(request: Request, console: ConsoleOf, session: SessionOf) -> Response:
    """Show when each device was last heard of; the page fetches its table anew every few seconds."""
    rows = await inquiries.devices(console.database, session.brand)
    template = "devices_table.html" if "hx-request" in request.headers else "devices.html"
    return console.renderer.page(request, Page(template, {"rows": rows}), session)
