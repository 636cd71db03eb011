"""What is known of a unit at one moment: its own state, and with what it inherits from the units that it lies in.

A unit's own state changes by its own events alone. What it inherits is never copied: it is read along the path of
parents, and the newest statement on the path says where the unit is and who may hold it.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from trace_service.domain.events import LOGISTIC_PREFIX, Entitlement, Event, Source, Step


class Key(NamedTuple):
    """The place of an event in the order in which things happened; at one moment a unit is commissioned first."""

    moment: datetime
    later: bool
    source: Source


def order(event: Event) -> Key:
    """Return an event's place in the order of events."""
    return Key(event.occurred_at, event.step is not Step.COMMISSION, event.source)


class Life(StrEnum):
    """Whether a unit exists, is for sale, and why not any more."""

    UNKNOWN = "unknown"
    ACTIVE = "active"
    SOLD = "sold"
    DECOMMISSIONED = "decommissioned"
    DESTROYED = "destroyed"

    @property
    def ended(self) -> bool:
        """Whether nothing but sightings may follow."""
        return self in {Life.DECOMMISSIONED, Life.DESTROYED}


class Hold(NamedTuple):
    """Why a unit may not be shipped or sold, who said so, and where."""

    reason: str
    site: str
    source: Source


class Transfer(NamedTuple):
    """A transfer that waits for its approval."""

    dealer: str
    number: str
    source: Source


@dataclass(frozen=True, slots=True)
class Statement:
    """Where a unit is, or left from while `moving`; who is entitled to it; and what held `before` it was sent."""

    since: Key
    site: str
    moving: bool
    entitlement: Entitlement | None
    before: "Statement | None" = None


@dataclass(frozen=True, slots=True)
class Own:
    """What a unit's own events say, apart from what it inherits."""

    life: Life = Life.UNKNOWN
    lived: Source | None = None
    commissioned_at: str | None = None
    sold: Key | None = None
    parent: str | None = None
    packed: Key | None = None
    said: Statement | None = None
    transfer: Transfer | None = None
    blocked: Hold | None = None
    recalled: Hold | None = None


@dataclass(frozen=True, slots=True)
class State:
    """A unit's state with what it inherits; `path` holds its parents from the nearest to the outermost.

    `carried_block` and `carried_recall` are those of the path, without those of its product and lot: what a unit
    takes along when it leaves its parent.
    """

    life: Life
    path: tuple[str, ...]
    said: Statement | None
    transfer: Transfer | None
    blocked: Hold | None
    recalled: Hold | None
    carried_block: Hold | None
    carried_recall: Hold | None
    sources: tuple[Source, ...]

    @property
    def moving(self) -> bool:
        """Whether the unit is under way."""
        return self.said is not None and self.said.moving

    @property
    def entitlement(self) -> Entitlement | None:
        """The newest statement about who may hold the unit; None while nobody made any."""
        return self.said.entitlement if self.said else None


def product_of(unit: str) -> str | None:
    """Return the key of an item's product, `/01/{GTIN}`; None for a logistic unit."""
    head, found, _ = unit.partition("/21/")
    return head if found else None


def is_single(unit: str) -> bool:
    """Tell whether a key names one item or one logistic unit, rather than a product or a lot."""
    return unit.startswith(LOGISTIC_PREFIX) or "/21/" in unit


def look(unit: str, own_of: Callable[[str], Own], classes: Collection[str]) -> State:
    """Return a unit's state from the own states on its path; `classes` are the keys of its product and lots."""
    own = own_of(unit)
    life, said, transfer = own.life, own.said, own.transfer
    blocked, recalled = own.blocked, own.recalled
    sources = [each for each in (own.lived, own.packed and own.packed.source) if each]
    path: list[str] = []
    holder = own
    while holder.parent is not None:
        path.append(holder.parent)
        holder = own_of(holder.parent)
        if holder.packed:
            sources.append(holder.packed.source)
        if holder.said and (said is None or said.since < holder.said.since):
            said = holder.said
        if holder.life is Life.DESTROYED or (holder.life is Life.SOLD and life is Life.ACTIVE):
            life = holder.life
            sources += [holder.lived] if holder.lived else []
        transfer = transfer or holder.transfer
        blocked, recalled = blocked or holder.blocked, recalled or holder.recalled
    carried = (blocked, recalled)
    for each in classes:
        general = own_of(each)
        blocked, recalled = blocked or general.blocked, recalled or general.recalled
    sources += [each.source for each in (transfer, blocked, recalled) if each]
    if said:
        sources += [said.since.source, *([said.entitlement.source] if said.entitlement else [])]
    return State(life, tuple(path), said, transfer, blocked, recalled, *carried, tuple(dict.fromkeys(sources)))
