"""Orders as they are asked for and as they are told."""

import hashlib
from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Any, Final, NamedTuple

import msgspec
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

ORDER_ID: Final = r"^[A-Z0-9_-]{1,64}$"
OrderId = Annotated[str, StringConstraints(pattern=ORDER_ID, to_upper=True, strip_whitespace=True)]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
MOST_LINES: Final = 1000


class State(StrEnum):
    """How far an order is."""

    OPEN = "open"
    LOADING = "loading"
    DIFFERENCE = "difference"
    CLOSED = "closed"
    CANCELLED = "cancelled"


# What may follow what. A signed difference is final for the warehouse; the ERP's next order mends it.
FOLLOWS: Final[dict[State, frozenset[State]]] = {
    State.OPEN: frozenset({State.LOADING, State.CLOSED, State.DIFFERENCE, State.CANCELLED}),
    State.LOADING: frozenset({State.CLOSED, State.DIFFERENCE}),
    State.DIFFERENCE: frozenset({State.CLOSED}),
    State.CLOSED: frozenset(),
    State.CANCELLED: frozenset(),
}


class By(NamedTuple):
    """Who did something to an order, why, and when where that was not now."""

    actor: str
    reason: str = ""
    at: datetime | None = None


class LineDraft(BaseModel):
    """One line: so many items or cases of one product."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    line: Annotated[int, Field(ge=1, le=1000)]
    gtin: Annotated[str, StringConstraints(pattern=r"^\d{14}$")]
    quantity: Annotated[int, Field(ge=1, le=10_000_000)]
    unit: Annotated[str, StringConstraints(pattern="^(item|case)$")] = "case"


class OrderDraft(BaseModel):
    """What the ERP asks for. A change is the same order with a higher version and all of its lines."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    dealer: Name
    from_site: Name
    channel: Annotated[str, StringConstraints(pattern=r"^[a-z0-9_-]{1,32}$")] = "retail"
    due: date | None = None
    lines: Annotated[tuple[LineDraft, ...], Field(min_length=1, max_length=MOST_LINES)]

    @field_validator("lines")
    @classmethod
    def _no_line_twice(cls, lines: tuple[LineDraft, ...]) -> tuple[LineDraft, ...]:
        numbers = [each.line for each in lines]
        twice = sorted({number for number in numbers if numbers.count(number) > 1})
        if twice:
            raise ValueError(f"line {', '.join(map(str, twice))} stands twice")
        return tuple(sorted(lines, key=lambda each: each.line))

    @property
    def content(self) -> bytes:
        """The SHA-256 of everything but the version."""
        return hashlib.sha256(self.model_dump_json(exclude={"version"}).encode()).digest()


class Line(BaseModel):
    """A line of an order in force; `items` is its quantity in single items."""

    line: int
    gtin: str
    name_zh: str
    name_en: str
    quantity: int
    unit: str
    items_per_case: int
    items: int


class Order(BaseModel):
    """An order in force."""

    id: str
    brand: str
    version: int
    state: State
    dealer: str
    dealer_zh: str
    dealer_en: str
    from_site: str
    site_zh: str
    site_en: str
    channel: str
    due: date | None
    placed_at: datetime
    updated_at: datetime
    acknowledged_at: datetime | None
    lines: tuple[Line, ...] = ()


class Placed(BaseModel):
    """What became of an order that was placed: created, changed or unchanged."""

    outcome: Annotated[str, StringConstraints(pattern="^(created|changed|unchanged)$")]
    order: Order


class LineCount(BaseModel):
    """A line with what was scanned for it: in single items, and the codes of the units that were scanned."""

    line: int
    gtin: str
    name_zh: str
    name_en: str
    ordered: int
    scanned: int
    difference: int
    codes: tuple[str, ...]


class Reconciliation(BaseModel):
    """An order held against the scans that custody accepted for it; `surplus` is what no line asks for."""

    id: str
    state: State
    agrees: bool
    lines: tuple[LineCount, ...]
    surplus: tuple[LineCount, ...]


def as_json(model: BaseModel) -> dict[str, Any]:
    """Return a model as plain JSON types, for webhooks and records."""
    return model.model_dump(mode="json")


def canonical(content: dict[str, Any]) -> bytes:
    """Return JSON with sorted keys and without spaces: the bytes that signatures are made over."""
    return msgspec.json.encode(content, order="sorted")
