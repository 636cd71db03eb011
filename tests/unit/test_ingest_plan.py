from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from contracts.messages import Scan, Status, encode_event, pack
from contracts.topics import Kind, event_topic
from ingest.landing.decode import decode
from ingest.landing.plan import Address, Key, Past, Plan, Planner
from ingest.landing.ranges import count, intersect, merge, multirange, overlaps, subtract

NOW = 1_800_000_000_000
BOOT = "0123456789abcdef" * 2
DEVICE, SITE = "station-1", "dc-east"
ADDRESS = Address(SITE, DEVICE, BOOT)

numbers = st.lists(st.tuples(st.integers(1, 60), st.integers(0, 9)).map(lambda pair: (pair[0], sum(pair))))


@given(numbers)
def test_merged_ranges_hold_the_same_numbers_without_touching(ranges: list[tuple[int, int]]) -> None:
    merged = merge(ranges)
    members = {number for first, last in ranges for number in range(first, last + 1)}
    assert [number for first, last in merged for number in range(first, last + 1)] == sorted(members)
    assert all(early[1] + 1 < late[0] for early, late in pairwise(merged))


@given(numbers, st.integers(1, 70), st.integers(0, 9))
def test_overlap_agrees_with_sets(ranges: list[tuple[int, int]], first: int, more: int) -> None:
    members = {number for first, last in ranges for number in range(first, last + 1)}
    expected = bool(members & set(range(first, first + more + 1)))
    assert overlaps(merge(ranges), first, first + more) == expected


@given(numbers, numbers)
def test_differences_and_intersections_agree_with_sets(
    ranges: list[tuple[int, int]], others: list[tuple[int, int]]
) -> None:
    ours = {number for first, last in ranges for number in range(first, last + 1)}
    theirs = {number for first, last in others for number in range(first, last + 1)}
    assert subtract(ranges, others) == merge((number, number) for number in ours - theirs)
    assert intersect(ranges, others) == merge((number, number) for number in ours & theirs)
    assert count(merge(ranges)) == len(ours)


def test_multiranges_are_written_half_open() -> None:
    assert multirange([(1, 5), (7, 7)]) == "{[1,6),[7,8)}"


def plan(
    deliveries: list[tuple[int, list[bytes]]], history: dict[Key, Past] | None = None, *, replay: bool = False
) -> Plan:
    planner = Planner(history or {}, replay=replay)
    topic = event_topic(SITE, DEVICE, Kind.SCAN)
    for seq, raws in deliveries:
        planner.add(decode(topic, pack(BOOT, seq, NOW, raws), NOW), registered=True)
    return planner.plan


def scan(code: str) -> bytes:
    return encode_event(Scan(ts=NOW, code=code, symbology="qr"))


def stored(plan: Plan) -> list[int]:
    return [item.seq for _, items in plan.new for item in items]


@given(
    st.lists(
        st.tuples(st.integers(1, 12), st.lists(st.sampled_from(["good", "bad"]), min_size=1, max_size=4)), min_size=1
    )
)
def test_in_any_mix_of_copies_each_number_is_stored_once_and_always_answered(
    deliveries: list[tuple[int, list[str]]],
) -> None:
    whole = plan([(seq, [scan(f"{kind}") if kind == "good" else b"{}" for kind in kinds]) for seq, kinds in deliveries])
    sent = {number for seq, kinds in deliveries for number in range(seq, seq + len(kinds))}
    ack = whole.replies[ADDRESS].ack(BOOT)
    committed = {seq for first, last in ack.committed for seq in range(first, last + 1)}
    refused = {seq for refusal in ack.refused for seq in range(refusal.first, refusal.last + 1)}
    assert len(stored(whole)) == len(set(stored(whole)))
    assert committed | refused == sent
    assert not committed & refused
    assert len(refused) == sum(refusal.last - refusal.first + 1 for refusal in ack.refused)
    assert set(stored(whole)) <= committed
    assert merge(whole.received[DEVICE, BOOT]) == merge((seq, seq) for seq in sent)


def test_of_two_contents_in_one_batch_the_first_is_committed_and_the_second_a_letter() -> None:
    whole = plan([(1, [scan("first"), scan("other")]), (1, [scan("second")])])
    ack = whole.replies[ADDRESS].ack(BOOT)
    assert (ack.committed, ack.refused) == (((1, 2),), ())
    assert [item.raw for _, items in whole.new for item in items] == [scan("first"), scan("other")]
    assert [(fault.first, fault.reason) for _, fault in whole.letters] == [(1, "CONTENT_MISMATCH")]


def test_a_number_known_to_be_stored_is_answered_from_its_content() -> None:
    item = decode(event_topic(SITE, DEVICE, Kind.SCAN), pack(BOOT, 1, NOW, [scan("a")]), NOW).items[0]
    history = {Key(DEVICE, BOOT, 1): Past(item.content, None)}
    same, other = plan([(1, [scan("a")])], history), plan([(1, [scan("b")])], history)
    assert same.replies[ADDRESS].ack(BOOT).committed == ((1, 1),)
    assert [refusal.reason for refusal in other.replies[ADDRESS].ack(BOOT).refused] == ["CONTENT_MISMATCH"]
    assert stored(same) == stored(other) == []


def test_a_refusal_is_repeated_without_another_letter_unless_it_is_replayed() -> None:
    history = {Key(DEVICE, BOOT, 1): Past(None, "CHECKSUM")}
    again = plan([(1, [scan("a")])], history)
    assert [refusal.reason for refusal in again.replies[ADDRESS].ack(BOOT).refused] == ["CHECKSUM"]
    assert again.letters == []
    assert stored(plan([(1, [scan("a")])], history, replay=True)) == [1]


def test_a_damaged_copy_of_a_stored_event_does_not_refuse_it() -> None:
    history = {Key(DEVICE, BOOT, 1): Past(42, None)}
    damaged = plan([(1, [b"not json"])], history)
    assert damaged.replies[ADDRESS].ack(BOOT).committed == ((1, 1),)
    assert damaged.letters == []


def test_tombstones_count_as_received() -> None:
    status = encode_event(Status(ts=NOW, state="online", dropped=((2, 8),)))
    planner = Planner({})
    planner.add(decode(event_topic(SITE, DEVICE, Kind.STATUS), pack(BOOT, 9, NOW, [status]), NOW), registered=True)
    assert merge(planner.plan.received[DEVICE, BOOT]) == [(2, 9)]
    assert planner.plan.replies[ADDRESS].ack(BOOT).committed == ((9, 9),)
