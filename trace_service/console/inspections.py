"""Where to look next: the night's plan by base, why, and one click that makes a visit an inspector's task."""

import json
from collections import defaultdict
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Form, Query, Request
from starlette.responses import RedirectResponse, Response

from trace_service.cases.acting import actor_of, database
from trace_service.cases.queries import SQL as CASES
from trace_service.console.cases import Login
from trace_service.inspections import store
from trace_service.inspections.orders import order_visit
from trace_service.inspections.queries import SQL
from trace_service.inspections.words import task_words
from trace_service.store.connection import Connection
from trace_service.web.auth.sessions import Session
from trace_service.web.context import ConsoleOf
from trace_service.web.guards import SessionOf, WorkerSession
from trace_service.web.parameters import Number
from trace_service.web.render import Page, words_of

router = APIRouter()
_SHOPS_SHOWN: Final = 5
_LEAST_GAIN: Final = 0.0005
"""What would be shown as a chance of 0% is no place worth a visit."""
BaseName = Annotated[str, Query(max_length=60)]


@router.get("/inspections")
def page(request: Request, console: ConsoleOf, session: SessionOf, base: BaseName = "") -> Response:
    """Show one base's day and what is worth a visit beside it."""
    with database(console) as connection:
        values = _values(connection, session, base)
    version = console.places.version
    return console.renderer.page(request, Page("inspections.html", {**values, "map_version": version}), session)


@router.post("/inspections/{number}/check")
def order(
    request: Request,
    console: ConsoleOf,
    session: WorkerSession,
    number: Number,
    assignee: Annotated[Login, Form()] = None,
) -> Response:
    """Make a visit a field check, and show it."""
    with database(console) as connection:
        words = task_words(connection, session.brand, number, words_of(request, session), console.places)
        made = order_visit(connection, actor_of(session), number, words, assignee)
    return RedirectResponse(f"/checks/{made}", 303)


@router.get("/api/map/inspections.geojson")
def drawn(console: ConsoleOf, session: SessionOf, base: BaseName = "") -> Response:
    """Return the cities of a base's day, those worth a visit beside them, and where the inspector starts."""
    with database(console) as connection:
        values = _values(connection, session, base)
    stops = [each.city for each in values["visits"] if each.stop]
    others = [each.city for each in values["others"]]
    points = [
        {
            "type": "Feature",
            "properties": {"role": "scan", "accuracy_m": None},
            "geometry": {"type": "Point", "coordinates": [each.lon, each.lat]},
        }
        for each in values["bases"]
        if each.name == values["base"]
    ]
    areas = [*console.places.features(others, "other"), *console.places.features(stops, "destination")]
    body = json.dumps({"type": "FeatureCollection", "features": [*areas, *points]}, ensure_ascii=False)
    return Response(body, media_type="application/geo+json")


def _values(connection: Connection, session: Session, base: str) -> dict[str, Any]:
    bases = store.bases(connection, session.brand)
    found = store.newest(connection, session.brand)
    made, visits = found or (None, [])
    names = sorted({each.base for each in visits})
    chosen = base if base in names else names[0] if names else ""
    mine = [each for each in visits if each.base == chosen]
    dealers = {reason["dealer"] for each in mine for reason in each.reasons}
    named = connection.execute(SQL["dealer_names"], {"brand": session.brand, "ids": sorted(dealers)}).fetchall()
    shops: defaultdict[str, list[Any]] = defaultdict(list)
    for row in connection.execute(SQL["shops"], {"brand": session.brand, "cities": [each.city for each in mine]}):
        shops[row.city].append(row)
    return {
        "plan": made,
        "bases": bases,
        "names": names,
        "base": chosen,
        "visits": mine,
        "others": [each for each in mine if not each.stop and each.gain >= _LEAST_GAIN],
        "dealers": {row.id: row for row in named},
        "shops": {city: some[:_SHOPS_SHOWN] for city, some in shops.items()},
        "record": store.record(connection, session.brand, datetime.now(UTC)),
        "people": connection.execute(CASES["accounts"], {"brand": session.brand}).fetchall(),
        "moment": lambda ms: datetime.fromtimestamp(ms / 1000, UTC),
    }
