"""The verdict on one scan and the coded reasons for it."""

from dataclasses import dataclass, field
from enum import StrEnum

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
    CRS_UNKNOWN = "crs_unknown"  # sigma_m
    IP_CITY_ONLY = "ip_city_only"  # adcode, share
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


DEFAULT_POLICY = Policy()


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
