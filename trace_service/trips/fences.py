"""Fences for devices: made of a trip, a site or a territory, quantised, signed, and given a version."""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

import shapely
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from shapely.geometry.base import BaseGeometry

from contracts import fence as wire
from contracts.fence import FenceHead, FenceStop, Part, Point, Shape
from geofence.trips import Role, Site, TripPlan
from geofence.trips.plane import pieces
from trace_service.keys import KeyWrapper
from trace_service.signing import signing_key
from trace_service.store.connection import Connection
from trace_service.trips import shown
from trace_service.trips.queries import SQL
from trace_service.web.errors import NotFoundError

LIFETIME: Final = timedelta(days=7)
_AFTER_TRIP: Final = timedelta(days=1)
_RENEWED: Final = timedelta(days=2)
_SITE_RADIUS_M: Final = 300.0
_GRID: Final = 1.0 / wire.STEPS_PER_DEGREE
_PARTS: Final = {Role.STOP: Part.STOP, Role.ALLOWED: Part.ALLOWED, Role.FORBIDDEN: Part.FORBIDDEN}


class Content(NamedTuple):
    """What a fence holds, before it is addressed and signed."""

    source: str
    shapes: tuple[Shape, ...]
    points: tuple[Point, ...]
    stops: tuple[FenceStop, ...] = ()

    @property
    def digest(self) -> bytes:
        """SHA-256 of all of it."""
        return hashlib.sha256(repr(self).encode()).digest()


class Stamp(NamedTuple):
    """Whom a fence is for, which one it is, and until when it holds."""

    audience: str
    version: int
    issued_at: datetime
    expires_at: datetime


def of_trip(plan: TripPlan) -> Content:
    """Return a truck's fence: its legs, sites and stops."""
    shapes: list[Shape] = []
    points: list[Point] = []
    for number, leg in enumerate(plan.legs):
        # Between rounded points a long edge would bend elsewhere: none is longer than the judgement's own pieces.
        line = pieces(leg.line)
        shapes.append(Shape(id=f"leg-{number + 1}", part=Part.LEG, size_m=leg.width_m, points=len(line)))
        points += line
    for site in plan.sites:
        shape, own = _of_site(site)
        shapes.append(shape)
        points += own
    stops = tuple(
        FenceStop(
            site=stop.site,
            opens=stop.opens,
            closes=stop.closes,
            min_dwell_s=stop.min_dwell_s,
            max_dwell_s=stop.max_dwell_s,
            departs_by=stop.departs_by,
        )
        for stop in plan.stops
    )
    return Content(plan.id, tuple(shapes), tuple(points), stops)


def of_area(name: str, area: BaseGeometry, source: str) -> Content:
    """Return the fence of a polygon or several, such as a territory: rounded so that it stays valid."""
    rounded = shapely.set_precision(area, _GRID)
    shapes, points = [], []
    for number, part in enumerate(shapely.get_parts(rounded)):
        rings = [shapely.get_coordinates(ring).tolist() for ring in (part.exterior, *part.interiors)]
        counts = tuple(len(ring) for ring in rings)
        shapes.append(Shape(id=f"{name}-{number + 1}"[:64], part=Part.AREA, points=sum(counts), rings=counts))
        points += [(lon, lat) for ring in rings for lon, lat in ring]
    return Content(source, tuple(shapes), tuple(points))


def of_circle(name: str, centre: Point, radius_m: float, source: str) -> Content:
    """Return the fence of a site that is known by a position."""
    return Content(source, (Shape(id=name, part=Part.AREA, size_m=radius_m, points=1),), (centre,))


def signed(content: Content, stamp: Stamp, key: Ed25519PrivateKey) -> bytes:
    """Return the fence as devices get it."""
    head = FenceHead(
        audience=stamp.audience,
        version=stamp.version,
        issued_at=_ms(stamp.issued_at),
        expires_at=_ms(stamp.expires_at),
        key=key.public_key().public_bytes_raw().hex()[:16],
        source=content.source,
        shapes=content.shapes,
        stops=content.stops,
    )
    return wire.write(head, content.points, key)


def issue(connection: Connection, keys: KeyWrapper, device: str, site: str) -> tuple[int, bytes]:
    """Return version and bytes of a device's fence: that of its trip under way, else that of its site.

    The one handed out last is returned as long as nothing changed and it holds for two days more. Raises NotFoundError
    where the device has no trip and its site no position.
    """
    now = datetime.now(UTC)
    audience, brand, content, until = _wanted(connection, device, site, now)
    with connection.transaction():
        connection.execute(SQL["lock_fence"], {"audience": audience})
        newest = connection.execute(SQL["newest_fence"], {"audience": audience}).fetchone()
        if newest is not None and bytes(newest.content) == content.digest and _lasts(newest.expires_at, until, now):
            return newest.version, bytes(newest.body)
        stamp = Stamp(audience, newest.version + 1 if newest else 1, now, until)
        body = signed(content, stamp, signing_key(connection, keys).private)
        row = {"audience": audience, "version": stamp.version, "brand": brand, "source": content.source}
        row |= {"content": content.digest, "issued_at": now, "expires_at": until, "body": body}
        connection.execute(SQL["insert_fence"], row)
    return stamp.version, body


def _lasts(expires_at: datetime, until: datetime, now: datetime) -> bool:
    return expires_at > now + _RENEWED or expires_at >= until


def _wanted(connection: Connection, device: str, site: str, now: datetime) -> tuple[str, str | None, Content, datetime]:
    trip = connection.execute(SQL["open_trip_of"], {"device": device}).fetchone()
    if trip is not None:
        plan = shown.plan(connection, trip.brand, trip.trip).trip(trip.trip)
        return f"device:{device}", trip.brand, of_trip(plan), trip.ends + _AFTER_TRIP
    row = connection.execute(SQL["site_of"], {"site": site}).fetchone()
    if row is None or row.lon is None:
        raise NotFoundError(f"{device} has no trip, and no position is known of {site}", advice="Plan a trip for it.")
    source = f"site {site}"
    return f"site:{site}", row.brand, of_circle(site, (row.lon, row.lat), _SITE_RADIUS_M, source), now + LIFETIME


def _of_site(site: Site) -> tuple[Shape, list[Point]]:
    ring = list(site.ring)
    counts = (len(ring),) if ring else ()
    shape = Shape(id=site.id, part=_PARTS[site.role], size_m=site.radius_m, points=1 + len(ring), rings=counts)
    return shape, [(site.lon, site.lat), *ring]


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
