import uuid
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trace_service.domain.custody import Custody, replay
from trace_service.domain.events import Event, Refusal, Site, Source, Step
from trace_service.domain.scene import CLOCK_TOLERANCE
from trace_service.domain.states import Life

START = datetime(2026, 1, 1, tzinfo=UTC)
SITES = {
    "factory": Site("factory", None, home=True, position=None),
    "dc": Site("dc", None, home=True, position=None),
    "S-A": Site("S-A", "A", home=False, position=None),
    "S-B": Site("S-B", "B", home=False, position=None),
}
ITEM, CASE, OTHER_CASE, PALLET = "/01/09506000134352/21/X", "/00/1", "/00/2", "/00/3"


def at(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


def event(step: Step, minutes: float, unit: str = CASE, site: str = "dc", **more: str) -> Event:
    source = Source("station", uuid.UUID(int=1), int(minutes * 1000) + hash_of(unit))
    shipment = more.get("shipment", "SO-1") if step is Step.SHIP else None
    said = (more.get("dealer"), shipment, more.get("parent"))
    return Event(unit, step, site, at(minutes), source, *said, verified=unit == ITEM)


def hash_of(unit: str) -> int:
    return [ITEM, CASE, OTHER_CASE, PALLET].index(unit)


def reasons(custody: Custody) -> list[Refusal]:
    return list(custody.refused.values())


def test_an_item_inherits_the_dealer_of_its_case_and_pallet_from_the_shipment_on() -> None:
    custody = replay(
        [
            event(Step.PACK, 0, ITEM, "factory", parent=CASE),
            event(Step.PACK, 10, parent=PALLET),
            event(Step.SHIP, 60, PALLET, dealer="A"),
        ],
        SITES,
    )
    assert custody.entitled_at(ITEM, at(20)) is None
    held = custody.entitled_at(ITEM, at(90))
    assert held is not None
    assert held.dealer == "A"
    assert custody.parent_at(ITEM, at(90)) == CASE
    assert custody.state_at(ITEM, at(90)).path == (CASE, PALLET)


def test_a_scan_stamped_shortly_before_the_shipment_still_finds_its_dealer() -> None:
    custody = replay([event(Step.SHIP, 60, dealer="A")], SITES)
    early = at(60) - CLOCK_TOLERANCE
    assert custody.entitled_at(CASE, early) is not None
    assert custody.entitled_at(CASE, early - timedelta(seconds=1)) is None


def test_an_item_packed_into_a_second_case_is_refused_and_stays_where_it_was() -> None:
    custody = replay(
        [
            event(Step.PACK, 0, ITEM, "factory", parent=CASE),
            event(Step.PACK, 1, ITEM, "factory", parent=CASE),
            event(Step.PACK, 2, ITEM, "factory", parent=OTHER_CASE),
        ],
        SITES,
    )
    assert reasons(custody) == [Refusal.ALREADY_PACKED]
    assert [packing.parent for packing in custody.packings(ITEM)] == [CASE]


def test_a_unit_cannot_be_packed_into_itself_nor_in_a_circle() -> None:
    assert reasons(replay([event(Step.PACK, 0, parent=CASE)], SITES)) == [Refusal.PARENT_INVALID]
    circle = [
        event(Step.PACK, 0, parent=PALLET),
        event(Step.PACK, 1, PALLET, parent=OTHER_CASE),
        event(Step.PACK, 2, OTHER_CASE, parent=CASE),
    ]
    custody = replay(circle, SITES)
    assert reasons(custody) == [Refusal.PACKING_CYCLE]
    assert custody.entitled_at(CASE, at(10)) is None


def test_shipping_twice_is_refused_unless_it_is_the_same_shipment_read_again() -> None:
    ship = event(Step.SHIP, 0, dealer="A")
    assert not reasons(replay([ship, event(Step.SHIP, 5, dealer="A")], SITES))
    custody = replay([ship, event(Step.SHIP, 5, dealer="B", shipment="SO-2")], SITES)
    assert reasons(custody) == [Refusal.ALREADY_SHIPPED]
    assert [each.dealer for each in custody.entitlements(CASE)] == ["A"]


def test_a_dealer_may_ship_on_what_it_received_and_nobody_else_may() -> None:
    received = [event(Step.SHIP, 0, dealer="A"), event(Step.RECEIVE, 60, site="S-A")]
    onward = replay([*received, event(Step.SHIP, 90, site="S-A", dealer="B", shipment="SO-2")], SITES)
    assert [(each.dealer, each.valid_to) for each in onward.entitlements(CASE)] == [("A", at(90)), ("B", None)]
    stolen = replay([*received, event(Step.SHIP, 90, site="S-B", dealer="B", shipment="SO-2")], SITES)
    assert reasons(stolen) == [Refusal.ALREADY_SHIPPED]


def test_after_a_return_nobody_is_entitled_until_the_next_shipment() -> None:
    custody = replay(
        [
            event(Step.SHIP, 0, dealer="A"),
            event(Step.RECEIVE, 60, site="dc"),
            event(Step.SHIP, 120, dealer="B", shipment="SO-2"),
        ],
        SITES,
    )
    held = [custody.entitled_at(CASE, at(minutes)) for minutes in (30, 90, 150)]
    assert [each.dealer if each else "nobody yet" for each in held] == ["A", None, "B"]


def test_a_case_on_a_pallet_does_not_leave_alone() -> None:
    packed = event(Step.PACK, 0, parent=PALLET)
    assert reasons(replay([packed, event(Step.SHIP, 5, dealer="A")], SITES)) == [Refusal.INSIDE_PARENT]


def test_a_shipment_to_a_stranger_binds_nobody() -> None:
    custody = replay([event(Step.SHIP, 0)], SITES)
    assert reasons(custody) == [Refusal.UNKNOWN_DEALER]
    assert not custody.entitlements(CASE)


def test_what_is_taken_out_of_a_case_stays_bound_to_the_case_s_dealer() -> None:
    custody = replay(
        [
            event(Step.PACK, 0, ITEM, "factory", parent=CASE),
            event(Step.SHIP, 30, dealer="A"),
            event(Step.RECEIVE, 60, site="S-A"),
            event(Step.UNPACK, 70, ITEM, "S-A"),
            event(Step.SHIP, 80, CASE, "S-A", dealer="B", shipment="SO-2"),
        ],
        SITES,
    )
    assert not reasons(custody)
    held = custody.entitled_at(ITEM, at(90))
    assert held is not None
    assert held.dealer == "A"
    assert custody.state_at(ITEM, at(90)).path == ()


def test_a_recalled_product_stays_even_inside_a_pallet_that_was_packed_before() -> None:
    packed = [event(Step.PACK, 0, ITEM, "factory", parent=CASE), event(Step.PACK, 1, parent=PALLET)]
    recall = Event("/01/09506000134352", Step.RECALL, "dc", at(5), Source("erp", uuid.UUID(int=2), 1))
    ship = event(Step.SHIP, 9, PALLET, dealer="A")
    contents = {PALLET: {"/01/09506000134352"}}
    assert reasons(replay([*packed, recall, ship], SITES, contents)) == [Refusal.RECALLED]
    assert not reasons(replay([*packed, ship], SITES, contents))


def test_a_correction_takes_an_event_back_as_if_it_had_not_been() -> None:
    wrong, right = event(Step.SHIP, 0, dealer="B"), event(Step.SHIP, 9, dealer="A", shipment="SO-2")
    assert reasons(replay([wrong, right], SITES)) == [Refusal.ALREADY_SHIPPED]
    source = Source("erp", uuid.UUID(int=2), 1)
    correction = Event(CASE, Step.CORRECT, "dc", at(60), source, reason="did_not_occur", corrects=wrong.source)
    mended = replay([correction, wrong, right], SITES)
    assert not reasons(mended)
    assert [each.dealer for each in mended.entitlements(CASE)] == ["A"]
    assert reasons(replay([right, correction], SITES)) == [Refusal.CORRECTS_NOTHING]


def test_a_transfer_binds_only_once_the_brand_approves() -> None:
    held = [event(Step.SHIP, 0, dealer="A"), event(Step.RECEIVE, 10, site="S-A")]
    asked = Event(CASE, Step.TRANSFER_REQUEST, "S-A", at(20), Source("erp", uuid.UUID(int=2), 1), "B", "T-1")
    approved = Event(CASE, Step.TRANSFER_APPROVE, "dc", at(30), Source("erp", uuid.UUID(int=2), 2), shipment="T-1")
    custody = replay([*held, asked, approved, event(Step.RECEIVE, 40, site="S-B")], SITES)
    assert not reasons(custody)
    dealers = [custody.entitled_at(CASE, at(minutes)) for minutes in (25, 35, 45)]
    assert [each.dealer if each else None for each in dealers] == ["A", "B", "B"]
    by_dealer = Event(CASE, Step.TRANSFER_APPROVE, "S-B", at(30), Source("erp", uuid.UUID(int=2), 2), shipment="T-1")
    assert reasons(replay([*held, asked, by_dealer], SITES)) == [Refusal.NOT_AUTHORISED]


def test_what_is_sold_comes_back_only_to_its_seller() -> None:
    sold = [
        event(Step.PACK, 0, ITEM, "factory", parent=CASE),
        event(Step.SHIP, 30, dealer="A"),
        event(Step.RECEIVE, 60, site="S-A"),
        event(Step.SELL, 70, ITEM, "S-A"),
    ]
    assert replay(sold, SITES).state_at(ITEM, at(80)).life is Life.SOLD
    assert reasons(replay([*sold, event(Step.RETURN, 90, ITEM, "S-B")], SITES)) == [Refusal.ALREADY_SOLD]
    back = replay([*sold, event(Step.RETURN, 90, ITEM, "S-A")], SITES)
    assert back.state_at(ITEM, at(95)).life is Life.ACTIVE


EVENTS = st.builds(
    lambda step, minutes, site, dealer, parent: event(
        step, minutes, CASE, site, **{k: v for k, v in (("dealer", dealer), ("parent", parent)) if v}
    ),
    st.sampled_from([Step.PACK, Step.SHIP, Step.RECEIVE, Step.SELL]),
    st.integers(0, 50),
    st.sampled_from(sorted(SITES)),
    st.sampled_from(["", "A", "B"]),
    st.sampled_from(["", PALLET, OTHER_CASE]),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(EVENTS, max_size=8, unique_by=lambda each: each.source), st.randoms())
def test_the_order_of_arrival_changes_nothing(events: list[Event], random: object) -> None:
    shuffled = list(events)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    first, second = replay(shuffled, SITES), replay(events, SITES)
    assert first.refused == second.refused
    assert (first.packings(CASE), first.entitlements(CASE)) == (second.packings(CASE), second.entitlements(CASE))


@settings(max_examples=200, deadline=None)
@given(st.lists(EVENTS, max_size=8, unique_by=lambda each: each.source))
def test_at_most_one_dealer_and_one_parent_hold_a_unit_at_any_time(events: list[Event]) -> None:
    custody = replay(events, SITES)
    for spans in (custody.entitlements(CASE), custody.packings(CASE)):
        for earlier, later in pairwise(spans):
            assert earlier.valid_to is not None
            assert earlier.valid_to <= later.valid_from


@pytest.mark.parametrize("step", [Step.SELL, Step.INSPECT, Step.COMMISSION])
def test_looking_at_a_unit_moves_nothing(step: Step) -> None:
    shipped = event(Step.SHIP, 0, dealer="A")
    assert replay([shipped, event(step, 5)], SITES).entitlements(CASE) == replay([shipped], SITES).entitlements(CASE)
