"""Promotions for partners' programs: planned, listed and cancelled."""

from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field, model_validator

from trace_service.api.replenishment import Number, PartnerOf
from trace_service.domain.zones import STORE_ZONE
from trace_service.replenishment.demand.coming import GREATEST_UPLIFT, LEAST_UPLIFT, LONGEST_PROMOTION, Promotion
from trace_service.replenishment.errors import PromotionError
from trace_service.replenishment.promotions import cancel, listed, plan
from trace_service.web.connections import ConnectionOf
from trace_service.web.errors import InvalidParameterError, NotFoundError

router = APIRouter(prefix="/replenishment/promotions", tags=["replenishment"])
_AT_ONCE: Final = 1_000
_Site = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


class Planned(BaseModel):
    """A promotion; no sites are all that have the product, no uplift is what past promotions have shown."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    gtin: Annotated[str, Field(pattern=r"^[0-9]{14}$")]
    first: Annotated[date, Field(alias="from")]
    last: Annotated[date, Field(alias="to")]
    sites: Annotated[list[_Site], Field(max_length=10_000)] = []
    uplift: Annotated[float | None, Field(ge=LEAST_UPLIFT, le=GREATEST_UPLIFT)] = None
    name: Annotated[str, Field(max_length=100, pattern=r"^[^\x00-\x1f]*$")] = ""

    @model_validator(mode="after")
    def _lasts(self) -> "Planned":
        if not timedelta(0) <= self.last - self.first <= LONGEST_PROMOTION:
            raise ValueError("a promotion lasts a day to a year")
        return self


class Plan(BaseModel):
    """Promotions to take over, all or none."""

    model_config = ConfigDict(extra="forbid")

    promotions: Annotated[list[Planned], Field(min_length=1, max_length=_AT_ONCE)]


@router.get("")
def promotions(
    partner: PartnerOf, connection: ConnectionOf, since: Annotated[date | None, Query()] = None, *,
    cancelled: bool = False,
) -> dict[str, list[dict[str, Any]]]:  # fmt: skip
    """List the promotions that end today or later, or on `since` or later."""
    first = since or datetime.now(UTC).astimezone(STORE_ZONE).date()
    return {"promotions": listed(connection, partner.brand, first, cancelled=cancelled)}


@router.post("", status_code=201)
def add(partner: PartnerOf, connection: ConnectionOf, body: Plan) -> dict[str, int]:
    """Plan promotions; answers with how many are new. The next nightly run counts with them."""
    wanted = [
        Promotion(each.gtin, each.first, each.last, frozenset(each.sites), each.uplift, each.name)
        for each in body.promotions
    ]
    try:
        return {"planned": plan(connection, partner.brand, wanted, f"api:{partner.name}")}
    except PromotionError as error:
        raise InvalidParameterError(error.message, advice=error.advice) from error


@router.delete("/{number}", status_code=204)
def remove(partner: PartnerOf, connection: ConnectionOf, number: Number) -> None:
    """Cancel a promotion."""
    if not cancel(connection, partner.brand, number, f"api:{partner.name}"):
        raise NotFoundError(f"no promotion {number} that stands")
