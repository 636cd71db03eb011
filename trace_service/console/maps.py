"""What the map draws: borders of the country, and one alert's territory, destination and scans."""

import asyncio
import json
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from trace_service.cases import service
from trace_service.cases.model import Case
from trace_service.store.connection import connect
from trace_service.web import inquiries
from trace_service.web.auth.sessions import Session
from trace_service.web.context import Console, ConsoleOf
from trace_service.web.errors import NotFoundError
from trace_service.web.guards import SessionOf
from trace_service.web.models import Alert, Evidence
from trace_service.web.parameters import Number
from trace_service.web.places import Feature, Places

router = APIRouter(prefix="/api/map")
_GEOJSON = "application/geo+json"


@router.get("/provinces.geojson")
async def provinces(request: Request, console: ConsoleOf, _: SessionOf) -> Response:
    """Return the borders of all provinces, the same for everybody."""
    etag = f'"{console.places.version}"'
    headers = {"Cache-Control": "private, max-age=86400", "ETag": etag, "Vary": "Accept-Encoding"}
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers=headers)
    content = await asyncio.to_thread(console.places.country)
    if content is None:
        raise NotFoundError("no administrative map is installed", advice="Install codefence[embedded].")
    return Response(content, media_type=_GEOJSON, headers=headers | {"Content-Encoding": "gzip"})


@router.get("/alerts/{number}.geojson")
async def alert(console: ConsoleOf, session: SessionOf, number: Number) -> Response:
    """Return a dealer's territory, the city where goods turned up, and the scans, each with its role."""
    found = await inquiries.alert(console.database, session.brand, number)
    scans = await inquiries.evidence(console.database, session.brand, number)
    # Claims about codes stand with the brand, whose territory is no evidence.
    of_codes = found.kind in ("forged", "clone")
    codes = [] if of_codes else await inquiries.territory(console.database, session.brand, found.dealer, scans)
    features = await asyncio.to_thread(_features, console.places, codes, found.city, scans)
    features += _ways(found, scans)
    body = json.dumps({"type": "FeatureCollection", "features": features}, ensure_ascii=False)
    return Response(body, media_type=_GEOJSON)


@router.get("/cases/{number}.geojson")
async def case(console: ConsoleOf, session: SessionOf, number: Number) -> Response:
    """Return the same for all alerts of a case."""
    case = await asyncio.to_thread(_case, console, session, number)
    scans = await inquiries.evidence_of_case(console.database, session.brand, number)
    codes = [] if case.of_codes else await inquiries.territory(console.database, session.brand, case.dealer, scans)
    points = [_point(scan) for scan in scans if scan.lon is not None and scan.lat is not None]
    places = console.places
    areas = await asyncio.to_thread(lambda: [*places.features(codes, "territory"),
        *places.features(case.destinations, "destination")])  # fmt: skip
    body = json.dumps({"type": "FeatureCollection", "features": [*areas, *points]}, ensure_ascii=False)
    return Response(body, media_type=_GEOJSON)


def _case(console: Console, session: Session, number: int) -> Case:
    with connect(console.settings.database_url.get_secret_value(), "console map") as connection:
        return service.find(connection, session.brand, number)


def _features(places: Places, territory: list[str], city: str, scans: list[Evidence]) -> list[Feature]:
    points = [_point(scan) for scan in scans if scan.lon is not None and scan.lat is not None]
    return [*places.features(territory, "territory"), *places.features([city], "destination"), *points]


def _ways(found: Alert, scans: list[Evidence]) -> list[Feature]:
    """Return the direct way of an alert's shipment, and the one by where its goods were seen."""
    ends = found.parameters.get("ends")
    if not isinstance(ends, list):
        return []
    first, last = ([lon, lat] for lat, lon in ends)
    seen = {(scan.lon, scan.lat): None for scan in scans if scan.lon is not None and scan.lat is not None}
    stops = [list(each) for each in seen]
    detour = [_line("detour", [first, *stops, last])] if stops else []
    return [_line("route", [first, last]), *detour]


def _line(role: str, places: list[Any]) -> Feature:
    return {
        "type": "Feature", "properties": {"role": role}, "geometry": {"type": "LineString", "coordinates": places},
    }  # fmt: skip


def _point(scan: Evidence) -> Feature:
    return {
        "type": "Feature",
        "properties": {"role": "scan", "accuracy_m": scan.accuracy_m, "seq": scan.seq},
        "geometry": {"type": "Point", "coordinates": [scan.lon, scan.lat]},
    }
