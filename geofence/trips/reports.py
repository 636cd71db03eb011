"""What a truck reports: where it was, and that goods were handled."""

from dataclasses import dataclass
from enum import StrEnum
from math import isfinite

from geofence.coordinates import MAX_LATITUDE, MAX_LONGITUDE, validated
from geofence.errors import CoordinateError


@dataclass(frozen=True, slots=True, order=True)
class Fix:
    """A position in WGS-84 at `at`, milliseconds since the epoch; `accuracy_m` is the 68 % radius.

    Raises CoordinateError for a position or an accuracy that cannot be.
    """

    at: int
    device: str
    lon: float
    lat: float
    accuracy_m: float
    speed_mps: float | None = None

    def __post_init__(self) -> None:
        if not (abs(self.lon) <= MAX_LONGITUDE and abs(self.lat) <= MAX_LATITUDE):
            validated(self.lon, self.lat)
        if not (isfinite(self.accuracy_m) and self.accuracy_m >= 0):
            raise CoordinateError(f"accuracy is {self.accuracy_m} m", advice="Leave a fix without accuracy out.")


class HandlingKind(StrEnum):
    """How it is known that goods were handled."""

    DOOR_OPENED = "door_opened"
    WEIGHT_DROPPED = "weight_dropped"
    ITEMS_RECEIVED = "items_received"


@dataclass(frozen=True, slots=True, order=True)
class Handling:
    """Goods were handled at `at`; `amount` is kilograms or items, 1 for a door."""

    at: int
    device: str
    kind: HandlingKind
    amount: float = 1.0


Report = Fix | Handling
