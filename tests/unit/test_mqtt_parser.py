"""The parser gives the same packets however the stream is cut, and no bytes make it do worse than say so."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.mqtt import wire
from ingest.mqtt.consumer import Arrival
from ingest.mqtt.parser import LARGEST, Control, Parser
from ingest.mqtt.wire import ProtocolError

TOPICS = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=40)
MIDS = st.integers(1, 0xFFFF)


def at_most_once(mid: int, topic: str, payload: bytes) -> bytes:
    """A PUBLISH at QoS 0, which is one at QoS 1 without the id."""
    del mid
    return wire._packet(wire.PUBLISH, wire._text(topic) + payload)


@st.composite
def streams(draw: st.DrawFn) -> tuple[bytes, list[Arrival], list[Control]]:
    """Return the bytes of a valid stream, and what they mean."""
    parts, arrivals, controls = [], [], []
    for mid in draw(st.lists(MIDS, unique=True, max_size=12)):
        kind = draw(st.sampled_from(["one", "one", "zero", "puback", "pong", "suback", "unsuback"]))
        topic, payload = draw(TOPICS), draw(st.binary(max_size=300))
        if kind == "one":
            parts.append(wire.publish(mid, topic, payload))
            arrivals.append(Arrival(topic, payload, mid, 3))
        elif kind == "zero":
            parts.append(at_most_once(mid, topic, payload))
            arrivals.append(Arrival(topic, payload, 0, 3))
        else:
            body = {"puback": mid.to_bytes(2), "unsuback": mid.to_bytes(2), "pong": b""}.get(
                kind, mid.to_bytes(2) + b"\1"
            )
            first = {"puback": 0x40, "unsuback": 0xB0, "pong": 0xD0, "suback": 0x90}[kind]
            parts.append(bytes([first, len(body)]) + body)
            controls.append(Control(first, body))
    return b"".join(parts), arrivals, controls


def fed(stream: bytes, cuts: list[int]) -> tuple[list[Arrival], list[Control], Parser]:
    parser, arrivals, controls = Parser(3), [], []
    for start, end in itertools.pairwise([0, *sorted(cuts), len(stream)]):
        more = parser.feed(stream[start:end])
        arrivals += more[0]
        controls += more[1]
    return arrivals, controls, parser


@given(streams(), st.data())
def test_any_cutting_of_a_stream_gives_the_same_packets(
    stream: tuple[bytes, list[Arrival], list[Control]], data: st.DataObject
) -> None:
    whole, arrivals, controls = stream
    cuts = data.draw(st.lists(st.integers(0, len(whole)), max_size=30))
    assert fed(whole, cuts)[:2] == (arrivals, controls)
    assert fed(whole, list(range(len(whole))))[:2] == (arrivals, controls)


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=10))
def test_any_bytes_are_read_or_refused(data: bytes, cuts: list[int]) -> None:
    try:
        whole = fed(data, [])[:2]
    except ProtocolError:
        whole = None
    try:
        assert fed(data, [cut for cut in cuts if cut <= len(data)])[:2] == whole
    except ProtocolError:
        assert whole is None


@given(st.integers(-3, 3), st.integers(5000, 3 * LARGEST), st.sampled_from([1, 0]))
def test_a_message_that_is_too_large_is_cut_and_the_next_one_is_whole(more: int, step: int, qos: int) -> None:
    make = wire.publish if qos else at_most_once
    payload = b"x" * (2 * LARGEST + more)
    stream = make(1, "t", payload) + make(2, "t", b"next")
    large, following = fed(stream, list(range(step, len(stream), step)))[0]
    assert len(large.payload) == LARGEST - (5 if qos else 3)
    assert following.payload == b"next"


@pytest.mark.parametrize(
    ("packet", "words"),
    [
        (bytes([0x34, 6, 0, 1, 0x74, 0, 1, 0x78]), "quality"),  # QoS 2
        (bytes([0x32, 5, 0, 1, 0x74, 0, 0]), "without an id"),
        (bytes([0x32, 4, 0, 9, 0x74, 0]), "without a topic"),
        (bytes([0x30, 2, 0, 0]), "without a topic"),
        (bytes([0x30, 0]), "without a topic"),
        (bytes([0x30, 0xFF, 0xFF, 0xFF, 0xFF, 1]), "four bytes"),
        (bytes([0x10, 0]), "type 0x10"),
        (bytes([0x40, 3, 0, 0, 0]), "type 0x40"),
        (bytes([0x90, 2, 0, 0]), "type 0x90"),
        (bytes([0x90, 0xFF, 0xFF, 0xFF, 0x7F]), "type 0x90"),
    ],
)
def test_what_the_protocol_forbids_is_named(packet: bytes, words: str) -> None:
    with pytest.raises(ProtocolError, match=words):
        Parser(1).feed(packet)


def test_a_repeated_message_waits_for_the_one_answer_to_the_first() -> None:
    first = wire.publish(7, "t", b"x")
    parser = Parser(1)
    assert len(parser.feed(first)[0]) == 1
    assert parser.feed(bytes([first[0] | wire.DUP]) + first[1:]) == ([], [])
    parser.unsettled.remove(7)
    assert len(parser.feed(bytes([first[0] | wire.DUP]) + first[1:])[0]) == 1
    with pytest.raises(ProtocolError, match="id 7"):
        parser.feed(wire.publish(7, "t", b"other"))


def test_bytes_that_are_no_text_in_a_topic_are_spelt_out() -> None:
    (arrival,), _ = Parser(1).feed(bytes([0x30, 4, 0, 2, 0x74, 0xFF]))
    assert arrival.topic == "t\\xff"


@given(st.lists(MIDS, max_size=50))
def test_acknowledgements_in_one_piece_are_the_same_packets(mids: list[int]) -> None:
    assert wire.pubacks(mids) == b"".join(bytes([0x40, 2, *divmod(mid, 256)]) for mid in mids)
