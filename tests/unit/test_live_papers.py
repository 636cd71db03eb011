"""What papers explain of a receipt in the live system: the rule of the backtest, on a replay of custody."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest

from trace_service.domain.custody import replay
from trace_service.domain.events import Event, Site, Source, Step
from trace_service.domain.papers import Papers

START = datetime(2026, 1, 1, tzinfo=UTC)
NEVER = datetime.min.replace(tzinfo=UTC)
CASE = "/00/1"
SITES = {
    "dc": Site("dc", None, home=True, position=None),
    "S-A": Site("S-A", "A", home=False, position=None),
    "S-B": Site("S-B", "B", home=False, position=None),
}


def event(step: Step, day: float, site: str, **more: str) -> Event:
    source = Source("station", uuid.UUID(int=1), round(day * 1000))
    return Event(CASE, step, site, START + timedelta(days=day), source, more.get("dealer"), more.get("shipment"))


BROUGHT = [
    event(Step.SHIP, 1, "dc", dealer="A", shipment="SO-1"),
    event(Step.RECEIVE, 2, "S-A", shipment="SO-1"),
    event(Step.SHIP, 5, "S-A", dealer="B", shipment="SO-2"),
]


@pytest.mark.parametrize(
    ("day", "shipment", "dated", "explained"),
    [(30, "", True, False), (8, "", True, True), (30, "SO-1", True, True), (30, "", False, True)],
    ids=["sold back", "read late", "an old paper's", "a clock that is not believed"],
)
def test_goods_that_were_sent_on_need_a_paper_of_their_own_to_come_back(
    day: float, shipment: str, *, dated: bool, explained: bool
) -> None:
    receipt = event(Step.RECEIVE, day, "S-A", shipment=shipment)
    events = [*BROUGHT, receipt]
    papers = Papers(replay(events, SITES), {each.source: each for each in events}, SITES)
    sent_on = receipt.occurred_at - timedelta(days=7) if dated else NEVER
    assert papers.documents(receipt, "A", sent_on) is explained
    assert papers.documents(receipt, "B", sent_on), "it is on its way there"
    assert not papers.documents(receipt, "C", sent_on)


def test_a_paper_that_brings_goods_back_explains_that_they_are_there_again() -> None:
    back = [event(Step.RECEIVE, 6, "S-B", shipment="SO-2"), event(Step.SHIP, 20, "S-B", dealer="A", shipment="SO-3")]
    receipt = event(Step.RECEIVE, 30, "S-A")
    events = [*BROUGHT, *back, receipt]
    papers = Papers(replay(events, SITES), {each.source: each for each in events}, SITES)
    assert papers.documents(receipt, "A", receipt.occurred_at - timedelta(days=7))
