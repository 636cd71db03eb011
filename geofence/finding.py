"""The verdict on one scan and the coded reasons for it."""

from dataclasses import dataclass, field
from enum import StrEnum
from math import hypot

from geofence.errors import PolicyError
from geofence.evidence import EvidenceKind
from geofence.territory import TerritoryVersion


class Verdict(StrEnum):
    """The four answers."""

    INSIDE = "inside"
    OUTSIDE = "outside"
    UNCERTAIN = "uncertain"
    NO_LOCATION = "no_location"


class ReasonCode(StrEnum):
    """Why; each has the parameters named beside it, and the interface has the words."""

    NO_LOCATION = "no_location"
    NO_TERRITORY_IN_FORCE = "no_territory_in_force"  # dealer
    EMPTY_TERRITORY = "empty_territory"  # dealer
    REGISTERED_SITE = "registered_site"  # site_id
    WELL_INSIDE = "well_inside"  # metres
    WELL_OUTSIDE = "well_outside"  # metres
    NEAR_BORDER = "near_border"  # metres, sigma_m
    OFF_MAP = "off_map"
    CELL_ONLY = "cell_only"  # radius_m
    CRS_UNKNOWN = "crs_unknown"  # sigma_m
    IP_CITY_ONLY = "ip_city_only"  # adcode, share
    UNKNOWN_DIVISION = "unknown_division"  # adcode
    OWNED_BY_OTHERS = "owned_by_others"  # dealers


@dataclass(frozen=True, slots=True)
class Reason:
    """One coded statement; `parameters` are numbers and codes, never words."""

    code: ReasonCode
    parameters: dict[str, str | float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Policy:
    """The thresholds: inside from `inside_at` upwards, outside from `outside_at` downwards, uncertain between."""

    inside_at: float = 0.9
    outside_at: float = 0.05

    def __post_init__(self) -> None:
        if not 0.0 <= self.outside_at < self.inside_at <= 1.0:
            raise PolicyError(
                f"inside from {self.inside_at}, outside to {self.outside_at}",
                advice="Give probabilities from 0 to 1, the one for outside below the one for inside.",
            )

    def verdict(self, p_inside: float) -> Verdict:
        """Return what a probability amounts to."""
        if p_inside >= self.inside_at:
            return Verdict.INSIDE
        return Verdict.OUTSIDE if p_inside <= self.outside_at else Verdict.UNCERTAIN


DEFAULT_POLICY = Policy()


@dataclass(frozen=True, slots=True)
class Place:
    """Where a scan was judged to be: WGS-84 degrees, with the parts of its error as standard deviations in metres.

    `radius_m` is that of a base station's area, whose error has no other parts.
    """

    lon: float
    lat: float
    device_m: float = 0.0
    boundary_m: float = 0.0
    crs_m: float = 0.0
    radius_m: float = 0.0

    @property
    def sigma_m(self) -> float:
        """All parts together."""
        return hypot(self.device_m, self.boundary_m, self.crs_m)


@dataclass(frozen=True, slots=True)
class NearestLegal:
    """The nearest dealer entitled to sell, 0 m where one is entitled on the spot."""

    dealer: str
    metres: float


@dataclass(frozen=True, slots=True)
class Finding:
    """The answer, with what is needed to explain it.

    `signed_distance_m` is negative inside the territory; `owner_atom` is the county, or the division that a network
    address was attributed to; `p_inside` is None where nothing can be said; `sigma_m` is the position's standard
    deviation including the map's, 0 for a registered site.
    """

    verdict: Verdict
    evidence: EvidenceKind
    map_version: str
    reasons: tuple[Reason, ...]
    p_inside: float | None = None
    sigma_m: float | None = None
    signed_distance_m: float | None = None
    owner_atom: str | None = None
    territory_version: TerritoryVersion | None = None
    legal_dealers: tuple[str, ...] = ()
    nearest_legal: NearestLegal | None = None
    place: Place | None = None
    policy: Policy = DEFAULT_POLICY
