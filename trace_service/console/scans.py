"""One scan, from the verdict back to the message that brought it."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from contracts.topics import Kind, event_topic
from trace_service.console.records import Record, record
from trace_service.web import inquiries
from trace_service.web.context import ConsoleOf
from trace_service.web.errors import NotFoundError
from trace_service.web.guards import SessionOf
from trace_service.web.models import Scan
from trace_service.web.parameters import Boot, DeviceId, Sequence
from trace_service.web.render import Page

router = APIRouter()


async def _found(console: ConsoleOf, session: SessionOf, device: DeviceId, boot: Boot, seq: Sequence) -> Scan | Record:
    try:
        return await inquiries.scan(console.database, session.brand, (device, boot, seq))
    except NotFoundError:
        return await record(console.database, session.brand, (device, boot, seq))


@router.get("/scans/{device}/{boot}/{seq}")
async def scan(
    request: Request, console: ConsoleOf, session: SessionOf, found: Annotated[Scan | Record, Depends(_found)]
) -> Response:
    """Show a scan as it landed and what was decided about it, or an event of custody and the document it came in."""
    if isinstance(found, Record):
        return console.renderer.page(request, Page("record.html", {"record": found}), session)
    values = {"scan": found, "topic": event_topic(found.site, found.device, Kind.SCAN)}
    return console.renderer.page(request, Page("scan.html", values), session)
