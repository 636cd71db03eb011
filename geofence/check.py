"""May this be here? Judges the level state of one scan: where it is, not whether it crossed anything."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import hypot, inf

import numpy as np

from geofence.coordinates import to_wgs84
from geofence.evidence import Evidence, EvidenceKind, GpsEvidence, IpCityEvidence, SiteEvidence
from geofence.finding import DEFAULT_POLICY, Finding, NearestLegal, Policy, Reason, ReasonCode, Verdict
from geofence.maps.atom_map import AtomMap
from geofence.maps.atoms import IndexArray, Level
from geofence.metric import nearest_segment_m
from geofence.probability import REACH, probability_inside
from geofence.territory import Query, TerritoryBook, TerritoryVersion

# GCJ-02 moves a mainland point by a median of 429 m: the error of not knowing whether it was applied.
UNKNOWN_CRS_SIGMA_M = 429.0


def check(book: TerritoryBook, query: Query, evidence: Evidence | None, policy: Policy = DEFAULT_POLICY) -> Finding:
    """Judge one scan of goods bound to `query.dealer`.

    Raises UnknownAdcodeError for a network address attributed to a division that the map does not know.
    """
    if evidence is None:
        return Finding(
            verdict=Verdict.NO_LOCATION,
            evidence=EvidenceKind.NONE,
            map_version=book.atoms.version,
            reasons=(Reason(ReasonCode.NO_LOCATION),),
            territory_version=book.in_force(query),
        )
    if isinstance(evidence, IpCityEvidence):
        return _check_city(book, query, evidence, policy)
    return _check_position(book, query, _position(book.atoms, evidence), policy)


def check_many(
    book: TerritoryBook, scans: Iterable[tuple[Query, Evidence | None]], policy: Policy = DEFAULT_POLICY
) -> list[Finding]:
    """Judge many scans, one finding each and in their order."""
    return [check(book, query, evidence, policy) for query, evidence in scans]


@dataclass(frozen=True, slots=True)
class _Position:
    """A WGS-84 position with its error, and the counties that cover it."""

    lon: float
    lat: float
    sigma_m: float
    kind: EvidenceKind
    covering: IndexArray
    reasons: tuple[Reason, ...]

    @property
    def point(self) -> tuple[float, float]:
        return self.lon, self.lat


def _position(atoms: AtomMap, evidence: SiteEvidence | GpsEvidence) -> _Position:
    counties = atoms.layer(Level.COUNTY)
    if isinstance(evidence, SiteEvidence):
        covering = counties.covering(evidence.lon, evidence.lat)
        reason = Reason(ReasonCode.REGISTERED_SITE, {"site_id": evidence.site_id})
        return _Position(evidence.lon, evidence.lat, 0.0, EvidenceKind.SITE, covering, (reason,))
    lon, lat = evidence.lon, evidence.lat
    sigma = hypot(evidence.device_sigma_m, atoms.boundary_sigma_m)
    reasons: tuple[Reason, ...] = ()
    if evidence.crs is None:
        sigma = hypot(sigma, UNKNOWN_CRS_SIGMA_M)
        reasons = (Reason(ReasonCode.CRS_UNKNOWN, {"sigma_m": UNKNOWN_CRS_SIGMA_M}),)
    else:
        lons, lats = to_wgs84(lon, lat, evidence.crs, atoms.mainland())
        lon, lat = float(lons[0]), float(lats[0])
    return _Position(lon, lat, sigma, EvidenceKind.GPS, counties.covering(lon, lat), reasons)


def _check_position(book: TerritoryBook, query: Query, position: _Position, policy: Policy) -> Finding:
    legal, nearest = _legal(book, query, position)
    version = book.in_force(query)
    owner = _owner(book, version, position.covering)
    off_map = () if len(position.covering) else (Reason(ReasonCode.OFF_MAP),)
    reasons: tuple[Reason, ...]
    if version is None:
        verdict, p_inside, distance = Verdict.UNCERTAIN, None, None
        reasons = (Reason(ReasonCode.NO_TERRITORY_IN_FORCE, {"dealer": query.dealer}),)
    else:
        distance = _signed_distance_m(book, version, position)
        p_inside = _p_inside(book, version, position, distance, policy)
        verdict = _verdict(p_inside, policy)
        reasons = _border_reasons(query, verdict, distance, position.sigma_m)
    return Finding(
        verdict=verdict,
        evidence=position.kind,
        map_version=book.atoms.version,
        reasons=(*position.reasons, *off_map, *reasons, *_others(verdict, query, legal)),
        p_inside=p_inside,
        sigma_m=position.sigma_m,
        signed_distance_m=distance,
        owner_atom=owner,
        territory_version=version,
        legal_dealers=legal,
        nearest_legal=nearest,
    )


def _check_city(book: TerritoryBook, query: Query, evidence: IpCityEvidence, policy: Policy) -> Finding:
    # Counties of a city hold people in more equal numbers than their areas do, so each counts the same.
    indexes = book.atoms.atom_indexes(evidence.adcode)
    version = book.in_force(query)
    share = float(book.mask(version)[indexes].mean()) if version and len(indexes) else None
    inside = share is not None and share >= policy.inside_at
    reason = Reason(ReasonCode.IP_CITY_ONLY, {"adcode": evidence.adcode, "share": share or 0.0})
    missing = () if version else (Reason(ReasonCode.NO_TERRITORY_IN_FORCE, {"dealer": query.dealer}),)
    return Finding(
        verdict=Verdict.INSIDE if inside else Verdict.UNCERTAIN,
        evidence=EvidenceKind.IP_CITY,
        map_version=book.atoms.version,
        reasons=(reason, *missing),
        p_inside=share,
        owner_atom=evidence.adcode,
        territory_version=version,
        legal_dealers=_dealers_at(book, query, indexes),
    )


def _signed_distance_m(book: TerritoryBook, version: TerritoryVersion, position: _Position) -> float:
    distance = nearest_segment_m(position.point, book.border(version))
    return -distance if book.mask(version)[position.covering].any() else distance


def _p_inside(
    book: TerritoryBook, version: TerritoryVersion, position: _Position, distance: float, policy: Policy
) -> float:
    if abs(distance) >= REACH * position.sigma_m:
        return 1.0 if book.mask(version)[position.covering].any() else 0.0
    place = (position.lon, position.lat, position.sigma_m)
    return probability_inside(book.atoms, book.mask(version), place, (policy.inside_at, policy.outside_at))


def _verdict(p_inside: float, policy: Policy) -> Verdict:
    if p_inside >= policy.inside_at:
        return Verdict.INSIDE
    return Verdict.OUTSIDE if p_inside <= policy.outside_at else Verdict.UNCERTAIN


def _border_reasons(query: Query, verdict: Verdict, distance: float, sigma_m: float) -> tuple[Reason, ...]:
    if abs(distance) == inf:
        return (Reason(ReasonCode.EMPTY_TERRITORY, {"dealer": query.dealer}),)
    metres = abs(distance)
    if verdict is Verdict.UNCERTAIN:
        return (Reason(ReasonCode.NEAR_BORDER, {"metres": metres, "sigma_m": sigma_m}),)
    code = ReasonCode.WELL_INSIDE if verdict is Verdict.INSIDE else ReasonCode.WELL_OUTSIDE
    return (Reason(code, {"metres": metres}),)


def _others(verdict: Verdict, query: Query, legal: tuple[str, ...]) -> tuple[Reason, ...]:
    others = [dealer for dealer in legal if dealer != query.dealer]
    if verdict is Verdict.INSIDE or not others:
        return ()
    return (Reason(ReasonCode.OWNED_BY_OTHERS, {"dealers": " ".join(others)}),)


def _owner(book: TerritoryBook, version: TerritoryVersion | None, covering: IndexArray) -> str | None:
    if not len(covering):
        return None
    # On a shared border the county in the dealer's favour is named: the border counts as inside.
    favoured = covering[book.mask(version)[covering]] if version else covering
    index = int((favoured if len(favoured) else covering)[0])
    return book.atoms.records(Level.COUNTY)[index].adcode


def _dealers_at(book: TerritoryBook, query: Query, indexes: IndexArray) -> tuple[str, ...]:
    return tuple(each.dealer for each in book.all_in_force(query) if book.mask(each)[indexes].any())


def _legal(book: TerritoryBook, query: Query, position: _Position) -> tuple[tuple[str, ...], NearestLegal | None]:
    legal = _dealers_at(book, query, position.covering)
    if legal:
        return legal, NearestLegal(query.dealer if query.dealer in legal else legal[0], 0.0)
    distances = {each.dealer: nearest_segment_m(position.point, book.border(each)) for each in book.all_in_force(query)}
    nearest = min(distances, key=lambda dealer: distances[dealer], default=None)
    if nearest is None or not np.isfinite(distances[nearest]):
        return legal, None
    return legal, NearestLegal(nearest, distances[nearest])
