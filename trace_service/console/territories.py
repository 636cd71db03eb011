"""The territories' pages: a map and a table of any day, one dealer's versions and report, drafts and their decision."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, FastAPI, Form, Path, Query, Request
from starlette.datastructures import UploadFile
from starlette.responses import RedirectResponse, Response

from geofence.maps import AtomMap
from geofence.proposed.remarks import CONCERNS, Remark, Severity
from geofence.territory import Query as Asked
from geofence.territory import TerritoryVersion
from trace_service.console.channel import AsOf, AsOfDay
from trace_service.domain.roles import Role
from trace_service.territories.access import ShelfOf, TerritoryShelf
from trace_service.territories.documents import LARGEST_DRAFT, read_draft
from trace_service.territories.drafts import Decision, drop, load_draft, propose, publish, report_on
from trace_service.territories.errors import DraftDecidedError, DraftError, DraftMissingError, DraftRefusedError
from trace_service.territories.overview import Names, Overviews, standing
from trace_service.territories.picture import WIDTH
from trace_service.territories.shown import Wanted, drafts_of, versions_of
from trace_service.territories.simulation import Simulation, simulate
from trace_service.web.auth.sessions import Session
from trace_service.web.context import Console, ConsoleOf
from trace_service.web.errors import BusyError, InvalidParameterError, NotFoundError, StateConflictError
from trace_service.web.guards import SessionOf, WorkerSession, require_equal, require_role, require_same_origin
from trace_service.web.parameters import Number
from trace_service.web.render import Page

router = APIRouter(prefix="/territories")
_HISTORY: Final = 200
_DRAFTS: Final = 20
_LARGEST_BODY: Final = LARGEST_DRAFT + 65536
_EVER: Final = datetime(1970, 1, 1, tzinfo=UTC)

DealerId = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
Line = Annotated[str, Query(max_length=100)]
Step = Annotated[int | None, Query(ge=0, le=100_000)]
Accepted = Annotated[list[str] | None, Form(max_length=len(CONCERNS))]
Rejudge = Annotated[str, Form(max_length=3)]


@dataclass(frozen=True)
class Shown:
    """What a page of the map is asked for: a day, and what was known on one; a product line; a step of the slider."""

    day: AsOf
    line: str
    step: int | None

    def query(self, dealer: str, moment: datetime | None = None) -> Asked:
        """Return it as the book takes it."""
        known_at = self.day.known_at or datetime.now(UTC)
        return Asked(dealer, moment or self.day.moment, known_at, product_line=self.line or None)


def _shown(day: AsOfDay, line: Line = "", step: Step = None) -> Shown:
    return Shown(day, line, step)


@dataclass(frozen=True)
class Studio:
    """What the pages are made with."""

    console: Console
    shelf: TerritoryShelf
    overviews: Overviews

    def map(self, brand: str, shown: Shown, dealer: str) -> dict[str, Any]:
        """Return what the map and its table need."""
        book, channel = self.shelf.book(brand), self.console.channels.known(brand, shown.day.known_at)
        view = self.overviews.overview(book, channel, shown.query(dealer))
        moment = shown.day.moment
        if shown.step is not None and view.moments:
            moment = view.moments[min(shown.step, len(view.moments) - 1)]
            view = self.overviews.overview(book, channel, shown.query(dealer, moment))
        past = sum(each <= moment for each in view.moments)
        return {
            "view": view, "by_dealer": {row.version.dealer: row for row in view.rows}, "day": shown.day,
            "line": shown.line, "moment": moment, "step": max(past - 1, 0),
            "names": Names.of(channel, moment), "own": view.row(dealer), "width": WIDTH, "dealer": dealer,
        }  # fmt: skip

    def dealer(self, brand: str, shown: Shown, dealer: str) -> dict[str, Any]:
        """Return what one dealer's page needs. Raises NotFoundError."""
        values = self.map(brand, shown, dealer)
        with self.shelf.connect() as connection:
            history = versions_of(connection, brand, Wanted(dealer, limit=_HISTORY))
        if not history and values["names"](dealer) == (dealer, dealer):
            raise NotFoundError("no dealer of that id")
        book, channel = self.shelf.book(brand), self.console.channels.known(brand, shown.day.known_at)
        remarks = standing(book.territories, channel, brand, shown.query(dealer, values["moment"]))
        return values | {"history": history, "remarks": remarks}

    def draft(self, session: Session, number: int) -> dict[str, Any]:
        """Return what a draft's page needs. Raises NotFoundError."""
        now = datetime.now(UTC)
        with self.shelf.connect() as connection:
            try:
                row = load_draft(connection, session.brand, number)
            except DraftMissingError as error:
                raise NotFoundError(error.message, advice=error.advice) from error
            undecided = row.state == "draft"
            remarks = report_on(connection, session.brand, row.proposals, self.shelf.atoms) if undecided else []
        versions = [each.proposal(now).version for each in row.proposals]
        known = [each for each in versions if all(self.shelf.knows(code) for code in each.adcodes)]
        return {
            "draft": row, "remarks": remarks, "versions": versions, "picture": self.overviews.draw(known),
            "names": Names.of(self.console.channels.known(session.brand), now), "width": WIDTH,
            "concerns": sorted({each.code.value for each in remarks if each.severity is Severity.CONCERN}),
            "refused": any(each.severity is Severity.ERROR for each in remarks),
            "may_publish": Role(session.role).covers(Role.MANAGER),
            "may_decide": Role(session.role).covers(Role.ANALYST),
        }  # fmt: skip

    def simulated(self, brand: str, versions: Sequence[TerritoryVersion]) -> Simulation:
        """Try versions on past scans. Raises BusyError while another simulation runs."""
        if not self.shelf.simulating.acquire(blocking=False):
            raise BusyError("another simulation is running", advice="Try again in a moment.", retry_after=10)
        try:
            with self.shelf.connect() as connection:
                return simulate(connection, brand, self.shelf.book(brand), versions, (_EVER, datetime.now(UTC)))
        finally:
            self.shelf.simulating.release()


