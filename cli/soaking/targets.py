"""What must hold whatever a fuzzer feeds: each target takes bytes, and raises where something is wrong."""

import zlib
from collections.abc import Callable, Mapping
from typing import Final

from contracts import gs1
from contracts.messages import Scan, Status, encode_event, pack
from contracts.topics import Kind, event_topic
from ingest.landing.decode import Decoded, decode
from ingest.mqtt import wire
from ingest.mqtt.parser import Control, Parser

_NOW: Final = 1_800_000_000_000
_BOOT: Final = "0123456789abcdef" * 2
_TOPICS: Final = [*(event_topic("dc-east", "station-1", kind) for kind in Kind), "v1/dc-east/p99/station-1/scan", ""]


class BrokenPromiseError(Exception):
    """A parser did not do what it promises for every input."""


def decoder(data: bytes) -> None:
    """Decode `data` as a message, or under a header whose CRC is right, so that mutations reach what lies behind it."""
    if not data:
        return
    choice, rest = data[0], data[1:]
    topic = _TOPICS[choice % len(_TOPICS)]
    if choice & 0x80:
        count = rest[0] if rest else 0
        body = rest[1:]
        rest = b"CF1 %b %d %d %d %08x\n%b" % (_BOOT.encode(), count + 1, count, _NOW, zlib.crc32(body), body)
    message = decode(topic, rest, _NOW)
    numbers = _numbers(message)
    if message.first is None or message.last is None:
        if numbers or not (message.faults or message.will):
            raise BrokenPromiseError("a message outside every sequence was not accounted for")
    elif numbers != list(range(message.first, message.last + 1)):
        raise BrokenPromiseError("a sequence number came out never, or more than once")


def parser(data: bytes) -> None:
    """Parse `data` as what a broker sends, whole and cut into pieces: the packets must be the same."""
    if not data:
        return
    step, stream = data[0] % 23 + 1, data[1:]
    whole = _parsed([stream])
    pieces = _parsed([stream[at : at + step] for at in range(0, len(stream), step)])
    # One that breaks the protocol in the end may have given more of what came before it in pieces than in one go.
    if None not in (whole, pieces) and whole != pieces:
        raise BrokenPromiseError("the packets depend on where the stream is cut")
    if (whole is None) != (pieces is None):
        raise BrokenPromiseError("whether a stream is valid depends on where it is cut")


def identifier(data: bytes) -> None:
    """Read `data` as a GS1 identifier: nothing but the coded error, and a canonical form that is its own."""
    text = data.decode(errors="replace")
    try:
        canonical = gs1.read(text).canonical
    except gs1.Gs1Error as error:
        if not 0 <= error.position <= len(text):
            raise BrokenPromiseError("an error lies outside the text") from error
        return
    if canonical is not None and gs1.read(canonical).canonical != canonical:
        raise BrokenPromiseError("the canonical form has another canonical form")


def _parsed(pieces: list[bytes]) -> list[object] | None:
    reader = Parser(1)
    messages: list[object] = []
    controls: list[Control] = []
    try:
        for piece in pieces:
            arrived, answers = reader.feed(piece)
            messages += arrived
            controls += answers
    except wire.ProtocolError:
        return None
    return [*messages, *controls]


def _numbers(message: Decoded) -> list[int]:
    numbers = [item.seq for item in message.items]
    for fault in message.faults:
        if fault.first is not None and fault.last is not None:
            numbers += range(fault.first, fault.last + 1)
    return sorted(numbers)


def _seeds() -> Mapping[str, list[bytes]]:
    scan = encode_event(Scan(ts=_NOW, code="HTTPS://ID.EXAMPLE.COM/01/06901234567892/21/A", symbology="QRCode"))
    status = encode_event(Status(state="online", ts=_NOW, dropped=((3, 4), (6, 6))))
    offline = encode_event(Status(state="offline"))
    messages = [pack(_BOOT, 1, _NOW, [scan, scan]), pack(_BOOT, 0, _NOW, [offline], in_sequence=False)]
    bodies = [b"\x02[" + scan + b"," + scan + b"]", b"\x01[" + status + b"]"]
    packets = [b"\x20\x02\x00\x00", b"\x90\x03\x00\x01\x01", b"\x40\x02\x00\x07", b"\xd0\x00", b"\xb0\x02\x00\x01"]
    packets += [wire.publish(number, _TOPICS[0], message) for number, message in enumerate(messages, start=1)]
    return {
        "decoder": [
            *(bytes([kind]) + message for kind, message in enumerate(messages)),
            *(bytes([0x80 + kind * 3]) + body for kind, body in enumerate(bodies)),
        ],
        "identifier": [
            b"(01)09506000134352(21)A\\(B(17)271231(10)LOT",
            b"^0109506000134352310300050017271231^91X",
            b"]d2010950600013435221A\x1d3922100",
            b"]E09506000134352|]e010L\x1d91X",
            b"https://a.example/x/01/09506000134352/10/L/21/A%2FB?17=271231&k=v#f",
            b"urn:epc:id:sgtin:950600.0013435.A%2F1",
            b"(8110)0123456123456111101231011012301234563260228426010151234567",
            b"(8013)1987654Ad4X4bL5ttr2310c2K(8007)DE91100000000123456789",
        ],
        "parser": [b"\x06" + b"".join(packets), *(b"\x02" + packet for packet in packets)],
    }


TARGETS: Final[Mapping[str, Callable[[bytes], None]]] = {"decoder": decoder, "identifier": identifier, "parser": parser}
SEEDS: Final = _seeds()
"""Valid inputs of each target, from which a fuzzer begins."""
