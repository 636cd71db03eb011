"""What happened to units, and what follows from it."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

LOGISTIC_PREFIX = "/00/"


class Source(NamedTuple):
    """The number of the message that says so: unique across the installation."""

    device: str
    boot: UUID
    seq: int


class Step(StrEnum):
    """Business steps of the core business vocabulary that are used here."""

    COMMISSION = "commissioning"
    PACK = "packing"
    SHIP = "shipping"
    RECEIVE = "receiving"
    SELL = "retail_selling"
    INSPECT = "inspecting"


class Refusal(StrEnum):
    """Why an event breaks a rule of custody."""

    ALREADY_PACKED = "already_packed"
    ALREADY_SHIPPED = "already_shipped"
    INSIDE_PARENT = "inside_parent"
    UNKNOWN_DEALER = "unknown_dealer"
    PARENT_INVALID = "parent_invalid"
    CODE_NOT_ACCEPTED = "code_not_accepted"
    UNKNOWN_SITE = "unknown_site"


class CustodyState(StrEnum):
    """What custody says of one scan."""

    OK = "ok"
    UNBOUND = "unbound"
    NOT_PACKED = "not_packed"
    ALREADY_SHIPPED = "already_shipped"
    UNKNOWN_DEALER = "unknown_dealer"
    QUARANTINED = "quarantined"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that a station said about a unit; `dealer` and `shipment` only for SHIP, `parent` only for PACK."""

    unit: str
    step: Step
    site: str
    occurred_at: datetime
    source: Source
    dealer: str | None = None
    shipment: str | None = None
    parent: str | None = None


@dataclass(frozen=True, slots=True)
class Site:
    """A place of work; `home` where it belongs to the brand itself, so that receiving there is a return."""

    id: str
    dealer: str | None
    home: bool
    position: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Packing:
    """A unit lay in `parent` from `valid_from` until `valid_to`, exclusive."""

    parent: str
    valid_from: datetime
    valid_to: datetime | None = None


@dataclass(frozen=True, slots=True)
class Entitlement:
    """A dealer is entitled to a unit from `valid_from` until `valid_to`; no dealer after a return."""

    dealer: str | None
    shipment: str
    valid_from: datetime
    source: Source
    valid_to: datetime | None = None


@dataclass(frozen=True, slots=True)
class History:
    """What follows from all events of one unit; `refused` names those that broke a rule."""

    packings: tuple[Packing, ...] = ()
    entitlements: tuple[Entitlement, ...] = ()
    refused: dict[Source, Refusal] = field(default_factory=dict)
