"""Territories for programs: in force at a time, their versions, drafts with reports, publication, simulation."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response

from geofence.proposed.remarks import CONCERNS, Remark, Severity
from geofence.territory import Query as Asked
from trace_service.domain.roles import Role
from trace_service.store.rows import recordset
from trace_service.territories.access import Actor, ShelfOf, TerritoryShelf, actor, body_of
from trace_service.territories.documents import LARGEST_DRAFT, Stated, read_draft
from trace_service.territories.drafts import Decision, as_row, drop, load_draft, propose, publish, report_on
from trace_service.territories.errors import DraftDecidedError, DraftError, DraftMissingError, DraftRefusedError
from trace_service.territories.shown import Wanted, collection, drafts_of, versions_of
from trace_service.territories.simulation import simulate
from trace_service.web.errors import BusyError, InvalidParameterError, NotFoundError, StateConflictError

router = APIRouter(tags=["territories"], prefix="/territories")
GEOJSON: Final = "application/geo+json"
_NAME: Final = r"^[A-Za-z0-9_-]{1,64}$"
_NEWEST: Final = 2**63 - 1

Reader = Annotated[Actor, Depends(actor("channel"))]
Drafter = Annotated[Actor, Depends(actor("channel", role=Role.ANALYST))]
Publisher = Annotated[Actor, Depends(actor("", role=Role.MANAGER))]
DraftNumber = Annotated[int, Path(ge=1, le=_NEWEST)]
Dealer = Annotated[str, Query(pattern=r"^[A-Za-z0-9_-]{0,64}$")]
Name = Annotated[str, Query(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f]+$")]
Before = Annotated[int, Query(ge=1, le=_NEWEST)]
Limit = Annotated[int, Query(ge=1, le=1000)]


class Report(BaseModel):
    """What would follow; `sound` where nothing stands against it, neither errors nor concerns."""

    sound: bool
    remarks: list[dict[str, Any]]


class DraftReport(Report):
    """A stored draft and its report."""

    draft: int


class Publication(BaseModel):
    """Which concerns are meant so, and whether past scans of these dealers are judged again."""

    model_config = ConfigDict(extra="forbid")

    accept: Annotated[list[str], Field(max_length=len(CONCERNS))] = []
    rejudge: bool = False


class Times(BaseModel):
    """The scans to try a draft on."""

    model_config = ConfigDict(extra="forbid")

    since: AwareDatetime | None = None
    until: AwareDatetime | None = None


class InForce(BaseModel):
    """When, as known when, and for which market."""

    model_config = ConfigDict(extra="forbid")

    at: AwareDatetime | None = None
    known_at: AwareDatetime | None = None
    dealer: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{0,64}$")] = ""
    channel: Annotated[str, Field(pattern=_NAME)] = "retail"
    product_line: Annotated[str | None, Field(min_length=1, max_length=100)] = None
    tolerance: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False, description="Degrees; 0 draws every point.")] = 0

    def query(self) -> Asked:
        """Return it as the book takes it."""
        now = datetime.now(UTC)
        return Asked(self.dealer, self.at or now, self.known_at or now, self.channel, self.product_line)


@router.get("", response_class=Response, responses={200: {"content": {GEOJSON: {}}}})
async def in_force(reader: Reader, shelf: ShelfOf, asked: Annotated[InForce, Query()]) -> Response:
    """Return the territories in force at a time as a FeatureCollection in WGS-84, one feature a dealer."""

    def work() -> list[dict[str, Any]]:
        return collection(shelf.book(reader.brand), asked.query(), asked.tolerance)

    return _geojson(await run_in_threadpool(work))


@router.get("/versions")
async def versions(
    reader: Reader, shelf: ShelfOf, dealer: Dealer = "", before: Before = _NEWEST, limit: Limit = 100
) -> list[dict[str, Any]]:
    """Return everything that was recorded, newest first; `before` is the last number seen."""

    def work() -> list[dict[str, Any]]:
        with shelf.connect() as connection:
            wanted = Wanted(dealer or None, before=before, limit=limit)
            return [each.as_row() for each in versions_of(connection, reader.brand, wanted)]

    return await run_in_threadpool(work)


@router.post("/proposals/report", responses={200: {"model": Report}})
async def report(request: Request, reader: Reader, shelf: ShelfOf) -> Report:
    """Say what would follow from GeoJSON or CSV; nothing is stored."""
    content = await body_of(request, LARGEST_DRAFT)

    def work() -> list[Remark]:
        with _told_plainly(), shelf.connect() as connection:
            stated, remarks = read_draft(content)
            return remarks + report_on(connection, reader.brand, stated, shelf.atoms)

    return Report(**_shown(await run_in_threadpool(work)))


@router.post("/proposals/draft", status_code=201, responses={201: {"model": DraftReport}, 422: {"model": Report}})
async def new_draft(request: Request, drafter: Drafter, shelf: ShelfOf, name: Name) -> Response:
    """Store GeoJSON or CSV as a draft; one with an unreadable feature is refused with the report."""
    content = await body_of(request, LARGEST_DRAFT)

    def work() -> tuple[int | None, list[Remark]]:
        with _told_plainly(), shelf.connect() as connection:
            stated, remarks = read_draft(content)
            if remarks:
                return None, remarks
            number = propose(connection, drafter.brand, name, stated, drafter.name)
            return number, report_on(connection, drafter.brand, stated, shelf.atoms)

    number, remarks = await run_in_threadpool(work)
    body = _shown(remarks)
    return JSONResponse(body | {"draft": number} if number else body, 201 if number else 422)


@router.get("/drafts")
async def drafts(reader: Reader, shelf: ShelfOf, before: Before = _NEWEST, limit: Limit = 100) -> list[dict[str, Any]]:
    """Return drafts, newest first."""

    def work() -> list[dict[str, Any]]:
        with shelf.connect() as connection:
            return drafts_of(connection, reader.brand, before=before, limit=limit)

    return await run_in_threadpool(work)


@router.get("/drafts/{number}", response_class=Response, responses={200: {"content": {GEOJSON: {}}}})
async def draft(reader: Reader, shelf: ShelfOf, number: DraftNumber) -> Response:
    """Return a draft's proposals as they were sent, a FeatureCollection."""
    stated = await run_in_threadpool(_draft, shelf, reader.brand, number)
    return _geojson([_feature(each) for each in stated])


