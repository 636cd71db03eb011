"""What happened to units, and what follows from it."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, NamedTuple
from uuid import UUID

LOGISTIC_PREFIX = "/00/"


class Source(NamedTuple):
    """The number of the message that says so: unique across the installation."""

    device: str
    boot: UUID
    seq: int


class Step(StrEnum):
    """Business steps: those of the core business vocabulary, and ours where it has none."""

    COMMISSION = "commissioning"
    PACK = "packing"
    UNPACK = "unpacking"
    SHIP = "shipping"
    VOID = "void_shipping"
    RECEIVE = "receiving"
    TRANSFER_REQUEST = "transfer_requesting"
    TRANSFER_APPROVE = "transfer_approving"
    TRANSFER_REJECT = "transfer_rejecting"
    REBIND = "rebinding"
    RETURN = "returning"
    SELL = "retail_selling"
    CONSUME = "consumer_scanning"
    INSPECT = "inspecting"
    RECALL = "recalling"
    BLOCK = "holding"
    UNBLOCK = "unblocking"
    DECOMMISSION = "decommissioning"
    DESTROY = "destroying"
    CORRECT = "error_declaration"


# Whoever looks at a unit moves nothing.
SIGHTINGS: Final = frozenset({Step.CONSUME, Step.INSPECT})


class Refusal(StrEnum):
    """Why an event breaks a rule of custody."""

    ALREADY_COMMISSIONED = "already_commissioned"
    ALREADY_PACKED = "already_packed"
    ALREADY_SHIPPED = "already_shipped"
    ALREADY_SOLD = "already_sold"
    BLOCKED = "blocked"
    CODE_NOT_ACCEPTED = "code_not_accepted"
    CORRECTS_NOTHING = "corrects_nothing"
    ENDED = "ended"
    FOREIGN_UNIT = "foreign_unit"
    HELD_ELSEWHERE = "held_elsewhere"
    INSIDE_PARENT = "inside_parent"
    NOT_AUTHORISED = "not_authorised"
    NOT_BLOCKED = "not_blocked"
    NOT_COMMISSIONED = "not_commissioned"
    NOT_PACKED = "not_packed"
    NOT_RECEIVED = "not_received"
    NOT_SHIPPED = "not_shipped"
    PACKING_CYCLE = "packing_cycle"
    PARENT_ENDED = "parent_ended"
    PARENT_INVALID = "parent_invalid"
    PARENT_SHIPPED = "parent_shipped"
    RECALLED = "recalled"
    TRANSFER_PENDING = "transfer_pending"
    TRANSFER_UNKNOWN = "transfer_unknown"
    UNKNOWN_DEALER = "unknown_dealer"
    UNKNOWN_SITE = "unknown_site"
    WRONG_PARENT = "wrong_parent"
    WRONG_SHIPMENT = "wrong_shipment"


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
    """One thing that somebody said about a unit.

    `unit` is an item `/01/{GTIN}/21/{serial}` or a logistic unit `/00/{SSCC}`; RECALL, BLOCK and UNBLOCK also take a
    product `/01/{GTIN}` or a lot `/01/{GTIN}/10/{lot}`. `dealer` is who gets it (SHIP, TRANSFER_REQUEST, REBIND),
    `shipment` the number of the shipment, transfer, re-binding or return, `approvers` who agreed to a REBIND, `parent`
    what it is packed into or taken out of (PACK, UNPACK), `reason` why (BLOCK, RECALL, CORRECT, DECOMMISSION, DESTROY),
    `corrects` the event of the same unit that a CORRECT takes back, `lot` the key of the item's lot where the event
    knows it, `recipient` whom a shipment names while nobody knows that name. `verified` says that the code was found to
    be issued and commissioned with its batch, so that the item needs no COMMISSION of its own.
    """

    unit: str
    step: Step
    site: str
    occurred_at: datetime
    source: Source
    dealer: str | None = None
    shipment: str | None = None
    parent: str | None = None
    reason: str | None = None
    corrects: Source | None = None
    lot: str | None = None
    verified: bool = False
    recipient: str | None = None
    approvers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Site:
    """A place of work; `home` where it belongs to the brand itself, so that receiving there is a return."""

    id: str
    dealer: str | None
    home: bool
    position: tuple[float, float] | None
    kind: str = "warehouse"


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
