"""What the engine says: alerts raised, updated and taken back, each with everything it rests on."""

from typing import Any, TypeAlias

from msgspec import Struct


class Contribution(Struct, frozen=True, kw_only=True):
    """What one case (or unit, shipment or device) adds to an alert."""

    case: str
    nats: float  # its share of the evidence; negative speaks for innocence
    events: tuple[str, ...]
    first_at: int
    note: str = ""  # a code that the console has words for, such as "same_buyer"


class Claim(Struct, frozen=True, kw_only=True):
    """What a detector holds against a dealer at one moment. Below `threshold` there is no alert, or none any more."""

    key: str  # what it is about; one alert at a time has it
    detector: str
    kind: str  # an attack type: drip, bulk, promo, backflow, skip, rebind, strip, clone, forged, collusion
    dealer: str | None
    nats: float
    threshold: float
    # Where a model was asked: its answer with a 95 % band, and below what it is no alert.
    probability: float | None = None
    band: tuple[float, float] = (0.0, 1.0)
    least_probability: float = 0.0
    # From here on it is an alert whatever the model says: it was fitted on other markets.
    certain_nats: float = 0.0
    adcode: str | None = None
    contributions: tuple[Contribution, ...] = ()
    units: tuple[str, ...] = ()
    shipments: tuple[str, ...] = ()
    parties: tuple[str, ...] = ()
    figures: dict[str, Any] = {}  # observed, expected, windows, innocent explanations: everything in the reason
    # What it was computed from, as `material.py` describes it: enough to compute it again with parts taken out.
    material: dict[str, Any] = {}
    # Too weak for an alert, and worth a look by whoever is there anyway.
    lead: bool = False

    @property
    def alarming(self) -> bool:
        """Whether it is enough to bother a person."""
        if self.probability is None or self.nats >= self.certain_nats:
            return self.nats >= self.threshold
        return self.probability >= self.least_probability and self.nats >= self.threshold


class Lead(Struct, frozen=True, kw_only=True):
    """A claim that is no alert and may be worth a field check, and since when (milliseconds) it is known."""

    claim: Claim
    noted_at: int


class Alert(Struct, frozen=True, kw_only=True):
    """A claim that was strong enough, with its calibrated probability.

    `number` is the same in every replay of the same stream. `reason` is {"code": detector, "parameters": {…}} with
    every figure the explanation needs; `versions` names model, baseline snapshot and settings, so that each figure
    can be reproduced.
    """

    number: str
    key: str
    detector: str
    kind: str
    dealer: str | None
    adcode: str | None
    probability: float
    band: tuple[float, float]
    raised_at: int
    changed_at: int
    first_seen: int | None
    last_seen: int | None
    cases: tuple[str, ...]
    units: tuple[str, ...]
    shipments: tuple[str, ...]
    parties: tuple[str, ...]
    events: tuple[str, ...]
    contributions: tuple[Contribution, ...]
    reason: dict[str, Any]
    versions: dict[str, str]
    material: dict[str, Any] = {}


class Raised(Struct, frozen=True):
    """A new alert."""

    alert: Alert


class Updated(Struct, frozen=True):
    """An alert that stands has more, less or other evidence."""

    alert: Alert


class Retracted(Struct, frozen=True):
    """What remains is not enough any more; `alert` is as it stood last, `remaining_nats` what is left."""

    alert: Alert
    at: int
    remaining_nats: float


Change: TypeAlias = Raised | Updated | Retracted
