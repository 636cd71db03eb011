"""What stations ask for and report over HTTP, each with its device's token."""

import threading
import time
from typing import Annotated, Final, NamedTuple

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool

from contracts.errors import MessageError
from contracts.stations import MAX_BYTES, decode_notes
from trace_service.keys import KeyWrapper
from trace_service.orders import manifests, notes
from trace_service.orders.access import Station, station_of
from trace_service.orders.queries import SQL
from trace_service.store.connection import connect, one
from trace_service.web.auth.guards import bearer_token
from trace_service.web.auth.throttle import Throttle
from trace_service.web.context import Console, ConsoleOf
from trace_service.web.errors import InvalidParameterError, NotSignedInError

router = APIRouter(tags=["stations"])
_BUSY_SHARE: Final = 20
_LEAST_SECONDS: Final = 1.0
_UNCHANGED_SECONDS: Final = 60.0
Mark = tuple[object, ...]


class NotesTaken(BaseModel):
    """Which notes are stored: the station may forget them. Those in `refused`, too, though nothing came of them."""

    ids: tuple[str, ...]
    refused: tuple[str, ...]


class _Built(NamedTuple):
    """When a site's manifest was built, when it may be built again, and the newest event and order of then."""

    at: float
    again: float
    mark: Mark


class Freshness:
    """Says whether a site's manifest is due to be built again.

    Building takes a twentieth of the time at most. Where neither an event nor an order came since, it is due after a
    minute all the same: transactions commit in another order than their numbers tell.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._built: dict[str, _Built] = {}

    def is_due(self, site: str, mark: Mark) -> bool:
        """Whether the last one is old enough."""
        with self._lock:
            last, now = self._built.get(site), time.monotonic()
        return last is None or (now >= last.again and (mark != last.mark or now >= last.at + _UNCHANGED_SECONDS))

    def built(self, site: str, began: float, mark: Mark) -> None:
        """Note that building began at a moment and has ended."""
        now = time.monotonic()
        with self._lock:
            self._built[site] = _Built(began, now + max(_LEAST_SECONDS, _BUSY_SHARE * (now - began)), mark)


def _station(request: Request, console: ConsoleOf) -> Station:
    token = bearer_token(request)
    with connect(console.settings.database_url.get_secret_value(), "stations") as connection:
        found = station_of(connection, token) if token else None
    if found is None:
        address = request.client.host if request.client else ""
        _throttle(request).attempt(address, address)
        raise NotSignedInError("no valid device token", advice="Make one: codefence orders token DEVICE")
    return found


StationOf = Annotated[Station, Depends(_station)]


@router.get("/stations/manifest", response_class=Response)
def manifest(
    request: Request, console: ConsoleOf, station: StationOf, since: Annotated[int, Query(ge=0, le=2**62)] = 0
) -> Response:
    """Return the signed manifest of the station's site, or a delta to version `since`; 204 where that is the newest."""
    present, body = _present(console, _freshness(request), station.site, since)
    if present.version == since:
        return Response(status_code=204)
    return Response(body, media_type="application/octet-stream", headers={"Codefence-Manifest": str(present.version)})


@router.post("/stations/notes")
async def take_notes(request: Request, console: ConsoleOf, station: StationOf) -> NotesTaken:
    """Store what the station reports; sent again, it changes nothing."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MAX_BYTES:
            raise InvalidParameterError(f"more than {MAX_BYTES} bytes", advice="Send fewer notes at a time.")
    return await run_in_threadpool(_take, console, station, body)


def _take(console: Console, station: Station, body: bytes) -> NotesTaken:
    try:
        decoded = decode_notes(body)
    except MessageError as error:
        raise InvalidParameterError(error.message) from error
    with connect(console.settings.database_url.get_secret_value(), "stations") as connection:
        taken = notes.take(connection, _keys(console), station, decoded)
    return NotesTaken(ids=taken.ids, refused=taken.refused)


def _present(console: Console, freshness: Freshness, site: str, since: int) -> tuple[manifests.Issued, bytes]:
    with connect(console.settings.database_url.get_secret_value(), "manifests") as connection:
        mark = tuple(one(connection, SQL["mark"]))
        present = None if freshness.is_due(site, mark) else manifests.newest(connection, site)
        if present is None:
            began = time.monotonic()
            present = manifests.issue(connection, _keys(console), site)
            freshness.built(site, began, mark)
        if since in {0, present.version}:
            return present, present.body
        return present, manifests.since(connection, site, since, present)


def _keys(console: Console) -> KeyWrapper:
    return KeyWrapper(console.settings.key_encryption_key)


def _freshness(request: Request) -> Freshness:
    state = request.app.state
    if not hasattr(state, "manifest_freshness"):
        state.manifest_freshness = Freshness()
    found: Freshness = state.manifest_freshness
    return found


def _throttle(request: Request) -> Throttle:
    state = request.app.state
    if not hasattr(state, "station_throttle"):
        state.station_throttle = Throttle(time.monotonic)
    found: Throttle = state.station_throttle
    return found
