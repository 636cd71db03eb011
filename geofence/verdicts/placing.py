"""From evidence to columns: where each scan was, in WGS-84, and how far that may be wrong."""

from collections.abc import Sequence
from typing import Final, TypeAlias

import numpy as np

from geofence.coordinates import Crs, to_wgs84
from geofence.evidence import CellEvidence, GpsEvidence, SiteEvidence
from geofence.finding import Place
from geofence.maps.atom_map import AtomMap
from geofence.territory import Query, Seller
from geofence.verdicts.columns import Scans, microseconds

# GCJ-02 moves a mainland point by a median of 429 m: the error of not knowing whether it was applied.
UNKNOWN_CRS_SIGMA_M: Final = 429.0
Spot: TypeAlias = SiteEvidence | GpsEvidence | CellEvidence


def scans_of(queries: Sequence[Query], places: Sequence[Place]) -> Scans:
    """Return queries and their places as columns."""
    sellers: dict[Seller, int] = {}
    seller = [sellers.setdefault((each.dealer, each.channel, each.product_line), len(sellers)) for each in queries]
    numbers = np.array([(each.lon, each.lat, each.sigma_m, each.radius_m) for each in places], dtype=np.float64)
    lon, lat, sigma_m, even_m = numbers.reshape(-1, 4).T
    return Scans(
        tuple(sellers),
        np.array(seller, dtype=np.intp),
        np.array([microseconds(each.valid_at) for each in queries], dtype=np.int64),
        np.array([microseconds(each.known_at) for each in queries], dtype=np.int64),
        *(np.ascontiguousarray(each) for each in (lon, lat, sigma_m, even_m)),
    )


def places_of(atoms: AtomMap, evidences: Sequence[Spot]) -> list[Place]:
    """Return where each piece of evidence says that a scan was, in WGS-84."""
    shifted: dict[Crs, list[int]] = {}
    for number, each in enumerate(evidences):
        if isinstance(each, GpsEvidence) and each.crs not in (None, Crs.WGS84):
            shifted.setdefault(each.crs, []).append(number)
    moved: dict[int, tuple[float, float]] = {}
    for crs, numbers in shifted.items():
        raw = np.array([(evidences[number].lon, evidences[number].lat) for number in numbers])
        lons, lats = to_wgs84(raw[:, 0], raw[:, 1], crs, atoms.mainland())
        moved |= dict(zip(numbers, zip(lons.tolist(), lats.tolist(), strict=True), strict=True))
    return [_place(atoms, each, moved.get(number, (each.lon, each.lat))) for number, each in enumerate(evidences)]


def _place(atoms: AtomMap, evidence: Spot, spot: tuple[float, float]) -> Place:
    if isinstance(evidence, SiteEvidence):
        return Place(*spot)
    if isinstance(evidence, CellEvidence):
        return Place(*spot, radius_m=evidence.radius_m)
    crs_m = UNKNOWN_CRS_SIGMA_M if evidence.crs is None else 0.0
    return Place(*spot, evidence.device_sigma_m, atoms.boundary_sigma_m, crs_m)
