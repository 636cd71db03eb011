"""Trips and violations as programs and people see them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from shapely.geometry import mapping

from geofence.trips import TripPlan
from trace_service.store.connection import Connection
from trace_service.trips.model import Plan, Trip, Violation
from trace_service.trips.queries import SQL
from trace_service.web.errors import NotFoundError

PAGE: Final = 50
NEWEST: Final = 2**63 - 1
_TRACK_POINTS: Final = 20_000
Feature = dict[str, Any]


class Place(NamedTuple):
    """Where a truck was at a moment, WGS-84."""

    at: datetime
    lon: float
    lat: float
    accuracy_m: float


def trips(connection: Connection, brand: str, before: str | None, *, only_open: bool = False) -> list[Trip]:
    """Return trips, latest first."""
    query = {"brand": brand, "trip": None, "before": before, "open": only_open, "limit": PAGE}
    return [Trip(**row._asdict()) for row in connection.execute(SQL["trips"], query)]


def trip(connection: Connection, brand: str, name: str) -> Trip:
    """Return one trip. Raises NotFoundError."""
    query = {"brand": brand, "trip": name, "before": None, "open": False, "limit": 1}
    row = connection.execute(SQL["trips"], query).fetchone()
    if row is None:
        raise NotFoundError(f"there is no trip {name}", advice="List them at /api/v1/trips.")
    return Trip(**row._asdict())


def violations(
    connection: Connection, brand: str, name: str | None, before: int = NEWEST
) -> tuple[list[Violation], int | None]:
    """Return violations, newest news first, and where the next part begins."""
    query = {"brand": brand, "trip": name, "before": before, "limit": PAGE}
    rows = connection.execute(SQL["violations"], query).fetchall()
    return [_violation(row) for row in rows], rows[-1].number if len(rows) == PAGE else None


def violations_of(connection: Connection, brand: str, name: str, known_at: datetime | None = None) -> list[Violation]:
    """Return a trip's violations by their beginning, as they are known now or were at an earlier time."""
    if known_at is None:
        rows = connection.execute(SQL["violations"], {"brand": brand, "trip": name, "before": NEWEST, "limit": 1000})
    else:
        rows = connection.execute(SQL["violations_known"], {"brand": brand, "trip": name, "known_at": known_at})
    return sorted((_violation(row) for row in rows), key=lambda each: each.started_at)


def plan(connection: Connection, brand: str, name: str) -> Plan:
    """Return a trip's plan in force. Raises NotFoundError."""
    row = connection.execute(SQL["newest_plan"], {"brand": brand, "trip": name}).fetchone()
    if row is None:
        raise NotFoundError(f"there is no trip {name}", advice="List them at /api/v1/trips.")
    return Plan.model_validate(row.plan)


def track(connection: Connection, brand: str, kept: Plan) -> list[Place]:
    """Return where the truck was, at most 20,000 places evenly chosen."""
    query = {"brand": brand, "device": kept.device, "begins": kept.begins, "ends": kept.ends, "ats": None}
    rows = connection.execute(SQL["fixes"], query).fetchall()
    step = -(-len(rows) // _TRACK_POINTS) or 1
    return [Place(row.at, row.lon, row.lat, row.accuracy_m) for row in rows[::step]]


def collection(kept: TripPlan, places: Sequence[Place], found: Sequence[Violation]) -> dict[str, Any]:
    """Return a trip as a FeatureCollection in WGS-84: corridor, sites, track and violations, told apart by `role`."""
    features = [_feature("corridor", mapping(leg.area()), width_m=leg.width_m) for leg in kept.legs]
    features += [_feature("site", mapping(site.area()), id=site.id, site=site.role) for site in kept.sites]
    if len(places) > 1:
        features.append(_feature("track", _line(places), times=[place.at.isoformat() for place in places]))
    for each in found:
        shown = {"state": each.state, "kind": each.kind, "severity": each.severity, "subject": each.subject}
        features.append(_feature("violation", _where(each, places), id=each.id, **shown))
    return {"type": "FeatureCollection", "features": features}


def during(each: Violation, places: Sequence[Place]) -> list[Place]:
    """Return where the truck was while a violation went on, or just before it where nothing was heard then."""
    end = each.ended_at or (places[-1].at if places else each.started_at)
    inside = [place for place in places if each.started_at <= place.at <= end]
    return inside or [place for place in places if place.at <= each.started_at][-1:]


def _where(each: Violation, places: Sequence[Place]) -> dict[str, Any] | None:
    found = during(each, places)
    if not found:
        return None
    return _line(found) if len(found) > 1 else {"type": "Point", "coordinates": [found[0].lon, found[0].lat]}


def _line(places: Sequence[Place]) -> dict[str, Any]:
    return {"type": "LineString", "coordinates": [[place.lon, place.lat] for place in places]}


def _feature(role: str, geometry: object, **properties: object) -> Feature:
    return {"type": "Feature", "geometry": geometry, "properties": {"role": role, **properties}}


def _violation(row: Any) -> Violation:  # noqa: ANN401  a row's columns are the query's
    return Violation(**row._asdict())
