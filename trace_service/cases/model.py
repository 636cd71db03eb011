"""A case as pages, programs and commands see it."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final, Protocol
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from trace_service.cases.machine import Standing, State

DEFAULT_ZONE: Final = "Asia/Shanghai"
WITHOUT_NUL: Final = r"^[^\x00]*$"
"""What people may write: all that the database can keep."""


class Model(BaseModel):
    """A frozen row."""

    model_config = ConfigDict(frozen=True, from_attributes=True)


class Policy(Model):
    """How a brand works on cases; amounts in its currency."""

    daily_budget: int = 12
    audit_share: float = 0.05
    two_person_value: Decimal = Decimal(100_000)
    loss_share: float = 0.3
    deadline_days: int = 14
    benign_days: int = 180
    zone: str = DEFAULT_ZONE
    digest_at: str = "0 8 * * *"


class Case(Model):
    """One investigation; `value` is that of the remaining items, `priority` the expected loss."""

    id: int
    brand: str
    kind: str
    dealer: str
    dealer_name_zh: str
    dealer_name_en: str
    state: State
    opened_at: datetime
    updated_at: datetime
    version: int
    owner: str | None
    owner_name: str | None
    deadline: datetime | None
    proposed_outcome: str | None
    proposed_by: str | None
    outcome: str | None
    closed_at: datetime | None
    closed_by: str | None
    merged_into: int | None
    destinations: list[str]
    shipments: list[str]
    first_seen: datetime | None
    last_seen: datetime | None
    probability: float
    calibrated: bool
    remaining: int
    value: Decimal
    priority: Decimal
    alerts: int
    open_checks: int
    selected: str | None
    selected_on: date | None
    of_codes: bool

    def standing(self, policy: Policy) -> Standing:
        """Return what actions depend on."""
        return standing_of(self, policy)


class _Figures(Protocol):
    @property
    def state(self) -> str: ...

    @property
    def proposed_by(self) -> str | None: ...

    @property
    def value(self) -> Decimal: ...


def standing_of(found: _Figures, policy: Policy) -> Standing:
    """Return what actions on a case depend on."""
    return Standing(State(found.state), found.proposed_by, found.value >= policy.two_person_value)


class Entry(Model):
    """One line of a case's history; without an actor it was the service itself."""

    number: int
    at: datetime
    actor: str | None
    actor_name: str | None
    action: str
    from_state: str
    to_state: str
    detail: dict[str, Any]
    previous: bytes
    digest: bytes


class Attachment(Model):
    """A file without its content."""

    id: int
    field_check: int | None
    name: str
    media_type: str
    size: int
    sha256: bytes
    uploaded_at: datetime
    uploaded_by: str


class Result(Model):
    """What came of a check; with `device`, `boot` and `seq` the entered code became a scan."""

    field_check: int
    result: str
    code: str
    note: str
    price: Decimal | None
    lon: float | None
    lat: float | None
    accuracy_m: float | None
    at: datetime
    by: str
    device: str | None
    boot: UUID | None
    seq: int | None


class Check(Model):
    """A task on the spot or a purchase in an online shop; without a case where a plan of inspections ordered it."""

    id: int
    case_id: int | None
    kind: str
    instructions: str
    place: str
    listing: str
    assignee: str | None
    assignee_name: str | None
    due_at: datetime
    state: str
    created_at: datetime
    created_by: str
    dealer_name_zh: str | None
    dealer_name_en: str | None
    destinations: list[str]