def overviews_of(app: FastAPI, atoms: AtomMap) -> Overviews:
    """Return the application's overviews."""
    if not hasattr(app.state, "territory_overviews"):
        app.state.territory_overviews = Overviews(atoms)
    found: Overviews = app.state.territory_overviews
    return found


def _studio(request: Request, console: ConsoleOf, shelf: ShelfOf) -> Studio:
    return Studio(console, shelf, overviews_of(request.app, shelf.atoms))


ShownOf = Annotated[Shown, Depends(_shown)]
StudioOf = Annotated[Studio, Depends(_studio)]


@router.get("")
async def overview(request: Request, studio: StudioOf, session: SessionOf, shown: ShownOf) -> Response:
    """Show everyone's territory on a day."""

    def work() -> dict[str, Any]:
        with studio.shelf.connect() as connection:
            drafts = drafts_of(connection, session.brand, limit=_DRAFTS)
        return studio.map(session.brand, shown, "") | {"drafts": drafts}

    values = await asyncio.to_thread(work)
    return studio.console.renderer.page(request, Page("territories.html", values), session)


@router.get("/dealers/{dealer}")
async def dealer_page(
    request: Request, studio: StudioOf, session: SessionOf, dealer: DealerId, shown: ShownOf
) -> Response:
    """Show one dealer's territory, everything that was recorded of it, and what is to be said of it."""
    values = await asyncio.to_thread(studio.dealer, session.brand, shown, dealer)
    return studio.console.renderer.page(request, Page("territory.html", values), session)


@router.post("/upload")
async def upload(request: Request, console: ConsoleOf, session: SessionOf, shelf: ShelfOf) -> Response:
    """Make a draft of a file; one that cannot be read in full is refused with each reason."""
    require_same_origin(request, console)
    length = request.headers.get("content-length", "")
    if not length.isdecimal() or int(length) > _LARGEST_BODY:
        raise InvalidParameterError("the file is too large", advice=f"At most {LARGEST_DRAFT >> 20} MB.")
    async with request.form(max_files=1, max_fields=4) as form:
        require_equal(str(form.get("csrf", "")), session.csrf)
        require_role(session, Role.ANALYST)
        file = form.get("file")
        content = await file.read() if isinstance(file, UploadFile) else b""
        named = (file.filename if isinstance(file, UploadFile) else "") or ""
        name = "".join(each for each in named if each.isprintable())
    number, remarks = await asyncio.to_thread(_propose, shelf, session, name[:200] or "-", content)
    if number is not None:
        return RedirectResponse(f"/territories/drafts/{number}", 303)
    values = {"remarks": remarks, "names": Names({}), "name": name}
    return console.renderer.page(request, Page("territory_unread.html", values, 422), session)


def _propose(shelf: TerritoryShelf, session: Session, name: str, content: bytes) -> tuple[int | None, list[Remark]]:
    try:
        stated, remarks = read_draft(content, name)
    except DraftError as error:
        raise InvalidParameterError(error.message, advice=error.advice) from error
    if remarks:
        return None, remarks
    with shelf.connect() as connection:
        return propose(connection, session.brand, name, stated, session.login), []


@router.get("/drafts/{number}")
async def draft_page(request: Request, studio: StudioOf, session: SessionOf, number: Number) -> Response:
    """Show a draft: what it proposes, on the map, and what would follow."""
    values = await asyncio.to_thread(studio.draft, session, number)
    return studio.console.renderer.page(request, Page("territory_draft.html", values | {"found": None}), session)


@router.post("/drafts/{number}/simulate")
async def simulate_draft(request: Request, studio: StudioOf, session: WorkerSession, number: Number) -> Response:
    """Show the draft with what it would have changed of past verdicts."""

    def work() -> dict[str, Any]:
        values = studio.draft(session, number)
        return values | {"found": studio.simulated(session.brand, values["versions"])}

    values = await asyncio.to_thread(work)
    return studio.console.renderer.page(request, Page("territory_draft.html", values), session)


@router.post("/drafts/{number}/publish")
async def publish_draft(
    session: WorkerSession, shelf: ShelfOf, number: Number, accept: Accepted = None, rejudge: Rejudge = ""
) -> Response:
    """Make versions of a draft, with the concerns that were ticked."""
    require_role(session, Role.MANAGER)

    def work() -> None:
        with shelf.connect() as connection:
            decision = Decision(session.login, accept or (), bool(rejudge))
            publish(connection, session.brand, number, shelf.atoms, decision)

    await asyncio.to_thread(_plainly, work)
    return RedirectResponse(f"/territories/drafts/{number}", 303)


@router.post("/drafts/{number}/drop")
async def drop_draft(session: WorkerSession, shelf: ShelfOf, number: Number) -> Response:
    """Put a draft aside."""

    def work() -> None:
        with shelf.connect() as connection:
            drop(connection, session.brand, number, session.login)

    await asyncio.to_thread(_plainly, work)
    return RedirectResponse("/territories", 303)


def _plainly(work: Callable[[], None]) -> None:
    """Run what decides about a draft; what can be wrong with it becomes a refusal."""
    try:
        work()
    except DraftMissingError as error:
        raise NotFoundError(error.message, advice=error.advice) from error
    except (DraftDecidedError, DraftRefusedError) as error:
        raise StateConflictError(error.message, advice=error.advice) from error
