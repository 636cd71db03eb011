"""What a world is asked to be, and the nature that its seed draws for it."""

import math
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np
from msgspec import Struct

DAY_MS: Final = 86_400_000
_NEW_YEARS: Final = tuple(
    datetime(*day, tzinfo=UTC)
    for day in ((2023, 1, 22), (2024, 2, 10), (2025, 1, 29), (2026, 2, 17), (2027, 2, 6), (2028, 1, 26))
)
_FIRST_START: Final = datetime(2023, 7, 1, tzinfo=UTC)


class Extra(Struct, frozen=True):
    """Attacks of one type that somebody asked for; `copies` of each of `labels` labels is for clones."""

    type: str
    count: int = 8
    copies: int = 100
    labels: int = 1


class Request(Struct, frozen=True):
    """The size and kind of a world. `scans_times` multiplies its scans: more items, each scanned more often.

    `second_phones` is the share of honest rescans by somebody else's phone, some of them elsewhere and weeks later.
    """

    seed: int = 1
    days: int = 365
    dealers: int = 200
    items: int = 300_000
    scan_rate: float = 0.05
    scans_times: float = 1.0
    hard: bool = False
    attack_free: bool = False
    extra: tuple[Extra, ...] = ()
    second_phones: float = 0.0

    @property
    def item_count(self) -> int:
        """How many items are made."""
        return round(self.items * math.sqrt(self.scans_times))

    @property
    def chance(self) -> float:
        """How likely an item is ever scanned by a consumer."""
        return min(self.scan_rate * math.sqrt(self.scans_times), 0.9)


class Nature(Struct, frozen=True):
    """What differs from world to world. Shares are of consumer scans where nothing else is said."""

    start: datetime
    foreign_share: float
    commute: float
    rail: float
    migration: float
    tourism: float
    parcels: float
    corridor_sigma: float
    dealer_sigma: float
    rail_stops: float
    parcel_gamma: float
    peak: float
    gps: float
    unlocated: float
    in_store: float
    ip_error: float
    gateways: int
    gateway_share: float
    whole_case: float
    taken_along: float
    parties_per_100k: float
    rescans: float
    late_papers: float
    late_uploads: float
    duplicates: float
    attacks_per_300k: float
    attack_scale: float
    linger_days: float


def draw_nature(request: Request) -> Nature:
    """Return the nature that goes with a seed, whatever the world's size."""
    random = np.random.default_rng([request.seed, 0])
    between = random.uniform
    gps, unlocated = float(between(0.30, 0.60)), float(between(0.05, 0.12))
    return Nature(
        start=_FIRST_START + timedelta(days=int(random.integers(0, 730))),
        foreign_share=round(float(between(0.19, 0.25)), 3),
        commute=float(between(0.15, 0.45)),
        rail=float(between(0.10, 0.35)),
        migration=float(between(0.08, 0.30)),
        tourism=float(between(0.06, 0.25)),
        parcels=float(between(0.06, 0.20)),
        corridor_sigma=float(between(0.6, 1.4)),
        dealer_sigma=float(between(0.1, 0.5)),
        rail_stops=float(between(2.5, 9.0)),
        parcel_gamma=float(between(0.3, 1.0)),
        peak=float(between(2.5, 8.0)),
        gps=gps,
        unlocated=unlocated,
        in_store=float(between(0.01, 0.04)),
        ip_error=float(between(0.03, 0.10)),
        gateways=int(random.integers(5, 15)),
        gateway_share=float(between(0.3, 0.9)),
        whole_case=float(between(0.25, 0.45)),
        taken_along=float(between(0.3, 0.7)),
        parties_per_100k=float(between(50, 120)),
        rescans=float(between(0.03, 0.08)),
        late_papers=float(between(0.04, 0.10)),
        late_uploads=float(between(0.01, 0.04)),
        duplicates=float(between(0.005, 0.02)),
        attacks_per_300k=float(between(55, 95)),
        attack_scale=float(between(0.9, 1.3)),
        linger_days=float(between(3.5, 10)),
    )


def new_years(nature: Nature) -> list[float]:
    """Return the days since the start on which Chinese New Year falls."""
    return [(day - nature.start) / timedelta(days=1) for day in _NEW_YEARS]


def start_ms(nature: Nature) -> int:
    """Return the world's first moment, milliseconds since the epoch."""
    return int(nature.start.timestamp()) * 1000
