"""What stations ask for and report over HTTP, each with its device's token."""

import threading
import time
from datetime import UTC, datetime
from typing import Annotated, Final, NamedTuple

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool

from contracts.errors import MessageError
from contracts.stations import MAX_BYTES, decode_notes
from trace_service.keys import KeyWrapper
from trace_service.orders import manifests, notes
from trace_service.orders.access import Station, token_hash
from trace_service.orders.queries import SQL
from trace_service.store.connection import connect, one
from trace_service.web.auth.throttle import Throttle
from trace_service.web.context import Console, ConsoleOf
from trace_service.web.errors import InvalidParameterError, NotSignedInError
from trace_service.web.guards import bearer_token

router = APIRouter(tags=["stations"])
_BUSY_SHARE: Final = 20
_LEAST_SECONDS: Final = 1.0
_UNCHANGED_SECONDS: Final = 60.0
Mark = tuple[object, ...]


class NotesTaken(BaseModel):
    """Which notes are stored: the station may forget them. Those in `refused`, too, though nothing came of them."""

    ids: tuple[str, ...]
    refused: tuple[str, ...]


class RefillOf(BaseModel):
    """Units of a product that came in together; `at` in milliseconds since the epoch."""

    gtin: str
    units: int
    at: int


class RefillList(BaseModel):
    """What came in, the oldest first."""

    refills: list[RefillOf]


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


class Knocking:
    """Slows guessing of tokens down before the database is asked.

    A token that was good when it was last seen is not counted: a station goes on while a neighbour behind the same
    address guesses, or asks with a token that was revoked.
    """

    def __init__(self) -> None:
        self._throttle = Throttle(time.monotonic)
        self._good: set[bytes] = set()

    def begin(self, hashed: bytes | None, address: str) -> None:
        """Count a token as wrong until `end` says otherwise. Raises TooManyAttemptsError."""
        if hashed not in self._good:
            self._throttle.attempt(hashed.hex() if hashed else address, address)

    def end(self, hashed: bytes, address: str, *, good: bool) -> None:
        """Note what the database said."""
        if not good:
            self._good.discard(hashed)
        elif hashed not in self._good:
            self._good.add(hashed)
            self._throttle.succeeded(hashed.hex(), address)


async def _station(request: Request, console: ConsoleOf) -> Station:
    hashed = token_hash(bearer_token(request))
    address = request.client.host if request.client else ""
    knocking = _knocking(request)
    knocking.begin(hashed, address)
    if hashed is not None:
        found = await console.database.one("station", Station, {"token_hash": hashed})
        knocking.end(hashed, address, good=found is not None)
        if found is not None:
            return found
    raise NotSignedInError("no valid device token", advice="Make one: codefence orders token DEVICE")


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


@router.get("/stations/refills")
async def refills(
    console: ConsoleOf, station: StationOf, since: Annotated[int, Query(ge=0, le=253_402_300_799_999)] = 0
) -> RefillList:
    """Return what came in by scan at the device's site since a time (milliseconds), at most two days back."""
    moment = datetime.fromtimestamp(since / 1000, UTC)
    rows = await console.database.many("refills", RefillOf, {"site": station.site, "since": moment})
    return RefillList(refills=rows)


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


def _knocking(request: Request) -> Knocking:
    state = request.app.state
    if not hasattr(state, "station_knocking"):
        state.station_knocking = Knocking()
    found: Knocking = state.station_knocking
    return found
