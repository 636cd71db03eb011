"""Rows of stock as views and the interface see them, named as their queries name them."""

from datetime import date, datetime
from typing import Any, Literal
from uuid import UUID

from trace_service.web.models import Model


class Stock(Model):
    """Stock of one product at one site; quantities in items, `daily_demand` in items a day.

    `quantity` is the figure to go by and `certainty` how sure it is; `sensed` is what the shelf shows, `backroom` what
    was received and not put up. `ledger` means something only where goods were `counted` in. `coming` was shipped to
    the site's dealer, `unexplained` sold there and never supplied, `phantom` is booked and not there, `suspect` there
    and not to be sold: recalled, held, quarantined or evidence of a diversion.

    `daily_demand`, `reorder` and `maximum` are those in force: of the nightly run by the `model` named, or as
    configured ("lines-1"). An `occasion` adds `occasion_units` to the demand of the days that an order lasts for.
    `proposal` is the open order proposal, `proposed` its quantity; `in_transit` was approved and has not arrived.
    """

    site: str
    site_name_zh: str
    site_name_en: str
    gtin: str
    product_name_zh: str
    product_name_en: str
    quantity: int | None
    certainty: float
    sensed: int | None
    sensed_at: datetime | None
    confidence: float | None
    ledger: int
    counted: bool
    backroom: int
    coming: int
    unexplained: int
    suspect: int = 0
    sold_lately: int
    in_transit: int
    daily_demand: float
    reorder: int
    maximum: int
    safety: int | None
    lead_days: float | None
    model: str
    history_days: int
    occasion: str
    occasion_from: date | None
    occasion_units: float
    proposal: int | None
    proposed: int | None
    updated_at: datetime
    device: str | None
    boot: UUID | None
    seq: int | None
    faults: list[str]
    phantom: int | None
    filled: int | None
    empty: int | None
    unseen: int | None
    strange: int | None
    share: float | None

    @property
    def on_hand(self) -> int:
        """What is there by all that is known; what the shelf or the ledger says where that is nothing yet."""
        if self.quantity is not None:
            return self.quantity
        return self.ledger if self.sensed is None else self.sensed

    @property
    def low(self) -> bool:
        """Whether it is time to order, what is on its way included; of what nobody knows, nobody can tell."""
        return self.known and self.free + self.in_transit <= self.reorder

    @property
    def enough_coming(self) -> bool:
        """Whether it would be time to order without what was approved and has not arrived."""
        return self.known and not self.low and self.free <= self.reorder

    @property
    def known(self) -> bool:
        """Whether anything was ever weighed, counted or received."""
        return self.quantity is not None or self.sensed is not None or self.counted

    @property
    def free(self) -> int:
        """What is there and may be sold."""
        return max(self.on_hand - self.suspect, 0)


class Named(Model):
    """One product at one site, by name."""

    site: str
    site_name_zh: str
    site_name_en: str
    gtin: str
    product_name_zh: str
    product_name_en: str


class StockFinding(Named):
    """A contradiction: `quantity` items gone unseen, booked and not there, come unseen, or sold and never supplied.

    Of a misplaced product it counts facings that show another one; of what a site or planogram does not know, items.
    """

    id: int
    kind: Literal[
        "shrinkage", "phantom_stock", "unrecorded_refill", "unexplained_stock", "misplaced_product",
        "unplanned_product", "wrong_planogram",
    ]  # fmt: skip
    quantity: int
    detail: dict[str, Any]
    found_at: datetime
    resolved_at: datetime | None


class StockLead(Named):
    """An item sold at a site that it was never supplied to; `supplied_to` is the dealer that it was shipped to."""

    unit: str
    sold_at: datetime
    seller: str | None
    supplied_to: str | None
    supplied_name_zh: str | None
    supplied_name_en: str | None


class StockCandidate(Named):
    """A figure that could be counted; `days` since somebody or something was sure of it."""

    quantity: int | None
    certainty: float
    daily_demand: float
    unit_price: float
    days: float
    findings: int


class StockCount(StockCandidate):
    """A figure worth counting: the probability that it is wrong, and the money that a count is expected to save."""

    p_wrong: float
    value: float


class PlannedOrder(Model):
    """An order that the nightly run expects; `early_on` is its day if sales go well, `occasion` what it is for.

    What the run of `made_at` could not know: how many items were `approved` since, and whether it is still `needed`.
    """

    order_on: date
    quantity: int
    arrives_on: date
    early_on: date
    occasion: str
    made_at: datetime
    approved: int = 0
    needed: bool = True


class ApprovedOrder(Model):
    """What somebody approved for a place; `missing` of its items have not arrived."""

    id: int
    quantity: int
    missing: int
    decided_by: str | None
    decided_at: datetime


class StockLot(Model):
    """Items of one lot, the first to expire first; `lot` is empty for items that nobody named a lot of."""

    lot: str
    expires: str | None
    quantity: int
    expired: bool = False
    """Its last day has passed where the shop is."""


class Climate(Model):
    """What a device last said of the air around it; `alarm` is empty while all is well."""

    device: str
    site: str
    site_name_zh: str
    site_name_en: str
    temperature_c: float
    humidity: float | None
    mean_kinetic_c: float | None
    door_open: bool | None
    alarm: str
    ts: datetime
