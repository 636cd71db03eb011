"""What a station reports beside its scans: small facts with an identity of their own, posted until they are taken."""

from enum import StrEnum
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

from contracts.errors import MessageError
from contracts.messages import Gtin, Milliseconds, Name

MAX_BYTES: Final = 512 * 1024
MAX_NOTES: Final = 100
PATH_MANIFEST: Final = "/api/v1/stations/manifest"
PATH_NOTES: Final = "/api/v1/stations/notes"
PATH_REFILLS: Final = "/api/v1/stations/refills"


class NoteKind(StrEnum):
    """What a note tells."""

    LOAD_BEGUN = "load.begun"
    LOAD_CLOSED = "load.closed"
    STOPPED = "stopped"
    RELEASED = "released"
    UNDONE = "undone"
    SCRAPPED = "scrapped"
    CONFLICT = "conflict"
    PACKAGE_CLOSED = "package.closed"
    RECEIVED = "received"
    OPERATOR = "operator"


class Note(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One fact: `id` is 32 random hex digits, `unit` a canonical key, `detail` what the kind needs besides."""

    id: Annotated[str, Meta(pattern=r"^[0-9a-f]{32}\Z")]
    at: Milliseconds
    kind: NoteKind
    brand: Annotated[str, Meta(max_length=32)] = ""
    order: Name = ""
    unit: Annotated[str, Meta(max_length=128)] = ""
    operator: Name = ""
    shift: Annotated[str, Meta(max_length=32)] = ""
    detail: dict[str, Any] = {}


class Refill(Struct, frozen=True):
    """Goods that came in by scan at a shelf's site: what may be put up next. `at` is when, milliseconds."""

    gtin: Gtin
    units: Annotated[int, Meta(ge=1, le=1_000_000)]
    at: Milliseconds


class Refills(Struct, frozen=True):
    """What came in since a time, the oldest first."""

    refills: tuple[Refill, ...]


class Taken(Struct, frozen=True):
    """Which notes the service has stored: the station may forget them.

    Those in `refused` are among them: kept with the reason, and not carried out.
    """

    ids: tuple[str, ...]
    refused: tuple[str, ...] = ()


_NOTES: Final[msgspec.json.Decoder[list[Note]]] = msgspec.json.Decoder(
    Annotated[list[Note], Meta(max_length=MAX_NOTES)]
)


def encode_notes(notes: list[Note]) -> bytes:
    """Return the JSON array of a posting."""
    return msgspec.json.encode(notes)


def decode_notes(data: bytes) -> list[Note]:
    """Return the notes of a posting; raises `MessageError` naming the place of the first thing wrong."""
    if len(data) > MAX_BYTES:
        raise MessageError(f"{len(data)} bytes are more than {MAX_BYTES}")
    try:
        notes = _NOTES.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MessageError(str(error)) from error
    if b"\\u0000" in data:
        raise MessageError("a NUL, which PostgreSQL's text cannot hold")
    return notes
