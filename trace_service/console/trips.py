"""Trips in the console: which are under way, and one with its map and what went wrong on it."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from trace_service.trips import drawing, shown
from trace_service.trips.model import NAME, Plan, Violation
from trace_service.trips.words import metres, said
from trace_service.web.connections import ConnectionOf
from trace_service.web.context import ConsoleOf
from trace_service.web.guards import SessionOf
from trace_service.web.render import Page, words_of

router = APIRouter()
_INSETS: Final = 12
NamePath = Annotated[str, Path(pattern=NAME)]


@router.get("/trips")
def trips(
    request: Request,
    console: ConsoleOf,
    session: SessionOf,
    connection: ConnectionOf,
    before: Annotated[str | None, Query(pattern=NAME)] = None,
) -> Response:
    """Show trips, latest first."""
    found = shown.trips(connection, session.brand, before)
    values = {"trips": found, "before": found[-1].trip if len(found) == shown.PAGE else None}
    return console.renderer.page(request, Page("trips.html", values), session)


@router.get("/trips/{name}")
def trip(
    request: Request, console: ConsoleOf, session: SessionOf, connection: ConnectionOf, name: NamePath
) -> Response:
    """Show a trip: its map, each violation with its surroundings and reasons, and the stops."""
    found = shown.trip(connection, session.brand, name)
    plan = shown.plan(connection, session.brand, name)
    places = shown.track(connection, session.brand, plan)
    everything = shown.violations_of(connection, session.brand, name)
    standing = [each for each in everything if each.state != "retracted"]
    words = words_of(request, session)
    kept = plan.trip(name)
    corridor = drawing.corridor_of(kept)
    insets = [
        drawing.around(kept, corridor, places, (number, each)) if number <= _INSETS else None
        for number, each in enumerate(standing, start=1)
    ]
    values: dict[str, Any] = {
        "trip": found,
        "plan": plan,
        "map": drawing.whole(kept, corridor, places, standing),
        "cards": list(zip(standing, insets, strict=True)),
        "retracted": [each for each in everything if each.state == "retracted"],
        "say": lambda each: [said(words, note, plan) for note in each.notes],
        "about": lambda each: _about(each, plan),
        "metres": lambda value: metres(words, value),
    }
    return console.renderer.page(request, Page("trip.html", values), session)


def _about(violation: Violation, plan: Plan) -> str:
    """Return the site that a violation is about, or nothing."""
    if violation.subject.isdecimal() and int(violation.subject) < len(plan.stops):
        return plan.stops[int(violation.subject)].site
    return violation.subject