@router.get("/drafts/{number}/report")
async def draft_report(reader: Reader, shelf: ShelfOf, number: DraftNumber) -> Report:
    """Say what would follow were a draft published now."""

    def work() -> list[Remark]:
        stated = _draft(shelf, reader.brand, number)
        with shelf.connect() as connection:
            return report_on(connection, reader.brand, stated, shelf.atoms)

    return Report(**_shown(await run_in_threadpool(work)))


@router.post("/drafts/{number}/publish", responses={409: {"model": Report}})
async def publish_draft(publisher: Publisher, shelf: ShelfOf, number: DraftNumber, asked: Publication) -> Response:
    """Make versions of a draft, all or none; takes an account with the role manager."""

    def work() -> dict[str, Any]:
        with _told_plainly(), shelf.connect() as connection:
            decision = Decision(publisher.name, asked.accept, asked.rejudge)
            done = publish(connection, publisher.brand, number, shelf.atoms, decision)
        shown = _shown(done.remarks)["remarks"]
        moment = done.recorded_at.isoformat()
        return {"draft": number, "territories": list(done.territories), "recorded_at": moment, "remarks": shown}

    try:
        return JSONResponse(await run_in_threadpool(work))
    except DraftRefusedError as error:
        body = {"type": "about:blank", "title": "Refused", "status": 409, "code": error.code, "detail": error.message}
        return JSONResponse(
            body | {"advice": error.advice} | _shown(error.remarks), 409, media_type="application/problem+json"
        )


@router.post("/drafts/{number}/drop", status_code=204)
async def drop_draft(drafter: Drafter, shelf: ShelfOf, number: DraftNumber) -> None:
    """Put a draft aside for good."""

    def work() -> None:
        with _told_plainly(), shelf.connect() as connection:
            drop(connection, drafter.brand, number, drafter.name)

    await run_in_threadpool(work)


@router.post("/drafts/{number}/simulate", response_class=Response)
async def simulate_draft(reader: Drafter, shelf: ShelfOf, number: DraftNumber, asked: Times) -> Response:
    """Say which past scans would be judged otherwise: counts by verdict, dealer and city, and examples."""

    def work() -> str:
        stated = _draft(shelf, reader.brand, number)
        if not shelf.simulating.acquire(blocking=False):
            raise BusyError("another simulation is running", advice="Try again in a moment.", retry_after=10)
        try:
            now = datetime.now(UTC)
            times = (asked.since or datetime(1970, 1, 1, tzinfo=UTC), asked.until or now)
            proposed = [each.proposal(now).version for each in stated]
            with shelf.connect() as connection:
                found = simulate(connection, reader.brand, shelf.book(reader.brand), proposed, times)
        finally:
            shelf.simulating.release()
        return recordset([found.as_row()])[1:-1]

    return Response(await run_in_threadpool(work), media_type="application/json")


def _draft(shelf: TerritoryShelf, brand: str, number: int) -> list[Stated]:
    with _told_plainly(), shelf.connect() as connection:
        proposals: list[Stated] = load_draft(connection, brand, number).proposals
        return proposals


@contextmanager
def _told_plainly() -> Iterator[None]:
    """Turn what can be wrong with a draft into what a request is refused for."""
    try:
        yield
    except DraftMissingError as error:
        raise NotFoundError(error.message, advice=error.advice) from error
    except DraftDecidedError as error:
        raise StateConflictError(error.message, advice=error.advice) from error
    except DraftRefusedError:
        raise
    except DraftError as error:
        raise InvalidParameterError(error.message, advice=error.advice) from error


def _shown(remarks: Sequence[Remark]) -> dict[str, Any]:
    sound = all(each.severity is Severity.NOTE for each in remarks)
    return {"sound": sound, "remarks": [as_row(each) for each in remarks]}


def _feature(stated: Stated) -> dict[str, Any]:
    properties = {name: getattr(stated, name) for name in stated.__struct_fields__ if name != "geometry"}
    return {"type": "Feature", "geometry": stated.geometry, "properties": properties}


def _geojson(features: Sequence[dict[str, Any]]) -> Response:
    body = recordset([{"type": "FeatureCollection", "features": features}])[1:-1]
    return Response(body, media_type=GEOJSON)
