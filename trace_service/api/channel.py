"""The channel's tables for programs: one file in, with a report; one table out."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from pydantic import AwareDatetime, BaseModel
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response

from trace_service.channel.export import as_csv, headings, rows_of
from trace_service.channel.files import LARGEST_FILE
from trace_service.channel.importer import Job, import_files, load_channel
from trace_service.channel.plan import Plan
from trace_service.channel.tables import TABLES
from trace_service.store.connection import Connection, connect
from trace_service.web.context import Console, ConsoleOf
from trace_service.web.errors import InvalidParameterError, NotFoundError
from trace_service.web.tokens import Partner, require_scope

router = APIRouter(tags=["channel"])
PartnerOf = Annotated[Partner, Depends(require_scope("channel"))]
FileName = Annotated[str, Query(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f/\\]+$")]


class Report(BaseModel):
    """What was changed, or would be; `problems` name file, sheet, row, column, code, message and remedy."""

    brand: str
    applied: bool
    counts: dict[str, dict[str, int]]
    problems: list[dict[str, Any]]
    changes: list[dict[str, Any]]


def connection_of(console: ConsoleOf) -> Iterator[Connection]:
    """Yield a connection of its own for one request."""
    with connect(console.settings.database_url.get_secret_value(), "channel") as connection:
        yield connection


@router.post("/channel/import", responses={200: {"model": Report}, 422: {"model": Report}})
async def import_table(
    request: Request, partner: PartnerOf, console: ConsoleOf, name: FileName, *, dry_run: bool = False
) -> Response:
    """Import one CSV or Excel file, all rows or none; `name` says which table it is."""
    length = request.headers.get("content-length", "")
    if not length.isdecimal() or int(length) > LARGEST_FILE:
        raise InvalidParameterError("the file is too large or of unknown length", advice="Send at most 32 MB.")
    content = await request.body()
    plan = await run_in_threadpool(_import, console, partner, (name, content), dry_run=dry_run)
    return JSONResponse(plan.report(applied=plan.sound and not dry_run), 200 if plan.sound else 422)


def _import(console: Console, partner: Partner, file: tuple[str, bytes], *, dry_run: bool) -> Plan:
    with connect(console.settings.database_url.get_secret_value(), "channel import") as connection:
        job = Job(f"api:{partner.name}", console.places.atoms, dry_run)
        plan = import_files(connection, partner.brand, [file], job)
    console.channels.forget(partner.brand)
    return plan


@router.get("/channel/export/{table}", response_class=Response)
def export_table(
    partner: PartnerOf,
    connection: Annotated[Connection, Depends(connection_of)],
    table: str,
    at: AwareDatetime | None = None,
    known_at: AwareDatetime | None = None,
) -> Response:
    """Return a table as CSV, as of a moment and as it was known at another."""
    wanted = next((each for each in TABLES if each.name == table), None)
    if wanted is None:
        raise NotFoundError("no such table", advice=", ".join(each.name for each in TABLES))
    now = datetime.now(UTC)
    channel = load_channel(connection, partner.brand, known_at or now)
    content = as_csv(headings(wanted, "en"), rows_of(channel, partner.brand, wanted, at or now))
    return Response(content, media_type="text/csv; charset=utf-8")
