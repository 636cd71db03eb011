"""What a code is: state, place, holder and entitled dealer of a unit, at any moment and as known at any other."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from pydantic import AfterValidator, AwareDatetime, BaseModel

from contracts.errors import CodeError
from contracts.gs1 import parse
from trace_service.processing.history import UnitState, state_at
from trace_service.store.connection import Connection, connect
from trace_service.web.context import ConsoleOf
from trace_service.web.tokens import Partner, require_scope

router = APIRouter(tags=["codes"])
PartnerOf = Annotated[Partner, Depends(require_scope("epcis"))]


def _unit(code: str) -> str:
    try:
        return parse(code).key
    except CodeError as error:
        raise ValueError(f"{error.code} at character {error.position}") from error


UnitOf = Annotated[
    str, Query(alias="code", max_length=500, description="Digital Link URI or (01)…(21)…"), AfterValidator(_unit)
]


def connection_of(console: ConsoleOf) -> Iterator[Connection]:
    """Yield a connection of its own for one request."""
    with connect(console.settings.database_url.get_secret_value(), "codes") as connection:
        yield connection


class CodeEvent(BaseModel):
    """One event that says so."""

    step: str
    site: str
    occurred_at: datetime
    recorded_at: datetime


class CodeState(BaseModel):
    """A unit at a moment; `levels` is the entitled dealer's chain, root first, `parents` the packs around the unit."""

    unit: str
    valid_at: datetime
    known_at: datetime
    state: str
    disposition: str
    moving: bool
    site: dict[str, Any] | None
    holder: str | None
    dealer: str | None
    shipment: str | None
    levels: list[str]
    territory: dict[str, Any] | None
    parents: list[str]
    blocked: str | None
    recalled: str | None
    events: list[CodeEvent]


@router.get("/codes/state")
def code_state(
    partner: PartnerOf,
    connection: Annotated[Connection, Depends(connection_of)],
    unit: UnitOf,
    valid_at: AwareDatetime | None = None,
    known_at: AwareDatetime | None = None,
) -> CodeState:
    """Tell what a code is; one that nobody said anything about, or another brand's, is `unknown`."""
    now = datetime.now(UTC)
    return _shown(state_at(connection, partner.brand, unit, valid_at or now, known_at), known_at or now)


def _shown(found: UnitState, known_at: datetime) -> CodeState:
    return CodeState(
        unit=found.unit,
        valid_at=found.valid_at,
        known_at=known_at,
        state=found.state,
        disposition=found.disposition,
        moving=found.moving,
        site=dict(found.site) if found.site else None,
        holder=found.holder,
        dealer=found.dealer,
        shipment=found.shipment,
        levels=list(found.levels),
        territory=dict(found.territory) if found.territory else None,
        parents=list(found.parents),
        blocked=found.blocked,
        recalled=found.recalled,
        events=[
            CodeEvent(
                step=entry.event.step,
                site=entry.event.site,
                occurred_at=entry.event.occurred_at,
                recorded_at=entry.recorded_at,
            )
            for entry in found.events
        ],
    )
