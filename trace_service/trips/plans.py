"""Plans of trips, with the sites and routes that they are made of; a change is a new version."""

from collections.abc import Iterable
from typing import Final

from geofence.errors import GeofenceError
from geofence.trips import Role
from trace_service.store.connection import Connection
from trace_service.trips.errors import TripRefusedError
from trace_service.trips.model import LegDraft, NamedSite, Placed, Plan, RouteDraft, SiteDraft, TripDraft
from trace_service.trips.queries import SQL

_MOST_SITES: Final = 1_000


def put_site(connection: Connection, brand: str, name: str, draft: SiteDraft, by: str) -> None:
    """Store a site; the same again changes nothing. Raises TripRefusedError for one that is no area."""
    try:
        draft.site(name)
    except GeofenceError as error:
        raise TripRefusedError(str(error), advice=error.advice) from error
    row = {"brand": brand, "name": name, "shape": draft.model_dump_json(), "by": by}
    connection.execute(SQL["put_site"], row)


def drop_site(connection: Connection, brand: str, name: str, by: str) -> None:
    """Give a site up: no new trip may name it."""
    connection.execute(SQL["put_site"], {"brand": brand, "name": name, "shape": None, "by": by})


def sites(connection: Connection, brand: str, after: str, limit: int) -> list[NamedSite]:
    """Return stored sites by name, from after a name on."""
    query = {"brand": brand, "names": None, "after": after, "limit": limit}
    return [NamedSite(id=row.name, **row.shape) for row in connection.execute(SQL["sites"], query)]


def put_route(connection: Connection, brand: str, name: str, draft: RouteDraft, by: str) -> None:
    """Store a route; trips that were placed with it keep the one that they were placed with."""
    row = {"brand": brand, "name": name, "legs": draft.model_dump_json(), "by": by}
    connection.execute(SQL["put_route"], row)


def place(connection: Connection, brand: str, trip: str, draft: TripDraft, by: str) -> Placed:
    """Store a plan, or a changed one as its next version. Raises TripRefusedError naming what is wrong with it."""
    with connection.transaction():
        connection.execute(SQL["lock_trip"], {"brand": brand, "trip": trip})
        plan = _complete(connection, brand, draft)
        try:
            plan.trip(trip)
        except GeofenceError as error:
            raise TripRefusedError(str(error), advice=error.advice) from error
        newest = connection.execute(SQL["newest_plan"], {"brand": brand, "trip": trip}).fetchone()
        if newest is not None and Plan.model_validate(newest.plan) == plan:
            return Placed(trip=trip, version=newest.version, outcome="unchanged")
        version = newest.version + 1 if newest else 1
        row = {"brand": brand, "trip": trip, "version": version, "device": plan.device, "begins": plan.begins}
        row |= {"ends": plan.ends, "plan": plan.model_dump_json(), "by": by}
        connection.execute(SQL["insert_plan"], row)
        connection.execute(SQL["begin_work"], row)
    return Placed(trip=trip, version=version, outcome="changed" if newest else "created")


def _complete(connection: Connection, brand: str, draft: TripDraft) -> Plan:
    given = {site.id: site for site in draft.sites}
    wanted = {stop.site: Role.STOP for stop in draft.stops}
    wanted |= dict.fromkeys(draft.allowed, Role.ALLOWED) | dict.fromkeys(draft.forbidden, Role.FORBIDDEN)
    for site in _stored(connection, brand, [name for name in wanted if name not in given]):
        given[site.id] = site.model_copy(update={"role": wanted[site.id]})
    missing = sorted(set(wanted) - set(given))
    if missing:
        raise TripRefusedError(f"there is no site {missing[0]}", advice="Send it along, or store it first.")
    return Plan(
        device=draft.device,
        begins=draft.begins,
        ends=draft.ends,
        stops=draft.stops,
        legs=draft.legs or _route(connection, brand, draft.route or ""),
        sites=tuple(given[name] for name in sorted(given)),
    )


def _stored(connection: Connection, brand: str, names: Iterable[str]) -> list[NamedSite]:
    query = {"brand": brand, "names": list(names), "after": "", "limit": _MOST_SITES}
    return [NamedSite(id=row.name, **row.shape) for row in connection.execute(SQL["sites"], query)]


def _route(connection: Connection, brand: str, name: str) -> tuple[LegDraft, ...]:
    row = connection.execute(SQL["route"], {"brand": brand, "name": name}).fetchone()
    if row is None:
        raise TripRefusedError(f"there is no route {name}", advice="Send the legs along, or store it first.")
    return RouteDraft.model_validate(row.legs).legs
