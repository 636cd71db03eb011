"""Whether the service lives, whether it can work, and its numbers."""

import asyncio

import psycopg
from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import JSONResponse, Response

from trace_service.schema.migrate import pending
from trace_service.web.build_assets import is_current
from trace_service.web.context import ConsoleOf
from trace_service.web.errors import BusyError

router = APIRouter()


@router.get("/healthz")
async def healthz() -> Response:
    """Answer as long as the process runs."""
    return JSONResponse({"status": "ok"})


@router.get("/readyz")
async def readyz(console: ConsoleOf) -> Response:
    """Answer 200 when the database is reachable and migrated and the assets are there, 503 otherwise."""
    missing = await asyncio.to_thread(_pending, console.settings.database_url.get_secret_value())
    if missing:
        raise BusyError(f"migrations are pending: {', '.join(missing)}", advice="Run: codefence trace migrate")
    if not is_current():
        raise BusyError("the assets are older than their sources", advice="Restart with codefence up.")
    return JSONResponse({"status": "ready"})


@router.get("/metrics")
async def metrics(console: ConsoleOf) -> Response:
    """Return the numbers for Prometheus."""
    return Response(generate_latest(console.metrics.registry), media_type=CONTENT_TYPE_LATEST)


def _pending(dsn: str) -> list[str]:
    with psycopg.connect(dsn, connect_timeout=3) as connection:
        return pending(connection)
