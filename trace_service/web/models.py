"""What the console's queries return; the JSON API answers with the same models."""

from datetime import date, datetime
from typing import Any, Literal, TypeAlias
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

AlertState: TypeAlias = Literal["open", "acknowledged", "closed"]
Outcome: TypeAlias = Literal[
    "confirmed",
    "tourist_or_gift",
    "e_commerce",
    "documented_transfer",
    "location_error",
    "scanner_outage",
    "unresolved",
]
ProposalKind: TypeAlias = Literal["order", "transfer", "markdown", "count", "vmi"]
DecisionCode: TypeAlias = Literal["too_much", "too_little", "wrong_stock", "promotion", "budget", "other"]
ProposalState: TypeAlias = Literal["open", "approved", "rejected", "withdrawn"]


class Model(BaseModel):
    """A frozen row."""

    model_config = ConfigDict(frozen=True)


class Count(Model):
    """How many rows are in a state."""

    state: str
    number: int


class News(Model):
    """How many rows are new to a page, and how many it shows have changed since."""

    fresh: int
    changed: int


class Message(Model):
    """The number of a device's message: unique across the installation."""

    device: str
    boot: UUID
    seq: int


class Reasoned(Model):
    """A row with a coded reason: `{"code": …, "parameters": {…}}`."""

    reason: dict[str, Any]

    @property
    def parameters(self) -> dict[str, Any]:
        """The reason's parameters."""
        found = self.reason.get("parameters")
        return found if isinstance(found, dict) else {}


class Alert(Reasoned):
    """One finding; `nearest` is the dealer who may sell where the goods turned up."""

    id: int
    kind: str
    dealer: str
    dealer_name_zh: str
    dealer_name_en: str
    city: str
    raised_at: datetime
    updated_at: datetime
    state: AlertState
    outcome: Outcome | Literal["retracted"] | None
    decided_by: str | None
    decided_at: datetime | None
    cases: int
    scans: int
    nearest_name_zh: str | None
    nearest_name_en: str | None
    first_seen: datetime | None
    last_seen: datetime | None
    case_id: int | None = None
    probability: float | None = None
    # What it was computed from: holds positions, so that no answer carries it.
    material: dict[str, Any] | None = Field(default=None, exclude=True, repr=False)

    @property
    def contributions(self) -> list[dict[str, Any]]:
        """What each case adds, as far as the detector says so."""
        found = self.parameters.get("contributions")
        return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []

    @property
    def observed(self) -> int:
        """What is held against the expectation: independent findings, else cases."""
        found = self.parameters.get("observed")
        return found if isinstance(found, int) else self.cases

    @property
    def expected(self) -> float | None:
        """The number of cases that honest trade would have shown, where the detector said so."""
        found = self.parameters.get("expected")
        return float(found) if isinstance(found, int | float) else None


class Evidence(Message):
    """One scan that an alert rests on, with the verdict on it; distances in metres, positive outside.

    `by_address`: its position is that of a network address, which the geofence does not judge. The phone is told apart
    on pages and goes into no answer.
    """

    unit: str
    case_unit: str
    occurred_at: datetime
    code: str
    gtin: str
    code_state: str
    place: str
    city: str | None
    signed_distance_m: float | None
    p_inside: float | None
    lon: float | None
    lat: float | None
    accuracy_m: float | None
    shipment: str | None
    territory: int | None
    map_version: str | None
    activity: str
    by_address: bool
    phone: str | None = Field(default=None, exclude=True, repr=False)


class DealerName(Model):
    """A dealer's names."""

    id: str
    name_zh: str
    name_en: str


class CaseEvidence(Evidence):
    """One of the scans that a case's alerts rest on, with the alert."""

    alert: int


class CodeScan(Evidence):
    """One scan of a code, of its case or of what else lies in it; `alerts` and `cases` are the numbers that cite it.

    `found` is how many such scans there are, shown or not.
    """

    custody_state: str
    dealer: str | None
    alerts: list[int]
    cases: list[int]
    found: int


class CustodyEvent(Message):
    """One thing that happened to a unit."""

    unit: str
    biz_step: str
    site: str
    site_name_zh: str
    site_name_en: str
    dealer: str | None
    dealer_name_zh: str | None
    dealer_name_en: str | None
    shipment: str | None
    parent: str | None
    occurred_at: datetime


class Territory(Model):
    """The divisions in which a dealer may sell."""

    adcodes: list[str]


class Proposal(Reasoned):
    """What to do at one site: order, transfer to another, mark down, count, or supply (`vmi`).

    `proposed` is set where another quantity was approved. `p_without` and `p_with` are the chances of running out
    before a delivery; `device`, `boot` and `seq` name the message that caused it, unless a nightly run did.
    """

    id: int
    kind: ProposalKind
    to_site: str | None
    to_site_name_zh: str | None
    to_site_name_en: str | None
    proposed: int | None
    decision_code: str | None
    decision_note: str
    p_without: float | None
    p_with: float | None
    cost: float | None
    confidence: float | None
    model: str
    inputs: dict[str, Any]
    device: str | None
    boot: UUID | None
    seq: int | None
    site: str
    site_name_zh: str
    site_name_en: str
    gtin: str
    product_name_zh: str
    product_name_en: str
    items_per_case: int
    dealer: str | None
    dealer_name_zh: str | None
    dealer_name_en: str | None
    quantity: int
    need_by: date
    state: ProposalState
    created_at: datetime
    updated_at: datetime
    decided_by: str | None
    decided_at: datetime | None


class Device(Model):
    """A device that works for the brand; `skew_ms` is its clock minus the server's.

    `missing` events were captured and asked for, and have not come; `alerted_at` is since when in vain.
    """

    id: str
    kind: str
    site: str
    site_name_zh: str | None
    site_name_en: str | None
    state: str
    last_seen: datetime | None
    skew_ms: int | None
    firmware: str
    outbox_depth: int
    dead_letters: int
    missing: int | None
    alerted_at: datetime | None


class Scan(Message):
    """A scan as it landed, and the verdict on it."""

    ts: datetime
    sent_at: datetime
    received_at: datetime
    site: str
    code: str
    symbology: str
    activity: str
    reference: str
    parent: str
    recipient: str
    lon: float | None
    lat: float | None
    accuracy_m: float | None
    unit: str
    case_unit: str
    code_state: str
    custody_state: str
    place: str
    signed_distance_m: float | None
    city: str | None
    dealer: str | None
    shipment: str | None
    decided_at: datetime
