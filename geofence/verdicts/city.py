"""A network address attributed to a division: a prior for the whole of it, which never accuses anybody."""

from dataclasses import replace

import numpy as np
import shapely

from geofence.coordinates import FloatArray
from geofence.errors import UnknownAdcodeError
from geofence.evidence import EvidenceKind, IpCityEvidence
from geofence.finding import Finding, Policy, Reason, ReasonCode, Verdict
from geofence.maps.atoms import Level
from geofence.territory import Query, TerritoryBook, TerritoryVersion
from geofence.verdicts.columns import Indexes


def check_city(book: TerritoryBook, query: Query, evidence: IpCityEvidence, policy: Policy) -> Finding:
    """Judge a scan that was somewhere in a division; no share of it, not even none, makes the verdict `outside`."""
    version = book.in_force(query)
    common = Finding(
        verdict=Verdict.UNCERTAIN,
        evidence=EvidenceKind.IP_CITY,
        map_version=book.atoms.version,
        reasons=(Reason(ReasonCode.UNKNOWN_DIVISION, {"adcode": evidence.adcode}),),
        territory_version=version,
        policy=policy,
    )
    try:
        counties = book.atoms.atom_indexes(evidence.adcode)
    except UnknownAdcodeError:
        return common
    # Counties of a city hold people in more equal numbers than their areas do, so each counts the same.
    share = float(_shares(book, version, counties).mean()) if version and len(counties) else None
    inside = share is not None and share >= policy.inside_at
    reason = Reason(ReasonCode.IP_CITY_ONLY, {"adcode": evidence.adcode, "share": share or 0.0})
    missing = () if version else (Reason(ReasonCode.NO_TERRITORY_IN_FORCE, {"dealer": query.dealer}),)
    in_force = book.all_in_force(query)
    return replace(
        common,
        verdict=Verdict.INSIDE if inside else Verdict.UNCERTAIN,
        reasons=(reason, *missing),
        p_inside=share,
        owner_atom=evidence.adcode,
        legal_dealers=tuple(each.dealer for each in in_force if _shares(book, each, counties).any()),
    )


def _shares(book: TerritoryBook, version: TerritoryVersion, counties: Indexes) -> FloatArray:
    """Return how much of each county a version holds."""
    shares = book.mask(version)[counties].astype(np.float64)
    if version.polygon is not None:
        shapes = book.atoms.layer(Level.COUNTY).geometries[counties]
        drawn = shapely.area(shapely.intersection(shapes, version.polygon)) / shapely.area(shapes)
        shares = np.maximum(shares, drawn)
    return shares
