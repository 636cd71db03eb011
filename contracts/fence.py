"""The signed fence: all that one site or one truck needs to tell where it may be, while nobody else can be asked.

A fence is one file: magic `CFF1`, the length of the head (4 bytes, little endian), the head (JSON), the coordinates,
and an Ed25519 signature (64 bytes) over everything before it. Coordinates are WGS-84 in steps of a millionth of a
degree, each as the difference to the one before, zigzag and in groups of 7 bits with the lowest first: mostly 2 bytes.
Rounding moves a point by at most half a step on each axis, so by at most ROUNDING_M.
"""

import struct
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from typing import Annotated, Final

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from msgspec import Meta, Struct

from contracts.errors import CodefenceError

MAGIC: Final = b"CFF1"
SIGNATURE_BYTES: Final = 64
MAX_BYTES: Final = 8 * 1024 * 1024
MAX_POINTS: Final = 1_000_000
STEPS_PER_DEGREE: Final = 1_000_000
ROUNDING_M: Final = 0.08
"""Half a step is 5.6 cm north and at most as much east: 7.9 cm together."""
_LENGTH: Final = struct.Struct("<I")
_WORLD: Final = 180 * STEPS_PER_DEGREE
_POLE: Final = 90 * STEPS_PER_DEGREE
_LONGEST: Final = 5
Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.:-]{1,64}\Z")]
Moment = Annotated[int, Meta(ge=0, le=253_402_300_799_999)]
Metres = Annotated[float, Meta(ge=0, le=100_000)]
Point = tuple[float, float]


class FenceError(CodefenceError):
    """A fence that a device may not trust; `code` says why."""

    code = "FENCE_INVALID"


class FenceSignatureError(FenceError):
    """Altered, or signed with another key than the one that the device pins."""

    code = "FENCE_SIGNATURE"


class FenceExpiredError(FenceError):
    """Past its time: what it says may no longer be true."""

    code = "FENCE_EXPIRED"


class FenceOlderError(FenceError):
    """Older than one that the device has used before."""

    code = "FENCE_OLDER"


class FenceForeignError(FenceError):
    """Made for another site or another device."""

    code = "FENCE_FOREIGN"


class Part(StrEnum):
    """What a shape is to whoever holds the fence."""

    AREA = "area"
    """Where it has to be."""
    LEG = "leg"
    """A line to follow from one stop to the next."""
    STOP = "stop"
    ALLOWED = "allowed"
    FORBIDDEN = "forbidden"


class Shape(Struct, frozen=True, kw_only=True):
    """One shape: `rings` counts the points of a polygon's outer ring and of its holes; empty for a circle or a line.

    `size_m` is a circle's radius or half a corridor's width, 0 for a polygon. A polygon that is a site has its centre
    as its first point, before its rings.
    """

    id: Name
    part: Part
    size_m: Metres = 0.0
    points: Annotated[int, Meta(ge=1, le=MAX_POINTS)]
    rings: tuple[Annotated[int, Meta(ge=4)], ...] = ()


