"""What is sent and what comes back. Unknown fields are ignored: a newer service answers an older client."""

from datetime import date, datetime
from typing import Any, Literal, TypeAlias
from uuid import UUID

from msgspec import Struct

Verdict: TypeAlias = Literal["allowed", "not_allowed", "unknown"]
OrderState: TypeAlias = Literal["open", "loading", "difference", "closed", "cancelled"]


class Position(Struct, frozen=True, omit_defaults=True):
    """Degrees; `accuracy_m` in metres as the platform reports it, None for an exact position."""

    lon: float
    lat: float
    accuracy_m: float | None = None
    platform: Literal["android", "ios", "web"] = "android"
    crs: Literal["wgs84", "gcj02", "bd09"] = "wgs84"


class Question(Struct, frozen=True, omit_defaults=True):
    """One question of a batch: name a dealer, a site, or both."""

    act: Literal["order", "sale"]
    product: str
    dealer: str | None = None
    site: str | None = None
    position: Position | None = None
    channel: str = "retail"
    at: datetime | None = None


class Reason(Struct, frozen=True):
    """A coded reason with its parameters."""

    code: str
    parameters: dict[str, Any]


class Ruling(Struct, frozen=True):
    """May this dealer order or sell this product here? `path` is the dealer's chain, root first."""

    verdict: Verdict
    reasons: list[Reason]
    dealer: str | None
    path: list[str]
    contract: str | None
    contract_version: int | None
    territory_version: str | None
    county: str | None
    p_inside: float | None
    signed_distance_m: float | None
    legal_dealers: list[str]
    map_version: str
    at: datetime
    known_at: datetime


class OrderLine(Struct, frozen=True):
    """One line of an order."""

    line: int
    gtin: str
    quantity: int
    unit: Literal["item", "case"] = "case"


class OrderDraft(Struct, frozen=True, omit_defaults=True):
    """An order as asked for; a change is the same order with a higher version and all of its lines."""

    dealer: str
    from_site: str
    lines: tuple[OrderLine, ...]
    version: int = 1
    channel: str = "retail"
    due: date | None = None


class Order(Struct, frozen=True):
    """An order in force."""

    id: str
    version: int
    state: OrderState
    dealer: str
    from_site: str
    channel: str
    due: date | None
    placed_at: datetime
    updated_at: datetime
    acknowledged_at: datetime | None
    lines: tuple[OrderLine, ...] = ()


class Placed(Struct, frozen=True):
    """What became of an order that was placed."""

    outcome: Literal["created", "changed", "unchanged"]
    order: Order


class LineCount(Struct, frozen=True):
    """A line with what was scanned for it, in single items."""

    line: int
    gtin: str
    ordered: int
    scanned: int
    difference: int
    codes: tuple[str, ...]


class Reconciliation(Struct, frozen=True):
    """An order held against its scans; `surplus` is what no line asks for."""

    id: str
    state: OrderState
    agrees: bool
    lines: tuple[LineCount, ...]
    surplus: tuple[LineCount, ...]


class ImportReport(Struct, frozen=True):
    """What a table changed or would change; with an error among `problems` nothing was changed."""

    brand: str
    applied: bool
    counts: dict[str, dict[str, int]]
    problems: list[dict[str, Any]]
    changes: list[dict[str, Any]]


class CodeEvent(Struct, frozen=True):
    """One event that a state rests on."""

    step: str
    site: str
    occurred_at: datetime
    recorded_at: datetime


class CodeState(Struct, frozen=True):
    """A unit at a moment; `levels` is the entitled dealer's chain, `parents` the packs around the unit."""

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
    parents: list[str]
    blocked: str | None
    recalled: str | None
    events: list[CodeEvent]


class CaptureJob(Struct, frozen=True, rename="camel"):
    """What became of a captured EPCIS document."""

    capture_id: str = ""
    success: bool = False
    running: bool = False
    errors: list[dict[str, Any]] = []


class Alert(Struct, frozen=True):
    """One finding."""

    id: int
    kind: str
    dealer: str
    city: str
    state: Literal["open", "acknowledged", "closed"]
    outcome: str | None
    raised_at: datetime
    updated_at: datetime
    cases: int
    scans: int
    reason: dict[str, Any]


class AlertDetail(Struct, frozen=True):
    """An alert with the scans it rests on and the journey of every case, as JSON objects."""

    alert: Alert
    evidence: list[dict[str, Any]]
    custody: list[dict[str, Any]]


class WebhookMessage(Struct, frozen=True):
    """A message that was pushed here; keep `id`s, since a message may come again."""

    id: UUID
    topic: str
    brand: str
    created_at: datetime
    data: dict[str, Any]
