"""What a plan of inspections is made from and of. Frozen; times are milliseconds since the epoch, places degrees."""

from enum import StrEnum

from msgspec import Struct


class Suspicion(Struct, frozen=True, kw_only=True):
    """A dealer's goods in one foreign city, as the engine sees them."""

    dealer: str
    city: str  # the division's code
    probability: float  # calibrated
    nats: float
    short: float  # nats that an alert still wants; 0 where only cases are wanting
    cases: int  # distinct cases seen there, what was found in a shop counting twice
    last_seen: int
    standing: bool = False  # an alert stands: nothing is left to be found out
    left: float = 0.0  # yuan: what came with the same shipments and was seen nowhere yet; 0 where unknown


class Place(Struct, frozen=True, kw_only=True):
    """A city that can be visited."""

    city: str
    lat: float
    lon: float
    population: float


class Look(Struct, frozen=True, kw_only=True):
    """A visit that was made; `dealers` are those whose goods were found where they may not be."""

    city: str
    at: int
    dealers: tuple[str, ...] = ()


class Known(Struct, frozen=True, kw_only=True):
    """Everything that a plan starts from: places, what is suspected there, and who looked when."""

    places: tuple[Place, ...]
    suspicions: tuple[Suspicion, ...]
    looks: tuple[Look, ...] = ()


class Base(Struct, frozen=True, kw_only=True):
    """Where an inspector starts in the morning and is back in the evening."""

    name: str
    lat: float
    lon: float
    hours: float = 9.0
    speed_kmh: float = 70.0


class Share(StrEnum):
    """Why a place was chosen: by what is expected there, or by lot so that the plan can be held against chance."""

    PLANNED = "planned"
    LOT = "lot"


class Reason(Struct, frozen=True, kw_only=True):
    """What one suspicion adds to a place: every figure that its share of the expectation was computed from."""

    dealer: str
    probability: float
    there: float  # that the goods are still there, if they ever were
    finds: float  # that a visit then comes across one
    alert: float  # that it comes across enough for an alert
    gain: float
    cases: int
    last_seen: int
    left: float


class Prospect(Struct, frozen=True, kw_only=True):
    """What a visit to a place is expected to give."""

    place: Place
    gain: float  # expected right alerts
    explore: float  # of which from goods that nobody has seen, as drawn today
    tie: float  # nats of uncertainty that the visit removes
    reasons: tuple[Reason, ...] = ()


class Visit(Struct, frozen=True, kw_only=True):
    """One stop of a day; `hours` is what it adds to the tour, way and work."""

    prospect: Prospect
    share: Share
    hours: float


class Tour(Struct, frozen=True, kw_only=True):
    """A day's way from a base through its visits and back."""

    base: Base
    visits: tuple[Visit, ...]
    hours: float

    @property
    def gain(self) -> float:
        """Expected right alerts of the whole day."""
        return sum(each.prospect.gain for each in self.visits)
