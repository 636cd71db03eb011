"""One code at any moment, as known at any other: state, path, and everything that happened to it."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BeforeValidator
from starlette.responses import Response

from contracts.errors import CodeError
from contracts.gs1 import parse
from trace_service.processing.history import Entry, UnitState, state_at, timeline
from trace_service.store.connection import connect
from trace_service.store.queries import SQL
from trace_service.web import inquiries
from trace_service.web.context import Console, ConsoleOf
from trace_service.web.guards import SessionOf
from trace_service.web.render import Page, words_of

router = APIRouter()
_SHOWN: Final = 300


def _blank(value: object) -> object:
    """Return None for a field of the form that was left empty."""
    return None if value == "" else value


Code = Annotated[str, Query(max_length=512)]
Picked = Annotated[datetime | None, BeforeValidator(_blank), Query()]


@dataclass(frozen=True)
class Moments:
    """The moment a page is asked for, and that by which its facts were known, as picked in the reader's time zone."""

    at: datetime | None
    known: datetime | None

    def aware(self, zone: ZoneInfo) -> tuple[datetime, datetime | None]:
        """Return both moments with their zone; the first is now where none was picked."""
        at, known = (moment and (moment if moment.tzinfo else moment.replace(tzinfo=zone)) for moment in self.pair)
        return at or datetime.now(UTC), known

    @property
    def pair(self) -> tuple[datetime | None, datetime | None]:
        """Both moments as they were picked."""
        return self.at, self.known

    def field(self, name: str, zone: ZoneInfo) -> str:
        """Return the value of a picker, in the reader's time zone."""
        moment: datetime | None = getattr(self, name)
        if moment is None:
            return ""
        return (moment.astimezone(zone) if moment.tzinfo else moment).strftime("%Y-%m-%dT%H:%M")


class Found(NamedTuple):
    """What is on record: the state, the newest part of the timeline, and the dealers' names."""

    state: UnitState
    entries: list[Entry]
    more: int
    names: dict[str, Any]


class Problem(NamedTuple):
    """Why a text is no code: a stable reason, and an English sentence."""

    reason: str
    text: str


def _moments(at: Picked = None, known: Picked = None) -> Moments:
    return Moments(at, known)


@router.get("/codes")
async def code_page(
    request: Request,
    console: ConsoleOf,
    session: SessionOf,
    moments: Annotated[Moments, Depends(_moments)],
    code: Code = "",
) -> Response:
    """Show what a code was at a moment; without a code, the form alone."""
    text = code.strip()
    found, problem, scans = None, None, []
    try:
        unit = parse(f"https://id.gs1.org{text}" if text.startswith("/") else text).key if text else ""
    except CodeError as error:
        problem = Problem(getattr(error, "reason", error.code), str(error))
    else:
        when = moments.aware(words_of(request, session).zone)
        if unit:
            rows = await inquiries.scans_of_code(console.database, session.brand, unit, when[1])
            scanned = {row.dealer for row in rows}
            found = await asyncio.to_thread(_look, console, session.brand, unit, when, scanned)
            scans = await asyncio.to_thread(inquiries.located, console.places, rows)
    values = {"code": text, "found": found, "problem": problem, "moments": moments, "scans": scans}
    return console.renderer.page(request, Page("code.html", values, 422 if problem else 200), session)


def _look(
    console: Console, brand: str, unit: str, when: tuple[datetime, datetime | None], scanned: set[str | None]
) -> Found:
    with connect(console.settings.database_url.get_secret_value(), "console codes") as connection:
        state = state_at(connection, brand, unit, *when)
        entries = timeline(connection, brand, unit, when[1])
        dealers = scanned | {*state.levels, state.dealer, state.holder, *(entry.event.dealer for entry in entries)}
        query = {"dealers": sorted(each for each in dealers if each), "brand": brand}
        names = {row.id: row for row in connection.execute(SQL["dealer_names"], query)}
    return Found(state, entries[-_SHOWN:], max(0, len(entries) - _SHOWN), names)