class FenceStop(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A stop of a truck's plan; moments in milliseconds since the epoch."""

    site: Name
    opens: Moment | None = None
    closes: Moment | None = None
    min_dwell_s: Annotated[int, Meta(ge=0)] = 0
    max_dwell_s: Annotated[int, Meta(ge=1)] | None = None
    departs_by: Moment | None = None


class FenceHead(Struct, frozen=True, kw_only=True):
    """The fence's readable part; times in milliseconds since the epoch."""

    audience: Annotated[str, Meta(pattern=r"^(site|device):[A-Za-z0-9_-]{1,64}\Z")]
    version: Annotated[int, Meta(ge=1)]
    issued_at: Moment
    expires_at: Moment
    key: str
    source: Annotated[str, Meta(max_length=128)] = ""
    """What it was made from: a territory's SHA-256, a site, a trip."""
    shapes: Annotated[tuple[Shape, ...], Meta(max_length=10_000)]
    stops: Annotated[tuple[FenceStop, ...], Meta(max_length=1_000)] = ()


_HEAD: Final = msgspec.json.Decoder(FenceHead)


def write(head: FenceHead, points: Sequence[Point], key: Ed25519PrivateKey) -> bytes:
    """Return a signed fence; `points` are those of all shapes in their order, degrees."""
    raw = msgspec.json.encode(head)
    body = b"".join((MAGIC, _LENGTH.pack(len(raw)), raw, _packed(points)))
    if len(points) != sum(shape.points for shape in head.shapes) or len(body) + SIGNATURE_BYTES > MAX_BYTES:
        raise FenceError(f"{len(points):,} points, {len(body):,} bytes", advice="Make a smaller fence.")
    return body + key.sign(body)


def verify(data: bytes, key: Ed25519PublicKey) -> tuple[FenceHead, list[Point]]:
    """Return head and points of a fence whose signature holds; raises `FenceSignatureError` or `FenceError`."""
    if len(data) > MAX_BYTES:
        raise FenceError(f"{len(data):,} bytes are more than {MAX_BYTES:,}")
    start = len(MAGIC) + _LENGTH.size
    if data[:4] != MAGIC or len(data) < start + SIGNATURE_BYTES:
        raise FenceError("no fence", advice="Fetch it from the trace service again.")
    try:
        key.verify(data[-SIGNATURE_BYTES:], data[:-SIGNATURE_BYTES])
    except InvalidSignature as error:
        raise FenceSignatureError(
            "the signature does not fit", advice="Fetch the fence again; check the key."
        ) from error
    return _read(data)


def read(data: bytes) -> tuple[FenceHead, list[Point]]:
    """Return head and points of a fence from a trusted place; its signature is not looked at."""
    if data[:4] != MAGIC or len(data) > MAX_BYTES:
        raise FenceError("no fence", advice="Name a file that `codefence fence build` has written.")
    return _read(data)


def _read(data: bytes) -> tuple[FenceHead, list[Point]]:
    start = len(MAGIC) + _LENGTH.size
    try:
        (length,) = _LENGTH.unpack_from(data, len(MAGIC))
        head = _HEAD.decode(data[start : start + length])
    except (struct.error, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FenceError(f"the fence's head cannot be read: {error}") from error
    points = list(_unpacked(data[start + length : -SIGNATURE_BYTES]))
    if len(points) != sum(shape.points for shape in head.shapes):
        raise FenceError("the number of points contradicts the head")
    return head, points


def _packed(points: Iterable[Point]) -> bytes:
    found, before = bytearray(), (0, 0)
    for lon, lat in points:
        now = round(lon * STEPS_PER_DEGREE), round(lat * STEPS_PER_DEGREE)
        for old, new in zip(before, now, strict=True):
            value = (new - old) << 1 if new >= old else ((old - new) << 1) - 1
            while value > 127:  # noqa: PLR2004  seven bits
                found.append(value & 127 | 128)
                value >>= 7
            found.append(value)
        before = now
    return bytes(found)


def _unpacked(data: bytes) -> Iterator[Point]:
    lon = lat = value = shift = 0
    is_lon = True
    for byte in data:
        value |= (byte & 127) << shift
        shift += 7
        if byte > 127:  # noqa: PLR2004  another group follows
            if shift > 7 * _LONGEST:
                raise FenceError("a coordinate is too long")
            continue
        step = -((value + 1) >> 1) if value & 1 else value >> 1
        value = shift = 0
        if is_lon:
            lon += step
        else:
            lat += step
            if abs(lon) > _WORLD or abs(lat) > _POLE:
                raise FenceError("a coordinate is beyond the world")
            yield lon / STEPS_PER_DEGREE, lat / STEPS_PER_DEGREE
        is_lon = not is_lon
    if shift or not is_lon:
        raise FenceError("the coordinates are cut short")
