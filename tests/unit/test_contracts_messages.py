"""The wire format: what is packed comes out again, and nothing else comes out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import topics
from contracts.errors import ChecksumError, HeaderError, MessageError, TopicError
from contracts.messages import (
    Ack,
    Pause,
    Position,
    Refusal,
    Resend,
    Scan,
    decode_ack,
    decode_command,
    decode_event,
    encode_ack,
    encode_command,
    encode_event,
    pack,
    split_body,
    unpack_header,
)
from contracts.topics import Kind

BOOT = "0123456789abcdef" * 2

scans = st.builds(
    Scan,
    ts=st.integers(0, 253_402_300_799_999),
    code=st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), min_size=1, max_size=60),
    symbology=st.just("QRCode"),
    position=st.none()
    | st.builds(Position, lon=st.floats(-180, 180), lat=st.floats(-90, 90), accuracy_m=st.floats(0, 5_000_000)),
)


@given(st.lists(scans, min_size=1, max_size=5), st.integers(1, 2**62))
def test_a_message_carries_its_events_and_their_numbers(events: list[Scan], seq: int) -> None:
    payload = pack(BOOT, seq, 1_700_000_000_000, [encode_event(event) for event in events])
    header, body = unpack_header(payload)
    assert (header.boot, header.seq, header.count) == (BOOT, seq, len(events))
    assert [decode_event(Kind.SCAN, raw) for raw in split_body(payload, header, body)] == events


@given(st.binary(max_size=300) | st.binary(max_size=60).map(lambda body: pack(BOOT, 1, 0, [body])))
def test_no_bytes_break_the_parser(payload: bytes) -> None:
    try:
        header, body = unpack_header(payload)
        events = [decode_event(Kind.SCAN, raw) for raw in split_body(payload, header, body)]
    except MessageError:
        return
    assert len(events) == header.count


@given(st.integers(0, 200), st.integers(0, 7))
def test_a_flipped_bit_in_the_body_is_noticed(offset: int, bit: int) -> None:
    payload = bytearray(pack(BOOT, 1, 0, [encode_event(Scan(ts=1, code="A" * 60, symbology="QRCode"))]))
    start = payload.index(b"\n") + 1
    payload[start + offset % (len(payload) - start)] ^= 1 << bit
    header, body = unpack_header(bytes(payload))
    with pytest.raises(ChecksumError):
        split_body(bytes(payload), header, body)


@pytest.mark.parametrize(
    "raw",
    [
        b'{"ts":1,"code":"a\\u0000b","symbology":""}',
        b'{"ts":1,"code":"\\ud800","symbology":""}',
        b'{"ts":1,"code":"","symbology":""}',
        b'{"ts":-1,"code":"a","symbology":""}',
        b'{"ts":1,"code":"a","symbology":"","position":{"lon":181,"lat":0,"accuracy_m":1}}',
        b'{"ts":1,"code":"a","symbology":"","position":{"lon":NaN,"lat":0,"accuracy_m":1}}',
        b'{"ts":1,"code":"a","symbology":"","activity":"destroy"}',
        b"[" * 100_000,
        b"",
    ],
)
def test_values_out_of_range_are_refused(raw: bytes) -> None:
    with pytest.raises(MessageError):
        decode_event(Kind.SCAN, raw)


@pytest.mark.parametrize("payload", [b"", b"\n", b"CF1 x 1 1 1 00000000\n[]", b"CF1 " + b"0" * 200])
def test_a_message_without_header_has_no_identity(payload: bytes) -> None:
    with pytest.raises(HeaderError):
        unpack_header(payload)


def test_acks_and_commands_come_out_as_they_went_in() -> None:
    ack = Ack(boot=BOOT, committed=((1, 5), (9, 9)), refused=(Refusal(6, 8, "CHECKSUM"),))
    assert decode_ack(encode_ack(ack)) == ack
    for command in (Resend(boot=BOOT, first=1, last=2), Pause(until=3)):
        assert decode_command(encode_command(command)) == command


def test_a_resend_for_what_is_no_boot_is_refused() -> None:
    with pytest.raises(MessageError):
        decode_command(b'{"command":"resend","boot":"a\\nb","first":1,"last":2}')


def test_topics_name_one_device_in_its_own_partition() -> None:
    topic = topics.event_topic("dc-east", "station-ship", Kind.SCAN)
    assert topics.parse_event_topic(topic) == topics.EventTopic("dc-east", "station-ship", Kind.SCAN)
    number = topics.partition("station-ship")
    with pytest.raises(TopicError):
        topics.parse_event_topic(topic.replace(f"/p{number}/", f"/p{(number + 1) % 16}/"))
    with pytest.raises(TopicError):
        topics.event_topic("dc-east", "devA/ev", Kind.SCAN)
