r"""The messages that devices publish, and what ingest answers.

A message is one header line and a JSON array of events of one kind:

    CF1 <boot> <seq> <count> <sent_at> <crc>\n[{…}, …]

`boot` is 32 hex digits drawn at random when the outbox is made; `seq` numbers the first event and the others follow
it; `sent_at` is milliseconds since the epoch; `crc` is the CRC-32 of the body in 8 hex digits. A body that cannot be
parsed so still has an identity: it is dead-lettered, and refused in the acknowledgement. The last will of a device
has `count` 0 and a body `[{"state": "offline"}]`: it is news of the device, not an event in its sequence.
"""

import re
import zlib
from enum import StrEnum
from functools import lru_cache
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from contracts.errors import ChecksumError, HeaderError, MessageError
from contracts.topics import Kind

MAX_BODY_BYTES: Final = 256 * 1024
MAX_EVENTS: Final = 100
MAX_SEQ: Final = 2**62
_HEADER = re.compile(rb"CF1 ([0-9a-f]{32}) (\d{1,19}) (\d{1,3}) (\d{1,15}) [0-9a-f]{8}\n")
# A header as `pack` writes it for one event, with numbers that need no check of their range, and the array's beginning.
_SINGLE = re.compile(rb"CF1 ([0-9a-f]{32}) ([1-9]\d{0,17}) 1 (\d{1,14}) ([0-9a-f]{8})\n\[(?=\{)")

# \Z, since $ would let a trailing newline through. Patterns of what nearly every event has would cost more than all the
# rest of decoding: `decode_event` holds texts against NUL, and `aim`, itself.
_AIM: Final = r"^(\][A-Za-z][0-9A-Za-z])?$"
Milliseconds = Annotated[int, Meta(ge=0, le=253_402_300_799_999)]
Code = Annotated[str, Meta(min_length=1, max_length=512)]
Name = Annotated[str, Meta(max_length=64)]
Gtin = Annotated[str, Meta(pattern=r"^\d{14}\Z")]
Boot = Annotated[str, Meta(pattern=r"^[0-9a-f]{32}\Z")]
Longitude = Annotated[float, Meta(ge=-180, le=180)]
Latitude = Annotated[float, Meta(ge=-90, le=90)]


class Activity(StrEnum):
    """What a station was doing when it read a code; the trace service maps these to EPCIS business steps."""

    __hash__ = str.__hash__  # as for `Kind`

    COMMISSION = "commission"
    PACK = "pack"
    SHIP = "ship"
    RECEIVE = "receive"
    SELL = "sell"
    INSPECT = "inspect"
    CONSUMER = "consumer"
    OBSERVE = "observe"


class Platform(StrEnum):
    """Where a position comes from; each states its accuracy radius at another confidence.

    `address` is a network address: the middle of the city that it belongs to. It accuses nobody by itself.
    """

    ANDROID = "android"
    IOS = "ios"
    WEB = "web"
    ADDRESS = "address"


class Position(Struct, frozen=True, kw_only=True):
    """Where a scan was made: degrees in the named coordinate system, radius in metres."""

    lon: Longitude
    lat: Latitude
    accuracy_m: Annotated[float, Meta(ge=0, le=5_000_000)]
    platform: Platform = Platform.WEB
    crs: Annotated[str, Meta(pattern=r"^(wgs84|gcj02|bd09)\Z")] = "wgs84"


