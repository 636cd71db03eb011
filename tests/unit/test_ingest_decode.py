import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.messages import Environment, Scan, Status, encode_event, pack
from contracts.topics import Kind, event_topic, partition
from ingest.landing.decode import Decoded, content_hash, decode, decode_step_by_step

NOW = 1_800_000_000_000
BOOT = "0123456789abcdef" * 2
DAY = 24 * 3600 * 1000
DEVICE = "station-1"
TOPIC = event_topic("dc-east", DEVICE, Kind.SCAN)


def scan(ts: int = NOW, code: str = "x") -> bytes:
    return encode_event(Scan(ts=ts, code=code, symbology="qr"))


def accounted(message: Decoded) -> list[int]:
    """Every sequence number that comes out, as often as it does."""
    numbers = [item.seq for item in message.items]
    for fault in message.faults:
        if fault.first is not None and fault.last is not None:
            numbers += range(fault.first, fault.last + 1)
    return sorted(numbers)


def assert_accounts_for_everything(message: Decoded) -> None:
    if message.first is None or message.last is None:
        assert accounted(message) == []
        assert message.faults or message.will
    else:
        assert accounted(message) == list(range(message.first, message.last + 1))


@given(topic=st.text(max_size=40) | st.just(TOPIC), payload=st.binary(max_size=300))
def test_any_bytes_come_out_as_something(topic: str, payload: bytes) -> None:
    assert_accounts_for_everything(decode(topic, payload, NOW))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
raw_events = st.binary(max_size=60) | st.builds(scan, st.integers(0, 2 * NOW), st.text(max_size=5).filter(bool))


@given(
    kind=st.sampled_from(Kind),
    seq=st.integers(0, 2**63 - 1),
    sent_at=st.integers(0, 10**15 - 1),
    events=st.lists(raw_events, max_size=6),
    in_sequence=st.booleans(),
)
def test_any_body_under_a_valid_header_is_accounted_for(
    kind: Kind, seq: int, sent_at: int, events: list[bytes], *, in_sequence: bool
) -> None:
    payload = pack(BOOT, seq, sent_at, events, in_sequence=in_sequence)
    assert_accounts_for_everything(decode(event_topic("dc-east", DEVICE, kind), payload, NOW))


@given(
    data=st.data(),
    events=st.lists(st.builds(scan, st.just(NOW), st.text(max_size=5).filter(lambda text: "\0" not in text and text))),
)
def test_a_damaged_body_never_becomes_another_event(data: st.DataObject, events: list[bytes]) -> None:
    payload = bytearray(pack(BOOT, 1, NOW, events[:100] or [scan()]))
    start = payload.index(b"\n") + 1
    position = data.draw(st.integers(start, len(payload) - 1))
    payload[position] ^= data.draw(st.integers(1, 255))
    message = decode(TOPIC, bytes(payload), NOW)
    assert [fault.reason for fault in message.faults] == ["CHECKSUM"]
    assert message.items == ()
    assert_accounts_for_everything(message)


# One event in every form in which it may, or may not, be taken at once: spaces, two values, a NUL, a wrong type.
odd_events = st.sampled_from(
    [
        scan(),
        b" " + scan(),
        scan() + b" ",
        scan() + b"," + scan(),
        scan().replace(b'"x"', b'"\\u0000"'),
        scan().replace(b'"x"', b'"\\\\u0000"'),
        scan().replace(b'"x"', b"7"),
        scan()[:-1] + b',"aim":"]d2"}',
        scan()[:-1] + b',"aim":"d2"}',
        b"{}",
        b'{"ts":%d,"state":"online"}' % NOW,
        b'{"ts":%d,"state":"online","dropped":[[2,1]]}' % NOW,
        b'{"ts":%d,"temperature_c":7.5}' % NOW,
        b"[{}]",
        b"",
    ]
)


@given(
    kind=st.sampled_from(Kind),
    seq=st.integers(0, 2) | st.integers(10**17, 2**63 - 1),
    sent_at=st.integers(0, 2) | st.integers(10**13, 10**15 - 1),
    event=odd_events,
    late=st.sampled_from([0, DAY, 30 * DAY, 30 * DAY + 1, -5 * 60 * 1000, -5 * 60 * 1000 - 1]),
    damage=st.none() | st.integers(0, 120),
)
def test_the_short_way_through_one_event_says_what_the_long_way_says(
    kind: Kind, seq: int, sent_at: int, event: bytes, *, late: int, damage: int | None
) -> None:
    payload = bytearray(pack(BOOT, seq, sent_at, [event]))
    if damage is not None:
        payload[damage % len(payload)] ^= 1
    topic = event_topic("dc-east", DEVICE, kind)
    message = decode(topic, bytes(payload), NOW + late)
    assert message == decode_step_by_step(topic, bytes(payload), NOW + late)
    assert_accounts_for_everything(message)


