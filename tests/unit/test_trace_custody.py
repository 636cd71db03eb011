import uuid
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trace_service.domain.custody import CLOCK_TOLERANCE, Custody, replay
from trace_service.domain.events import Event, History, Refusal, Site, Source, Step

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
    return Event(unit, step, site, at(minutes), source, more.get("dealer"), shipment, more.get("parent"))


def hash_of(unit: str) -> int:
    return [ITEM, CASE, OTHER_CASE, PALLET].index(unit)


def reasons(history: History) -> list[Refusal]:
    return list(history.refused.values())


def test_an_item_inherits_the_dealer_of_its_case_and_pallet_from_the_shipment_on() -> None:
    custody = Custody(
        {
            ITEM: replay([event(Step.PACK, 0, ITEM, "factory", parent=CASE)], SITES),
            CASE: replay([event(Step.PACK, 10, parent=PALLET)], SITES),
            PALLET: replay([event(Step.SHIP, 60, PALLET, dealer="A")], SITES),
        }
    )
    assert custody.entitled_at(ITEM, at(20)) is None
    held = custody.entitled_at(ITEM, at(90))
    assert held is not None
    assert held.dealer == "A"
    assert custody.parent_at(ITEM, at(90)) == CASE


def test_a_scan_stamped_shortly_before_the_shipment_still_finds_its_dealer() -> None:
    custody = Custody({CASE: replay([event(Step.SHIP, 60, dealer="A")], SITES)})
    early = at(60) - CLOCK_TOLERANCE
    assert custody.entitled_at(CASE, early) is not None
    assert custody.entitled_at(CASE, early - timedelta(seconds=1)) is None


def test_an_item_packed_into_a_second_case_is_refused_and_stays_where_it_was() -> None:
    history = replay(
        [
            event(Step.PACK, 0, ITEM, "factory", parent=CASE),
            event(Step.PACK, 1, ITEM, "factory", parent=CASE),
            event(Step.PACK, 2, ITEM, "factory", parent=OTHER_CASE),
        ],
        SITES,
    )
    assert reasons(history) == [Refusal.ALREADY_PACKED]
    assert [packing.parent for packing in history.packings] == [CASE]


def test_a_unit_cannot_be_packed_into_itself() -> None:
    assert reasons(replay([event(Step.PACK, 0, parent=CASE)], SITES)) == [Refusal.PARENT_INVALID]


def test_shipping_twice_is_refused_unless_it_is_the_same_shipment_read_again() -> None:
    ship = event(Step.SHIP, 0, dealer="A")
    assert not reasons(replay([ship, event(Step.SHIP, 5, dealer="A")], SITES))
    history = replay([ship, event(Step.SHIP, 5, dealer="B", shipment="SO-2")], SITES)
    assert reasons(history) == [Refusal.ALREADY_SHIPPED]
    assert [each.dealer for each in history.entitlements] == ["A"]


def test_a_dealer_may_ship_on_what_it_received_and_nobody_else_may() -> None:
    received = [event(Step.SHIP, 0, dealer="A"), event(Step.RECEIVE, 60, site="S-A")]
    onward = replay([*received, event(Step.SHIP, 90, site="S-A", dealer="B", shipment="SO-2")], SITES)
    assert [(each.dealer, each.valid_to) for each in onward.entitlements] == [("A", at(90)), ("B", None)]
    stolen = replay([*received, event(Step.SHIP, 90, site="S-B", dealer="B", shipment="SO-2")], SITES)
    assert reasons(stolen) == [Refusal.ALREADY_SHIPPED]


def test_after_a_return_nobody_is_entitled_until_the_next_shipment() -> None:
    history = replay(
        [
            event(Step.SHIP, 0, dealer="A"),
            event(Step.RECEIVE, 60, site="dc"),
            event(Step.SHIP, 120, dealer="B", shipment="SO-2"),
        ],
        SITES,
    )
    custody = Custody({CASE: history})
    held = [custody.entitled_at(CASE, at(minutes)) for minutes in (30, 90, 150)]
    assert [each.dealer if each else "nobody yet" for each in held] == ["A", None, "B"]


def test_a_case_on_a_pallet_does_not_leave_alone() -> None:
    packed = event(Step.PACK, 0, parent=PALLET)
    assert reasons(replay([packed, event(Step.SHIP, 5, dealer="A")], SITES)) == [Refusal.INSIDE_PARENT]


def test_a_shipment_to_a_stranger_binds_nobody() -> None:
    history = replay([event(Step.SHIP, 0)], SITES)
    assert reasons(history) == [Refusal.UNKNOWN_DEALER]
    assert not history.entitlements


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
    assert replay(shuffled, SITES) == replay(events, SITES)


@settings(max_examples=200, deadline=None)
@given(st.lists(EVENTS, max_size=8, unique_by=lambda each: each.source))
def test_at_most_one_dealer_and_one_parent_hold_a_unit_at_any_time(events: list[Event]) -> None:
    history = replay(events, SITES)
    for spans in (history.entitlements, history.packings):
        for earlier, later in pairwise(spans):
            assert earlier.valid_to is not None
            assert earlier.valid_to <= later.valid_from
    assert all(isinstance(why, Refusal) for why in history.refused.values())


def test_containment_that_runs_in_a_circle_ends() -> None:
    custody = Custody(
        {
            CASE: replay([event(Step.PACK, 0, parent=PALLET)], SITES),
            PALLET: replay([event(Step.PACK, 0, PALLET, parent=CASE)], SITES),
        }
    )
    assert custody.entitled_at(CASE, at(10)) is None


@pytest.mark.parametrize("step", [Step.SELL, Step.INSPECT, Step.COMMISSION])
def test_looking_at_a_unit_moves_nothing(step: Step) -> None:
    shipped = event(Step.SHIP, 0, dealer="A")
    assert replay([shipped, event(step, 5)], SITES).entitlements == replay([shipped], SITES).entitlements
