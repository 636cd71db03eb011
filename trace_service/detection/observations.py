"""What the engine observes: one ordered stream a brand, after custody. Frozen, normalised, JSON-like.

Times are milliseconds since the epoch, UTC. `received_at` is the clock of the stream and never runs backwards by much;
`occurred_at` is what a device claimed. Units, cases and pallets are the canonical keys that custody uses.

Every observation has a `key`, unique within its class. Observing a key again *replaces* what was observed under it
before: that is how a late document, a transfer or a correction changes the dealer of a sighting, or documents a
movement. `Withdrawn` takes one back. Either can change alerts in the same call.
"""

from enum import StrEnum
from typing import Final, TypeAlias

from msgspec import Struct

BENIGN_DAYS: Final = 180
"""How long a benign answer holds where a brand says nothing else."""
PASSED_ON_DAYS: Final = 7
"""Goods that were sent on so long ago are no longer where they were; until then a reader or its clock is late."""


class Source(StrEnum):
    """How a position is known, from the strongest to none."""

    SITE = "site"
    STORE = "store"
    GPS = "gps"
    IP = "ip"
    NONE = "none"


class CodeState(StrEnum):
    """What the registry says of a code at the moment of the observation."""

    ACTIVE = "active"
    INACTIVE = "inactive"  # issued, not commissioned
    UNKNOWN = "unknown"  # never issued, or a forged signature
    VOID = "void"
    RECALLED = "recalled"
    EXPIRED = "expired"


class Position(Struct, frozen=True, kw_only=True, gc=False):
    """Where something was observed: degrees in WGS-84, metres; `adcode` is a division where one is known."""

    source: Source
    lat: float | None = None
    lon: float | None = None
    accuracy_m: float | None = None
    adcode: str | None = None
    place: str | None = None  # the store's or dealer's id


class Goods(Struct, frozen=True, kw_only=True, gc=False):
    """One unit as papers know it at the moment of the observation."""

    unit: str  # what was scanned: an item, a case or a pallet
    case: str | None = None  # None only where the code is unknown
    product: str | None = None  # of an unknown code: set only where the code has the form of issued ones
    misread: bool = False  # an unknown code one letter away from an issued one: a slip of hand or camera, no label
    batch: str | None = None
    dealer: str | None = None  # entitled: the last dealer in the chain whose document had come; None: the brand still
    shipment: str | None = None  # the one that brought the unit to `dealer`
    shipped_at: int | None = None  # when that one departed
    chain: tuple[str, ...] = ()  # dealers as papers name them so far, from the brand's side down, `dealer` last
    state: CodeState = CodeState.ACTIVE
    state_since: int | None = None  # when it was recalled, expired or made void; None: not known, or not yet


class Sighting(Struct, frozen=True, kw_only=True, gc=False):
    """Somebody saw one unit somewhere: a consumer's scan, a sale or an inspection.

    A sighting of a unit that is not bound to a dealer, or without a position, is observed as well: exposure, clones
    and forged codes need it.
    """

    key: str
    event: str  # cited as evidence
    kind: str  # "scan", "sale" or "inspect"
    goods: Goods
    position: Position
    occurred_at: int
    received_at: int
    device: str = ""  # the consumer's phone or the reader; the same text is the same device
    actor: str = ""
    outside: bool | None = None  # the geofence's verdict where the feeder has one; None: by `Network.territories`
    dated: bool = True  # False: its clock was not believed, and `occurred_at` is when it arrived


class Movement(Struct, frozen=True, kw_only=True, gc=False):
    """A unit was shipped, received, transferred or returned at a dealer's site. One per event and case.

    `goods` is as papers stood *before* it. `documented` says whether a paper that is known now (order, transfer,
    return, delivery) brings the unit to `site_dealer` for this movement, and not for one before it was sent on; when a
    paper comes late, observe the key again with True.
    """

    key: str
    event: str
    kind: str  # "ship", "receive", "transfer" or "return"
    goods: Goods
    site_dealer: str | None  # who runs the site or store where it happened; None: the brand
    position: Position
    occurred_at: int
    received_at: int
    shipment: str | None = None
    documented: bool = False
    device: str = ""
    actor: str = ""
    dated: bool = True


class Shipment(Struct, frozen=True, kw_only=True, gc=False):
    """A paper reached the system (`received_at`): `cases` went from `sender` to `receiver` (dealers or stores)."""

    key: str  # the shipment's id
    kind: str  # "order", "dropship", "transfer", "return" or "delivery"
    sender: str
    receiver: str
    departed_at: int
    received_at: int
    items: int
    cases: tuple[str, ...]
    product: str | None = None
    arrived_at: int | None = None  # when the receiver said that it came, where the paper has it


class Binding(Struct, frozen=True, kw_only=True, gc=False):
    """Units were bound to another dealer by hand."""

    key: str
    event: str
    cases: tuple[str, ...]
    units: tuple[str, ...]
    from_dealer: str | None
    to_dealer: str | None
    approvers: tuple[str, ...]
    occurred_at: int
    received_at: int
    actor: str = ""


class Withdrawn(Struct, frozen=True, kw_only=True, gc=False):
    """The sighting, movement or binding with this key did not happen: a double, a void event, a correction."""

    key: str
    received_at: int


class Reviewed(Struct, frozen=True, kw_only=True, gc=False):
    """A person closed the alert with this claim key.

    Its evidence is not counted again. After `confirmed` it never enters the baseline; after a benign outcome the
    dealer may bring more goods there for `benign_days` before it is an alert.
    """

    key: str
    number: str
    confirmed: bool
    received_at: int
    benign_days: int = BENIGN_DAYS


Observation: TypeAlias = Sighting | Movement | Shipment | Binding | Withdrawn | Reviewed
