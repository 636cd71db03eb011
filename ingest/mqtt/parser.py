"""From a stream of bytes, cut anywhere, to packets; everything that is complete is read in one go."""

from typing import Final, NamedTuple

from ingest.mqtt.consumer import Arrival
from ingest.mqtt.wire import CONNACK, DUP, PINGRESP, PUBACK, PUBLISH, SUBACK, UNSUBACK, ProtocolError

LARGEST: Final = 512 * 1024
"""Bytes of a message kept; a larger one is cut to that, which is more than the contract allows, and so refused."""

_KNOWN_TOPICS: Final = 65_536
_MOST_LENGTH_BYTES: Final = 4
# How many bytes follow the fixed header: exactly, or at least.
_EXACTLY: Final = {CONNACK: 2, PUBACK: 2, UNSUBACK: 2, PINGRESP: 0}
_AT_LEAST: Final = {SUBACK: 3}


class Control(NamedTuple):
    """A packet that is no message: its type, as the first byte, and what follows the fixed header."""

    kind: int
    body: bytes


class Parser:
    """Reads one connection. `unsettled` holds the packet ids of messages that were not acknowledged yet."""

    def __init__(self, link: int) -> None:
        self._link = link
        self._rest = bytearray()
        self._needed = 0
        self._skip = 0
        self._topics: dict[bytes, str] = {}
        self.unsettled: set[int] = set()

    def feed(self, data: bytes) -> tuple[list[Arrival], list[Control]]:
        """Return the packets that are complete with `data`; raises `ProtocolError`, after which all is lost."""
        if self._skip:
            skipped = min(self._skip, len(data))
            self._skip -= skipped
            data = data[skipped:]
        if self._rest:
            self._rest += data
            if len(self._rest) < self._needed:
                return [], []
            data = bytes(self._rest)
        arrivals: list[Arrival] = []
        controls: list[Control] = []
        used = self._packets(data, arrivals, controls)
        self._rest = bytearray(data[used:])
        return arrivals, controls

    def _packets(self, data: bytes, arrivals: list[Arrival], controls: list[Control]) -> int:
        """Read every complete packet; return how many bytes that were."""
        start, size = 0, len(data)
        while start + 2 <= size:
            length, body = data[start + 1], start + 2
            if length >= 0x80:  # noqa: PLR2004  the bit that says that another byte of the length follows
                if body < size and data[body] < 0x80:  # noqa: PLR2004  as above: two bytes, which most messages have
                    length, body = length & 0x7F | data[body] << 7, body + 1
                else:
                    length, body = _long_length(data, start + 1)
                if body == 0:
                    self._needed = size - start + 1
                    break
            if data[start] & 0xF0 != PUBLISH:
                _check_control(data[start], length)
            end = body + length
            if end > size:
                self._needed = end - start
                if length <= LARGEST or size - body < LARGEST:
                    self._needed = min(self._needed, body - start + LARGEST)
                    break
                self._skip = end - size
                end = size
            if data[start] & 0xF0 == PUBLISH:
                self._message(data[start], data, body, min(end, body + LARGEST), arrivals)
            else:
                controls.append(Control(data[start], data[body:end]))
            start = end
        else:
            self._needed = 2
        return start

    def _message(self, first: int, data: bytes, start: int, end: int, arrivals: list[Arrival]) -> None:
        if start + 2 > end:
            raise ProtocolError("a message without a topic")
        begin = start + 2
        name = begin + (data[start] << 8 | data[start + 1])
        qos = first & 0x06
        rest = name + 2 if qos else name
        if rest > end or name == begin:
            raise ProtocolError("a message without a topic")
        topic = self._topics.get(data[begin:name]) or self._learn(data[begin:name])
        mid = 0
        if qos:
            mid = data[name] << 8 | data[name + 1]
            if qos != 2 or mid == 0:  # noqa: PLR2004  QoS 1, in the second bit
                raise ProtocolError("a message of a quality that was not asked for, or without an id")
            if mid in self.unsettled:
                if not first & DUP:
                    raise ProtocolError(f"the id {mid} was given to a second message before the first was settled")
                return
            self.unsettled.add(mid)
        arrivals.append(Arrival(topic, data[rest:end], mid, self._link))

    def _learn(self, raw: bytes) -> str:
        if len(self._topics) >= _KNOWN_TOPICS:
            self._topics.clear()
        topic = self._topics[raw] = raw.decode("utf-8", "backslashreplace")
        return topic


def _long_length(data: bytes, at: int) -> tuple[int, int]:
    """Return a length of several bytes and where the body begins: 0 where the length itself is cut."""
    length = 0
    for number, byte in enumerate(data[at : at + _MOST_LENGTH_BYTES]):
        length |= (byte & 0x7F) << 7 * number
        if byte < 0x80:  # noqa: PLR2004  the bit that says that another byte of the length follows
            return length, at + number + 1
    if len(data) >= at + _MOST_LENGTH_BYTES:
        raise ProtocolError("a length of more than four bytes")
    return 0, 0


def _check_control(kind: int, length: int) -> None:
    if length != _EXACTLY.get(kind) and not _AT_LEAST.get(kind, LARGEST) <= length < LARGEST:
        raise ProtocolError(f"a packet of type {kind:#04x} with {length} bytes")
