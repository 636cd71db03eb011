"""Trips for transport systems: plans in, reports of trackers in, violations out, as JSON and as GeoJSON."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Query, Response
from pydantic import AwareDatetime, BaseModel
from starlette.responses import JSONResponse

from trace_service.api.stations import StationOf
from trace_service.keys import KeyWrapper
from trace_service.trips import fences, plans, reports, shown
from trace_service.trips.model import (
    NAME,
    NamedSite,
    Placed,
    Reports,
    RouteDraft,
    SiteDraft,
    Taken,
    TripDetail,
    TripDraft,
    TripList,
    ViolationList,
)
from trace_service.trips.queries import SQL
from trace_service.web.connections import ConnectionOf
from trace_service.web.context import ConsoleOf
from trace_service.web.errors import InvalidParameterError, NotFoundError
from trace_service.web.tokens import Partner, require_scope

router = APIRouter(tags=["trips"])
GEOJSON: Final = "application/geo+json"
NamePath = Annotated[str, Path(pattern=NAME)]
PartnerOf = Annotated[Partner, Depends(require_scope("trips"))]
Before = Annotated[int, Query(ge=1, le=shown.NEWEST)]
Since = Annotated[int, Query(ge=0, le=2**31 - 1)]
_SITES: Final = 500


class SiteList(BaseModel):
    """Sites by name; `after` is the parameter for the next part, null at the end."""

    sites: list[NamedSite]
    after: str | None


@router.put("/trip-sites/{name}", status_code=204)
def put_site(partner: PartnerOf, connection: ConnectionOf, name: NamePath, draft: SiteDraft) -> None:
    """Store a geofenced site, or change it for trips that are placed from now on."""
    plans.put_site(connection, partner.brand, name, draft, partner.name)


@router.delete("/trip-sites/{name}", status_code=204)
def drop_site(partner: PartnerOf, connection: ConnectionOf, name: NamePath) -> None:
    """Give a site up."""
    plans.drop_site(connection, partner.brand, name, partner.name)


@router.get("/trip-sites")
def list_sites(
    partner: PartnerOf, connection: ConnectionOf, after: Annotated[str, Query(pattern=rf"{NAME}|^$")] = ""
) -> SiteList:
    """List the stored sites."""
    found = plans.sites(connection, partner.brand, after, _SITES)
    return SiteList(sites=found, after=found[-1].id if len(found) == _SITES else None)


@router.put("/trip-routes/{name}", status_code=204)
def put_route(partner: PartnerOf, connection: ConnectionOf, name: NamePath, draft: RouteDraft) -> None:
    """Store a route, or change it for trips that are placed from now on."""
    plans.put_route(connection, partner.brand, name, draft, partner.name)


@router.post("/trips/reports")
def take_reports(partner: PartnerOf, connection: ConnectionOf, console: ConsoleOf, body: Reports) -> Taken:
    """Store what trackers report, up to 1,000 of each kind at once, in any order; sent again it changes nothing."""
    atoms = console.places.atoms
    return reports.take(connection, partner.brand, body, atoms.mainland() if atoms else None)


@router.get("/trips/violations")
def list_violations(partner: PartnerOf, connection: ConnectionOf, before: Before = shown.NEWEST) -> ViolationList:
    """List violations of all trips, newest news first, those taken back included."""
    found, more = shown.violations(connection, partner.brand, None, before)
    return ViolationList(violations=found, before=more)


@router.put("/trips/{name}")
def place_trip(
    partner: PartnerOf, connection: ConnectionOf, name: NamePath, draft: TripDraft, response: Response
) -> Placed:
    """Plan a trip (201), or change it (200): what was judged by the earlier plan is judged again by this one."""
    placed = plans.place(connection, partner.brand, name, draft, partner.name)
    response.status_code = 201 if placed.outcome == "created" else 200
    return placed


@router.get("/trips")
def list_trips(
    partner: PartnerOf,
    connection: ConnectionOf,
    before: Annotated[str | None, Query(pattern=NAME)] = None,
    *,
    only_open: Annotated[bool, Query(alias="open")] = False,
) -> TripList:
    """List trips, latest first; with `open` only those that are not finished."""
    found = shown.trips(connection, partner.brand, before, only_open=only_open)
    return TripList(trips=found, before=found[-1].trip if len(found) == shown.PAGE else None)


@router.get("/trips/{name}")
def show_trip(
    partner: PartnerOf,
    connection: ConnectionOf,
    name: NamePath,
    known_at: Annotated[AwareDatetime | None, Query()] = None,
) -> TripDetail:
    """Show how far a trip is and its violations, as they are known now or were at `known_at`."""
    found = shown.violations_of(connection, partner.brand, name, known_at)
    return TripDetail(trip=shown.trip(connection, partner.brand, name), violations=found)


@router.get("/trips/{name}/map.geojson", response_class=Response, responses={200: {"content": {GEOJSON: {}}}})
def trip_map(partner: PartnerOf, connection: ConnectionOf, name: NamePath) -> Response:
    """Return corridor, sites, track and violations as a FeatureCollection."""
    return JSONResponse(map_of(connection, partner.brand, name), media_type=GEOJSON)


@router.post("/trips/{name}/end", status_code=202)
def end_trip(partner: PartnerOf, connection: ConnectionOf, name: NamePath) -> None:
    """Say that a trip is over: stops that were not visited by now count as skipped."""
    if connection.execute(SQL["end_trip"], {"brand": partner.brand, "trip": name}).fetchone() is None:
        raise NotFoundError(f"there is no trip {name}", advice="List them at /api/v1/trips.")


@router.post("/stations/reports")
def take_own_reports(station: StationOf, connection: ConnectionOf, console: ConsoleOf, body: Reports) -> Taken:
    """Store what a truck reports of itself, with its device's token, while it is on a trip."""
    speakers = {fix.device for fix in body.fixes} | {handling.device for handling in body.handlings}
    if speakers - {station.device}:
        raise InvalidParameterError("a report of another device", advice=f"This token speaks for {station.device}.")
    trip = connection.execute(SQL["open_trip_of"], {"device": station.device}).fetchone()
    if trip is None:
        raise NotFoundError(f"{station.device} is on no trip", advice="Plan one for it.")
    atoms = console.places.atoms
    return reports.take(connection, trip.brand, body, atoms.mainland() if atoms else None)


@router.get("/stations/fence", response_class=Response)
def fence(station: StationOf, console: ConsoleOf, connection: ConnectionOf, since: Since = 0) -> Response:
    """Return the signed fence of the device's trip or site; 204 where `since` is the version in force."""
    keys = KeyWrapper(console.settings.key_encryption_key)
    version, body = fences.issue(connection, keys, station.device, station.site)
    if version == since:
        return Response(status_code=204)
    return Response(body, media_type="application/octet-stream", headers={"Codefence-Fence": str(version)})


def map_of(connection: ConnectionOf, brand: str, name: str) -> dict[str, Any]:
    """Return a trip as a FeatureCollection."""
    kept = shown.plan(connection, brand, name)
    places = shown.track(connection, brand, kept)
    return shown.collection(kept.trip(name), places, shown.violations_of(connection, brand, name))
