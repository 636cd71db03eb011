"""Replenishment for purchasing systems: proposals and decisions, water lines, the plan, and receipts as EPCIS."""

from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, Path, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse, Response

from trace_service.epcis.own import site_uri
from trace_service.epcis.projection import project
from trace_service.epcis.querying.answers import EpcFormat, query_document, written
from trace_service.epcis.querying.parameters import read_search
from trace_service.epcis.querying.search import find
from trace_service.epcis.standard import namespaces
from trace_service.replenishment.queries import SQL
from trace_service.replenishment.tables import table_of
from trace_service.store.connection import Connection, one
from trace_service.store.queries import SQL as STORE_SQL
from trace_service.web.connections import ConnectionOf
from trace_service.web.context import ConsoleOf
from trace_service.web.errors import InvalidParameterError, NotFoundError, ProposalChangedError, StateConflictError
from trace_service.web.models import DecisionCode, ProposalKind, ProposalState
from trace_service.web.tokens import Partner, require_scope

router = APIRouter(prefix="/replenishment", tags=["replenishment"])
PartnerOf = Annotated[Partner, Depends(require_scope("replenish"))]
Number = Annotated[int, Path(ge=1, le=2**63 - 1)]
Cursor = Annotated[
    str, Query(pattern=r"^[0-9]{1,18}\.[0-9]{1,18}$", description="What the last answer gave; without it all is told.")
]
Site = Annotated[str | None, Query(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
_BEGINNING: Final = "0.0"
_ANY: Final = {"state": None, "kind": None, "site": None, "changed": "0", "after": 0, "id": None}
_PAGE: Final = 200
_MOST: Final = 10_000
_RECEIPTS: Final = 500


class Feed(BaseModel):
    """Proposals in the order in which they changed; `after` asks for what changes later.

    It is null where there is no more to ask for yet, and the earlier one holds. A proposal that changes again comes
    again, and one that changed just now may come twice: `id` and `state` tell.
    """

    proposals: list[dict[str, Any]]
    after: str | None


class Decision(BaseModel):
    """What was decided: another quantity than proposed needs a code, which is what the forecast learns from.

    `seen` is the proposed quantity that was decided about: where it is another by now, nothing is done.
    """

    model_config = ConfigDict(extra="forbid")

    decision: Literal["approve", "reject"]
    quantity: Annotated[int | None, Field(ge=1, le=1_000_000)] = None
    code: DecisionCode | None = None
    seen: Annotated[int | None, Field(ge=1, le=1_000_000)] = None
    note: Annotated[str, Field(max_length=500, pattern=r"^[^\x00]*$")] = ""


class Lines(BaseModel):
    """Water lines of every store and product, by the newest run."""

    lines: list[dict[str, Any]]


class Planned(BaseModel):
    """Dated orders of the coming 30 days, by the newest run, and the festivals that it expects to move demand."""

    orders: list[dict[str, Any]]
    coming: list[dict[str, Any]]


@router.get("/proposals")
def feed(  # noqa: PLR0913, PLR0917  the framework passes parameters one by one
    partner: PartnerOf, connection: ConnectionOf, state: ProposalState | None = None, kind: ProposalKind | None = None,
    site: Site = None, after: Cursor = _BEGINNING,
) -> Feed:  # fmt: skip
    """List proposals, oldest change first, up to 200 at once; `after` is what the last answer gave."""
    changed, last = after.split(".")
    wanted = {"brand": partner.brand, "state": state, "kind": kind, "site": site, "changed": changed, "after": last}
    rows = connection.execute(SQL["feed"], {**wanted, "id": None, "limit": _PAGE}).fetchall()
    settled = [f"{row.changed}.{row.id}" for row in rows if row.settled]
    return Feed(proposals=[_shown(row) for row in rows], after=settled[-1] if settled else None)


@router.get("/proposals/export")
def export(
    partner: PartnerOf, connection: ConnectionOf, state: ProposalState = "approved",
    form: Annotated[Literal["csv", "xlsx"], Query(alias="format")] = "csv",
) -> Response:  # fmt: skip
    """Answer with proposals in a state as CSV or Excel."""
    wanted = {**_ANY, "brand": partner.brand, "state": state}
    return table_of(connection.execute(SQL["feed"], {**wanted, "limit": _MOST}).fetchall(), state, form)


@router.post("/proposals/{number}/decision")
def decide(partner: PartnerOf, connection: ConnectionOf, number: Number, decision: Decision) -> dict[str, Any]:
    """Approve, approve another quantity, or reject an open proposal; answers with the proposal as it now stands."""
    if decision.quantity is not None and (decision.decision == "reject" or decision.code is None):
        raise InvalidParameterError(
            "another quantity is for approvals and needs a code", advice="Give code as well; to reject, no quantity."
        )
    row = {
        "brand": partner.brand, "id": number, "who": f"api:{partner.name}", "code": decision.code,
        "note": decision.note, "quantity": decision.quantity, "seen": decision.seen,
        "state": "approved" if decision.decision == "approve" else "rejected",
    }  # fmt: skip
    with connection.transaction():
        hit = connection.execute(SQL["decide"], row).fetchone()
        if hit is not None:
            news = f'{{"kind": "proposal", "brand": "{partner.brand}", "id": {number}}}'
            connection.execute(STORE_SQL["tell_console"], {"payloads": [news]})
    found = _proposal(connection, partner.brand, number)
    if hit is None and found.state == "open":
        raise ProposalChangedError(f"proposal {number} is for {found.quantity} by now", advice="Look at it again.")
    if hit is None:
        raise StateConflictError(f"proposal {number} is {found.state}", advice="Ask for it to see who decided.")
    return _shown(found)


@router.get("/proposals/{number}/receipts")
def receipts(partner: PartnerOf, connection: ConnectionOf, console: ConsoleOf, number: Number) -> JSONResponse:
    """Answer with the receiving events at the proposal's store since its approval, as an EPCIS 2.0 query document."""
    proposal = _proposal(connection, partner.brand, number)
    if proposal.state != "approved":
        raise StateConflictError(f"proposal {number} is {proposal.state}", advice="Receipts follow an approval.")
    site = one(connection, SQL["site_key"], {"site": proposal.to_site or proposal.site})
    project(connection, partner.brand)
    asked = {
        "EQ_bizStep": ["receiving"], "EQ_bizLocation": [site_uri(site.id, site.gln)],
        "GE_eventTime": [written(proposal.decided_at)], "orderDirection": ["ASC"],
    }  # fmt: skip
    until = proposal.arrived_at or datetime.now(UTC)
    page = find(connection, partner.brand, read_search(asked, namespaces.STANDARD), _RECEIPTS)
    found = [each for each in page.events if each.record_time <= until or proposal.arrived_at is None]
    digits = console.settings.company_prefix_digits
    document = query_document(found, EpcFormat.LINKS, digits, name=f"proposal-{number}-receipts")
    return JSONResponse(document, media_type="application/ld+json")


@router.get("/lines")
def lines(partner: PartnerOf, connection: ConnectionOf, site: Site = None) -> Lines:
    """List safety, warning and maximum of every store and product with what they rest on."""
    rows = connection.execute(SQL["lines"], {"brand": partner.brand, "site": site, "limit": _MOST}).fetchall()
    return Lines(lines=[row._asdict() for row in rows])


@router.get("/plan")
def plan(partner: PartnerOf, connection: ConnectionOf, site: Site = None) -> Planned:
    """List the dated orders of the coming 30 days, and the festivals in them."""
    rows = connection.execute(SQL["plan"], {"brand": partner.brand, "site": site, "limit": _MOST}).fetchall()
    festivals = connection.execute(SQL["coming"], {"brand": partner.brand}).fetchall()
    return Planned(orders=[row._asdict() for row in rows], coming=[row._asdict() for row in festivals])


def _proposal(connection: Connection, brand: str, number: int) -> Any:  # noqa: ANN401  rows
    wanted = {**_ANY, "brand": brand, "id": number, "limit": 1}
    found = connection.execute(SQL["feed"], wanted).fetchone()
    if found is None:
        raise NotFoundError(f"no proposal {number}")
    return found


def _shown(row: Any) -> dict[str, Any]:  # noqa: ANN401  rows
    return {name: value for name, value in row._asdict().items() if name not in {"changed", "settled"}}