def test_good_and_bad_events_of_one_message_part_ways() -> None:
    raws = [scan(), b'{"ts":"x"}', scan(NOW - 31 * DAY), scan(NOW + 6 * 60 * 1000), scan(NOW - 29 * DAY)]
    message = decode(TOPIC, pack(BOOT, 7, NOW, raws), NOW)
    assert [(item.seq, item.raw) for item in message.items] == [(7, raws[0]), (11, raws[4])]
    assert [(fault.first, fault.reason) for fault in message.faults] == [
        (8, "MESSAGE_INVALID"),
        (9, "TIME_OUT_OF_RANGE"),
        (10, "TIME_OUT_OF_RANGE"),
    ]


def test_what_is_refused_alone_can_be_replayed_alone() -> None:
    late = scan(NOW - 31 * DAY)
    (fault,) = decode(TOPIC, pack(BOOT, 7, NOW, [scan(), late]), NOW).faults
    again = decode(TOPIC, fault.payload, NOW - 2 * DAY)
    assert [(item.seq, item.raw) for item in again.items] == [(8, late)]


def test_the_content_hash_is_of_the_events_own_bytes() -> None:
    # sha256(b"{}") begins 44136fa355b3678a; sha256(b"a") begins with a byte above 127.
    assert content_hash(b"{}") == 0x44136FA355B3678A
    assert content_hash(b"a") == 0xCA978112CA1BBDCA - 2**64
    spaced = b'{"ts": %d, "code": "x", "symbology": "qr"}' % NOW
    (first,) = decode(TOPIC, pack(BOOT, 1, NOW, [scan()]), NOW).items
    (second,) = decode(TOPIC, pack(BOOT, 1, NOW, [spaced]), NOW).items
    assert first.event == second.event
    assert first.content != second.content


@pytest.mark.parametrize(
    "topic",
    [
        f"v1/dc-east/p{(partition(DEVICE) + 1) % 16}/{DEVICE}/scan",
        f"v1/dc-east/p{partition(DEVICE)}/{DEVICE}/other",
        "v1/dc-east/ack/station-1",
        TOPIC + "\x00",
    ],
)
def test_a_topic_that_is_not_the_devices_own_is_refused(topic: str) -> None:
    message = decode(topic, pack(BOOT, 3, NOW, [scan(), scan()]), NOW)
    assert [(fault.first, fault.last, fault.reason) for fault in message.faults] == [(3, 4, "TOPIC_INVALID")]
    assert message.device == ""


@pytest.mark.parametrize(("seq", "count"), [("0", "1"), ("-1", "1"), (str(2**62 + 1), "1"), ("1", "101")])
def test_impossible_numbers_give_no_identity(seq: str, count: str) -> None:
    payload = pack(BOOT, 5, NOW, [scan()]).replace(b" 5 1 ", f" {seq} {count} ".encode())
    message = decode(TOPIC, payload, NOW)
    assert [(fault.first, fault.reason) for fault in message.faults] == [(None, "HEADER_INVALID")]
    assert message.boot == ""


def test_a_last_will_is_news_and_no_event() -> None:
    topic = event_topic("dc-east", DEVICE, Kind.STATUS)
    message = decode(topic, pack(BOOT, 0, NOW, [b'{"state":"offline"}'], in_sequence=False), NOW)
    assert message.will == Status(state="offline")
    assert message.first is None
    elsewhere = decode(TOPIC, pack(BOOT, 0, NOW, [scan()], in_sequence=False), NOW)
    assert [fault.reason for fault in elsewhere.faults] == ["MESSAGE_INVALID"]


def test_an_event_of_another_kind_than_its_topic_is_refused() -> None:
    message = decode(TOPIC, pack(BOOT, 1, NOW, [encode_event(Environment(ts=NOW, temperature_c=1.0))]), NOW)
    assert [fault.reason for fault in message.faults] == ["MESSAGE_INVALID"]


def test_a_large_random_body_is_refused_whole() -> None:
    body = random.Random(3).randbytes(300_000)
    (fault,) = decode(TOPIC, pack(BOOT, 1, NOW, [body]), NOW).faults
    assert fault.reason == "MESSAGE_INVALID"
