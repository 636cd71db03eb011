"""The channel's pages: the dealers' tree, one dealer, and the import of tables."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import BeforeValidator
from starlette.datastructures import FormData, UploadFile
from starlette.responses import Response

from trace_service.channel.export import as_csv, as_excel, headings, template_row
from trace_service.channel.files import LARGEST_FILE
from trace_service.channel.importer import Job, import_files
from trace_service.channel.plan import File, Plan
from trace_service.channel.queries import SQL
from trace_service.channel.tables import TABLES
from trace_service.channel.values import start_of
from trace_service.channel.versions import Channel
from trace_service.console.dealers import Dealers, Step, steps
from trace_service.domain.roles import Role
from trace_service.store.connection import connect
from trace_service.web.auth.sessions import Session
from trace_service.web.context import Console, ConsoleOf
from trace_service.web.errors import InvalidParameterError, NotFoundError
from trace_service.web.guards import SessionOf, require_equal, require_role, require_same_origin
from trace_service.web.render import Page, words_of

router = APIRouter()
MOST_FILES: Final = 8
_LARGEST_BODY: Final = LARGEST_FILE + 65536
_SHOWN: Final = 200


def _blank(value: object) -> object:
    """Return None for a field of a form that was left empty."""
    return None if value == "" else value


DealerId = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
Wanted = Annotated[str, Query(max_length=100)]
Day = Annotated[date | None, BeforeValidator(_blank), Query()]


@dataclass(frozen=True)
class AsOf:
    """The day a page is asked for, and the day by which its facts had been recorded; None is now."""

    at: date | None
    known: date | None

    @property
    def moment(self) -> datetime:
        """The moment that the page shows."""
        return _end_of(self.at)

    @property
    def known_at(self) -> datetime | None:
        """The moment of knowledge; None is now, also for days to come."""
        moment = _end_of(self.known)
        return moment if self.known is not None and moment < datetime.now(UTC) else None

    @property
    def suffix(self) -> str:
        """The query that keeps both days on the way to another page."""
        given = {name: day.isoformat() for name, day in (("at", self.at), ("known", self.known)) if day}
        return f"?{urlencode(given)}" if given else ""


def _as_of(at: Day = None, known: Day = None) -> AsOf:
    return AsOf(at, known)


AsOfDay = Annotated[AsOf, Depends(_as_of)]


@router.get("/channel")
async def tree(request: Request, console: ConsoleOf, session: SessionOf, day: AsOfDay, q: Wanted = "") -> Response:
    """Show the dealers as a tree, as of a day and as it was known on one."""
    channel = await asyncio.to_thread(console.channels.known, session.brand, day.known_at)
    values = {"tree": Dealers(channel, session.brand, day.moment).tree(q.strip()), "q": q, "day": day}
    return console.renderer.page(request, Page("channel.html", values), session)


@router.get("/channel/dealers/{dealer}")
async def dealer_page(
    request: Request, console: ConsoleOf, session: SessionOf, dealer: DealerId, day: AsOfDay
) -> Response:
    """Show one dealer: its chain, who stands below, contracts, sites, staff, and everything that was recorded."""
    channel = await asyncio.to_thread(console.channels.known, session.brand, day.known_at)
    line = channel.line("dealer", dealer)
    if line is None or line.brand != session.brand:
        raise NotFoundError("no dealer of that id")
    view = Dealers(channel, session.brand, day.moment).view(dealer)
    history = await asyncio.to_thread(_history, console, session.brand, dealer, channel)
    values = {"view": view, "history": history, "day": day}
    return console.renderer.page(request, Page("dealer.html", values), session)


def _history(console: Console, brand: str, dealer: str, channel: Channel) -> list[Step]:
    with connect(console.settings.database_url.get_secret_value(), "console channel") as connection:
        parameters = {"brand": brand, "kind": "dealer", "key": dealer}
        rows = connection.execute(SQL["history"], parameters).fetchall()
    return steps("dealer", channel.lines["dealer", dealer], rows[::-1])


def _end_of(day: date | None) -> datetime:
    """Return the last moment of a day in China, or now."""
    now = datetime.now(UTC)
    if day is None or not date(1900, 1, 1) < day < date(9000, 1, 1):
        return now
    return start_of(day + timedelta(days=1)) - timedelta(microseconds=1)


@router.get("/channel/import")
async def import_page(request: Request, console: ConsoleOf, session: SessionOf) -> Response:
    """Show the form for tables."""
    return console.renderer.page(request, Page("channel_import.html", {"plan": None, "applied": False}), session)


@router.post("/channel/import")
async def import_tables(request: Request, console: ConsoleOf, session: SessionOf) -> Response:
    """Try tables, or import them; the page's own script keeps the files chosen and shows the result below."""
    require_same_origin(request, console)
    length = request.headers.get("content-length", "")
    if not length.isdecimal() or int(length) > _LARGEST_BODY:
        raise InvalidParameterError("the files are too large together", advice=f"At most {LARGEST_FILE >> 20} MB.")
    async with request.form(max_files=MOST_FILES, max_fields=8) as form:
        require_equal(str(form.get("csrf", "")), session.csrf)
        require_role(session, Role.ANALYST)
        files = await _files(form)
        trying = form.get("act") != "import"
    if not files:
        raise InvalidParameterError("no file was sent", advice="Choose one.")
    plan = await asyncio.to_thread(_import, console, session, files, trying=trying)
    values = {"plan": plan, "applied": plan.sound and not trying, "shown": _SHOWN}
    template = "channel_report.html" if "hx-request" in request.headers else "channel_import.html"
    return console.renderer.page(request, Page(template, values), session)


async def _files(form: FormData) -> list[File]:
    uploads = [each for each in form.getlist("files") if isinstance(each, UploadFile) and each.filename]
    return [((each.filename or "")[:100], await each.read()) for each in uploads]


def _import(console: Console, session: Session, files: list[File], *, trying: bool) -> Plan:
    with connect(console.settings.database_url.get_secret_value(), "console import") as connection:
        plan = import_files(connection, session.brand, files, Job(session.login, console.places.atoms, trying))
    console.channels.forget(session.brand)
    return plan


@router.get("/channel/template/{name}")
async def template(
    request: Request, session: SessionOf, name: Annotated[str, Path(pattern=r"^[a-z]{1,20}\.(csv|xlsx)$")]
) -> Response:
    """Send a table with its headings and an example, or a workbook with all of them, in the reader's language."""
    language = words_of(request, session).language
    stem, _, kind = name.partition(".")
    if name == "channel.xlsx":
        books = {
            table.zh if language == "zh" else table.name: (headings(table, language), iter([template_row(table)]))
            for table in TABLES
        }
        content = as_excel(books)
    else:
        table = next((each for each in TABLES if each.name == stem and kind == "csv"), None)
        if table is None:
            raise NotFoundError("no such template")
        content = as_csv(headings(table, language), iter([template_row(table)]))
    return Response(
        content,
        media_type="application/octet-stream",
        headers={"Content-Disposition": f'attachment; filename="{name}"', "X-Content-Type-Options": "nosniff"},
    )
