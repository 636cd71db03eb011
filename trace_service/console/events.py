"""The stream of live updates."""

from fastapi import APIRouter
from starlette.responses import StreamingResponse

from trace_service.web.context import ConsoleOf
from trace_service.web.guards import SessionOf

router = APIRouter()


@router.get("/events")
async def events(console: ConsoleOf, session: SessionOf) -> StreamingResponse:
    """Stream what kinds of things change for the session's brand."""
    console.live.require_room()
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    stream = console.live.stream(session.brand, session.expires_at)
    return StreamingResponse(stream, media_type="text/event-stream", headers=headers)