class Scan(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One code read once. Without `position` the scan was made where the device's site is registered."""

    ts: Milliseconds
    code: Code
    symbology: Name
    aim: Annotated[str, Meta(max_length=3, extra_json_schema={"pattern": _AIM})] = ""
    activity: Activity = Activity.OBSERVE
    reference: Name = ""
    """The shipment or order that the station works on."""
    parent: Annotated[str, Meta(max_length=512)] = ""
    """The case or pallet that the item is packed into."""
    to: Name = ""
    """The dealer or store that a shipment goes to."""
    operator: Name = ""
    """Who scanned; of a consumer's scan a pseudonym of the phone, where the gateway knows one."""
    position: Position | None = None
    image: Annotated[str, Meta(pattern=r"^([0-9a-f]{64})?\Z")] = ""
    """SHA-256 of the photo that the code was read from."""


class Facings(Struct, frozen=True):
    """What a camera sees of one product's places on a shelf; `share` is that of all filled width in the picture."""

    filled: Annotated[int, Meta(ge=0, le=1000)]
    empty: Annotated[int, Meta(ge=0, le=1000)]
    unseen: Annotated[int, Meta(ge=0, le=1000)]
    """Something stands before them, or there is too little light."""
    strange: Annotated[int, Meta(ge=0, le=1000)]
    """They show another product of the shelf."""
    share: Annotated[float, Meta(ge=0, le=1)]


class Stock(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one shelf channel holds. With `facings` a camera looked: `units` counts filled facings then, not items."""

    ts: Milliseconds
    channel: Annotated[int, Meta(ge=1, le=64)]
    gtin: Gtin
    grams: Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]
    units: Annotated[int, Meta(ge=0, le=1_000_000)]
    confidence: Annotated[float, Meta(ge=0, le=1)]
    fault: Annotated[str, Meta(max_length=32, pattern=r"^[A-Z_]*\Z")] = ""
    """Empty, or why the figure should not be believed: SATURATED, STUCK, UNIT_WEIGHT, UNSTABLE, SILENT, AMBIGUOUS
    (products that share a cell cannot be told apart), PLANOGRAM (what is moved weighs like another product), NEGATIVE
    (less than nothing: the tray is gone, or the tare wrong), SUPPLY, REBOOTED, and UNSEEN (a camera that sees too
    little)."""
    facings: Facings | None = None


class Environment(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Climate at a shelf or in a warehouse."""

    ts: Milliseconds
    temperature_c: Annotated[float, Meta(ge=-80, le=85)]
    humidity: Annotated[float, Meta(ge=0, le=100)] | None = None
    mean_kinetic_c: Annotated[float, Meta(ge=-80, le=85)] | None = None
    """Mean kinetic temperature of the past 30 days."""
    door_open: bool | None = None
    alarm: Annotated[str, Meta(max_length=32, pattern=r"^[A-Z_]*\Z")] = ""
    """Empty, or what is wrong: TOO_WARM, TOO_COLD, TOO_HUMID, RATE, STALE (the last figure that was known), DOOR."""


class Status(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a device is. `dropped` lists sequence ranges that the device had to give up: tombstones, inclusive."""

    state: Annotated[str, Meta(pattern=r"^(online|offline)\Z")]
    ts: Milliseconds = 0
    firmware: Name = ""
    outbox_depth: Annotated[int, Meta(ge=0, le=2**53)] = 0
    dropped: Annotated[
        tuple[tuple[Annotated[int, Meta(ge=1, le=MAX_SEQ)], Annotated[int, Meta(ge=1, le=MAX_SEQ)]], ...],
        Meta(max_length=100),
    ] = ()


Event = Scan | Stock | Environment | Status


class Refusal(Struct, frozen=True, array_like=True):
    """A range of sequence numbers, inclusive, that ingest will never accept, and the error code that says why."""

    first: int
    last: int
    reason: str


class Ack(Struct, frozen=True, kw_only=True):
    """What ingest has durably dealt with: committed ranges, inclusive, and refused ones."""

    boot: Boot
    committed: tuple[tuple[int, int], ...] = ()
    refused: tuple[Refusal, ...] = ()


class Resend(Struct, frozen=True, kw_only=True, tag="resend", tag_field="command"):
    """Send a range of sequence numbers, inclusive, again."""

    boot: Boot
    first: int
    last: int


class Pause(Struct, frozen=True, kw_only=True, tag="pause", tag_field="command"):
    """Publish nothing until the given time; retained, so that a whole fleet waits. 0 lifts it."""

    until: Milliseconds


Command = Resend | Pause


class Header(Struct, frozen=True):
    """The identity of a message."""

    boot: str
    seq: int
    count: int
    sent_at: int


_EVENT_TYPES: Final[dict[Kind, type[Event]]] = {
    Kind.SCAN: Scan,
    Kind.STOCK: Stock,
    Kind.ENV: Environment,
    Kind.STATUS: Status,
}
_DECODERS = {kind: msgspec.json.Decoder(type_) for kind, type_ in _EVENT_TYPES.items()}
_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])
_ACK = msgspec.json.Decoder(Ack)
_COMMAND: msgspec.json.Decoder[Command] = msgspec.json.Decoder(Command)
_ENCODER = msgspec.json.Encoder()


def event_types() -> dict[Kind, type[Event]]:
    """Return the type of the events of each kind."""
    return dict(_EVENT_TYPES)


def encode_event(event: Event) -> bytes:
    """Return an event's JSON, the bytes that its content hash is taken from."""
    return _ENCODER.encode(event)


def pack(boot: str, seq: int, sent_at: int, events: list[bytes], *, in_sequence: bool = True) -> bytes:
    """Return the payload that carries encoded `events`, numbered from `seq`; a last will is not in sequence."""
    body = b"[" + b",".join(events) + b"]"
    count = len(events) if in_sequence else 0
    return b"CF1 %b %d %d %d %08x\n%b" % (boot.encode(), seq, count, sent_at, zlib.crc32(body), body)


def unpack_header(payload: bytes) -> tuple[Header, memoryview]:
    """Split a payload into its header and its body, whose CRC is not checked yet; `HeaderError` without identity."""
    match = _HEADER.match(payload)
    if match is None:
        raise HeaderError("no header line", advice="Start the payload with 'CF1 <boot> <seq> <count> <sent_at> <crc>'.")
    boot, seq, count, sent_at = match.groups()
    header = Header(boot.decode(), int(seq), int(count), int(sent_at))
    if header.count > MAX_EVENTS or not (1 <= header.seq <= MAX_SEQ or header.count == 0):
        raise HeaderError(f"seq {header.seq} or count {header.count} is out of range")
    return header, memoryview(payload)[match.end() :]


def split_body(payload: bytes, header: Header, body: memoryview) -> list[bytes]:
    """Check size, CRC and count, and return each event's own bytes; raises `ChecksumError` or `MessageError`."""
    if len(body) > MAX_BODY_BYTES:
        raise MessageError(f"{len(body)} bytes are more than {MAX_BODY_BYTES}")
    end = len(payload) - len(body) - 1
    if int(payload[end - 8 : end], 16) != zlib.crc32(body):
        raise ChecksumError("the CRC does not match the body")
    try:
        raws = _ARRAY.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MessageError(f"the body is no JSON array: {error}") from error
    expected = header.count or 1
    if len(raws) != expected:
        raise MessageError(f"{len(raws)} events, {expected} announced")
    return [bytes(raw) for raw in raws]


def unpack_single(payload: bytes, kind: Kind) -> tuple[str, int, int, bytes, Event] | None:
    """Return boot, seq, sent_at, an event's own bytes and the event of a flawless message of one event, as most are.

    None says nothing of the message but that it has to be looked at step by step, which takes twice as long.
    """
    match = _SINGLE.match(payload)
    if match is None or len(payload) > MAX_BODY_BYTES or not payload.endswith(b"}]"):
        return None
    boot, seq, sent_at, crc = match.groups()
    start = match.end()
    if int(crc, 16) != zlib.crc32(payload[start - 1 :]):
        return None
    raw = payload[start:-1]
    try:
        event = decode_event(kind, raw)
    except MessageError:
        return None
    return boot.decode(), int(seq), int(sent_at), raw, event


def decode_event(kind: Kind, raw: bytes) -> Event:
    """Return the typed event; a value outside its range or type raises `MessageError` naming the field."""
    try:
        event = _DECODERS[kind].decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MessageError(str(error)) from error
    # In JSON a NUL can only stand in this form, which may also be a backslash of its own before five characters.
    if b"\\u0000" in raw:
        _refuse_nul(event)
    if type(event) is Scan and not _is_aim(event.aim):
        raise MessageError("no AIM identifier - at `$.aim`")
    return event


@lru_cache(maxsize=1024)
def _is_aim(text: str) -> bool:
    return re.fullmatch(_AIM, text) is not None


def _refuse_nul(event: Event) -> None:
    for name in event.__struct_fields__:
        value = getattr(event, name)
        if isinstance(value, str) and "\x00" in value:
            raise MessageError(f"a NUL, which PostgreSQL's text cannot hold - at `$.{name}`")


def encode_ack(ack: Ack) -> bytes:
    """Return an acknowledgement's JSON."""
    return _ENCODER.encode(ack)


def decode_ack(payload: bytes) -> Ack:
    """Return a typed acknowledgement, or raise `MessageError`."""
    try:
        return _ACK.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MessageError(str(error)) from error


def encode_command(command: Command) -> bytes:
    """Return a command's JSON."""
    return _ENCODER.encode(command)


def decode_command(payload: bytes) -> Command:
    """Return a typed command, or raise `MessageError`."""
    try:
        return _COMMAND.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MessageError(str(error)) from error
