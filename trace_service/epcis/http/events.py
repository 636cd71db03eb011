"""Events over HTTP: the query with all its parameters, single events, and the collections that lead to events."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Final
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Path, Query, Request, Response

from trace_service.epcis.http.requests import ConnectionOf, PartnerOf, Wishes, WishesOf, json_answer, page_size
from trace_service.epcis.projection import project
from trace_service.epcis.queries import SQL
from trace_service.epcis.querying.answers import query_document, single_event, written
from trace_service.epcis.querying.parameters import from_url, read_search
from trace_service.epcis.querying.search import PAGE, Page, find, forget_position, keep_position, position_of
from trace_service.epcis.refusals import NoSuchResourceError, QueryParameterError
from trace_service.store.connection import Connection
from trace_service.web.context import ConsoleOf

router = APIRouter(tags=["events"])
_LONGEST_QUERY: Final = 16_000
_MOST_MEMBERS: Final = 1000


class Collection(StrEnum):
    """Top-level resources; each leads to the events that carry one of its members."""

    EVENT_TYPES = "eventTypes"
    EPCS = "epcs"
    BIZ_STEPS = "bizSteps"
    BIZ_LOCATIONS = "bizLocations"
    READ_POINTS = "readPoints"
    DISPOSITIONS = "dispositions"


_PARAMETERS: Final[Mapping[Collection, str]] = {
    Collection.EVENT_TYPES: "eventType",
    Collection.EPCS: "MATCH_anyEPC",
    Collection.BIZ_STEPS: "EQ_bizStep",
    Collection.BIZ_LOCATIONS: "EQ_bizLocation",
    Collection.READ_POINTS: "EQ_readPoint",
    Collection.DISPOSITIONS: "EQ_disposition",
}
_MEMBERS: Final[Mapping[Collection, str]] = {
    Collection.EVENT_TYPES: "members_event_type",
    Collection.EPCS: "members_epc",
    Collection.BIZ_STEPS: "members_biz_step",
    Collection.BIZ_LOCATIONS: "members_biz_location",
    Collection.READ_POINTS: "members_read_point",
    Collection.DISPOSITIONS: "members_disposition",
}
Member = Annotated[str, Path(max_length=2048)]
After = Annotated[str, Query(max_length=2048, pattern=r"^[^\x00]*$")]


@router.get("/events")
def query_events(
    request: Request, partner: PartnerOf, connection: ConnectionOf, console: ConsoleOf, wishes: WishesOf
) -> Response:
    """Return the events that match every parameter; lists are written with | between their values."""
    digits = console.settings.company_prefix_digits
    return answer_query(request, connection, (partner.brand, "SimpleEventQuery"), wishes, digits=digits)


@router.get("/events/{event_id:path}")
def show_event(
    partner: PartnerOf, connection: ConnectionOf, console: ConsoleOf, wishes: WishesOf, event_id: Member
) -> Response:
    """Return one event."""
    project(connection, partner.brand)
    found = find(connection, partner.brand, read_search({"EQ_eventID": [event_id]}, wishes.prefixes), 1).events
    if not found:
        raise NoSuchResourceError("no event has this id")
    digits = console.settings.company_prefix_digits
    return json_answer(single_event(found[0], wishes.epc_format, digits), wishes)


@router.delete("/nextPageToken/{token}")
def forget_page(partner: PartnerOf, connection: ConnectionOf, token: Annotated[str, Path(max_length=100)]) -> Response:
    """End a paged query early."""
    forget_position(connection, partner.brand, token)
    return Response(status_code=204)


@router.get("/{collection}")
def list_members(
    partner: PartnerOf, connection: ConnectionOf, wishes: WishesOf, collection: Collection, after: After = ""
) -> Response:
    """List what the events of this brand carry, in order; `after` continues behind a member."""
    project(connection, partner.brand)
    query = {"brand": partner.brand, "after": after, "limit": _MOST_MEMBERS + 1}
    rows = [row.member for row in connection.execute(SQL[_MEMBERS[collection]], query)]
    headers = {}
    if len(rows) > _MOST_MEMBERS:
        headers["Link"] = f'</epcis/{collection}?after={quote(rows[_MOST_MEMBERS - 1], safe="")}>; rel="next"'
    members = [_shown(member) for member in rows[:_MOST_MEMBERS]]
    answer = {"@context": "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld", "type": "Collection"}
    return json_answer({**answer, "member": members}, wishes, headers=headers)


@router.get("/{collection}/{member:path}/events")
def query_member(  # noqa: PLR0913, PLR0917  the framework injects them
    request: Request,
    partner: PartnerOf,
    connection: ConnectionOf,
    console: ConsoleOf,
    wishes: WishesOf,
    collection: Collection,
    member: Member,
) -> Response:
    """Return the events that carry this member; further parameters as for all events."""
    digits = console.settings.company_prefix_digits
    fixed = {_PARAMETERS[collection]: [member]}
    return answer_query(request, connection, (partner.brand, "SimpleEventQuery"), wishes, fixed, digits=digits)


def answer_query(  # noqa: PLR0913  what a query needs
    request: Request,
    connection: Connection,
    asker: tuple[str, str],
    wishes: Wishes,
    fixed: Mapping[str, list[str]] | None = None,
    *,
    digits: int,
) -> Response:
    """Answer a query for `asker` (brand and the query's name) whose `fixed` parameters the URL may add to."""
    brand, name = asker
    if len(request.url.query) > _LONGEST_QUERY:
        raise QueryParameterError(f"the query is longer than {_LONGEST_QUERY} characters", advice="Use a named query.")
    given = from_url(request.query_params.multi_items())
    if fixed and given.keys() & fixed.keys():
        raise QueryParameterError(f"{', '.join(given.keys() & fixed.keys())} is set already")
    parameters = {**given, **(fixed or {})}
    size = page_size(given.get("perPage", [None])[0]) or PAGE
    search = read_search(parameters, wishes.prefixes)
    project(connection, brand)
    token = given.get("nextPageToken", [""])[0]
    start = position_of(connection, brand, token, search.name) if token else None
    page = find(connection, brand, search, size, start)
    headers = _next_page(request, connection, brand, page, given)
    document = query_document(page.events, wishes.epc_format, digits, name=name)
    return json_answer(document, wishes, headers=headers)


def _next_page(
    request: Request, connection: Connection, brand: str, page: Page, given: Mapping[str, list[str]]
) -> dict[str, str]:
    if page.after is None:
        return {}
    token, expires = keep_position(connection, brand, page.after)
    kept = {name: "|".join(values) for name, values in given.items() if name != "nextPageToken"}
    address = f"{request.url.path}?{urlencode({**kept, 'nextPageToken': token})}"
    return {"Link": f'<{address}>; rel="next"', "GS1-Next-Page-Token-Expires": written(expires)}


def _shown(member: str) -> str:
    return f"https://id.gs1.org{member}" if member.startswith("/") else member
