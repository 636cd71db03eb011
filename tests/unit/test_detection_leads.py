"""What is too weak for an alert is a lead: it names itself, ends by an answer or by time, and is never an alert."""

import pytest
from msgspec import structs

from trace_service.detection.changes import Raised
from trace_service.detection.engine import Engine
from trace_service.detection.network import Channel, Dealer, Network, Place, Territory
from trace_service.detection.observations import Goods, Position, Reviewed, Shipment, Sighting, Source
from trace_service.detection.settings import DAY_MS

START = 20_000 * DAY_MS
NETWORK = Network(
    Channel(
        dealers=(
            Dealer(id="D", parent=None, level=1, kind="city", lat=30.6, lon=104.1),
            Dealer(id="E", parent="D", level=2, kind="city", lat=32.0, lon=118.8),
        ),
        territories=(Territory(dealer="D", adcodes=("510100",), valid_from=0),),
        places=(
            Place(adcode="510100", lat=30.6, lon=104.1, population=9e6, capital=True),
            Place(adcode="320100", lat=32.0, lon=118.8, population=8e6, capital=True),
        ),
    )
)


def ship(key: str, number: int) -> Shipment:
    cases = tuple(f"{key}-{place}" for place in range(number))
    return Shipment(
        key=key, kind="order", sender="B", receiver="D", departed_at=START, received_at=START, items=number, cases=cases
    )


def see(case: str, shipment: str, day: int) -> Sighting:
    moment = START + day * DAY_MS
    return Sighting(
        key=case, event=case, kind="scan",
        goods=Goods(unit=case, case=case, dealer="D", shipment=shipment, shipped_at=START, chain=("D",)),
        position=Position(source=Source.GPS, lat=30.6, lon=104.1, accuracy_m=20.0),
        occurred_at=moment, received_at=moment, device=f"phone-{case}",
    )  # fmt: skip


@pytest.fixture
def engine() -> Engine:
    """An engine after half a year: of ten shipments half of the cases were seen, of one none."""
    engine = Engine(NETWORK)
    shipments = [ship(f"S{number}", 20) for number in range(10)]
    for each in [*shipments, ship("SILENT", 30)]:
        assert engine.observe(each) == []
    changes = [
        change
        for day in range(1, 60)
        for each in shipments
        if day <= 10  # half of its cases, one a day
        for change in engine.observe(see(each.cases[day], each.key, day))
    ]
    changes += engine.advance(START + 91 * DAY_MS)
    assert not any(isinstance(each, Raised) for each in changes)
    return engine


def test_a_shipment_of_which_nothing_was_seen_is_a_lead_and_no_alert(engine: Engine) -> None:
    assert list(engine.leads) == ["strip/SILENT"]
    claim = engine.leads["strip/SILENT"].claim
    assert (claim.detector, claim.dealer, claim.shipments) == ("label_removal", "D", ("SILENT",))
    assert claim.figures["seen"] == 0
    assert claim.figures["usual"] > 8


def test_a_dealer_who_has_nothing_to_compare_with_is_no_lead() -> None:
    engine = Engine(NETWORK)
    engine.observe(ship("ALONE", 30))
    engine.advance(START + 91 * DAY_MS)
    assert engine.leads == {}


def test_goods_that_were_passed_on_are_not_missed_where_their_paper_came_last(engine: Engine) -> None:
    cases = tuple(f"ON-{place}" for place in range(30))
    came = structs.replace(ship("CAME", 30), cases=cases, departed_at=START + 92 * DAY_MS)
    passed = structs.replace(came, key="ON", sender="D", receiver="E", departed_at=START + 95 * DAY_MS)
    for each, day in ((passed, 96), (came, 99)):
        engine.observe(structs.replace(each, received_at=START + day * DAY_MS))
    for number in range(10):
        for each in (ship(f"LATER{number}", 20),):
            later = structs.replace(each, departed_at=START + 96 * DAY_MS, received_at=START + 99 * DAY_MS)
            engine.observe(later)
            for case in later.cases[:10]:
                engine.observe(see(case, later.key, 110))
    engine.advance(START + 200 * DAY_MS)
    assert "strip/CAME" not in engine.leads


def test_papers_that_name_days_alone_count_in_the_order_in_which_they_came() -> None:
    engine = Engine(NETWORK)
    first, *others = (ship(f"S{number}", 20) for number in range(10))
    came, passed = ship("Z-CAME", 30), structs.replace(ship("Z-CAME", 30), key="A-ON", sender="D", receiver="E")
    for each in (first, *others, came, passed):
        engine.observe(each)
    for each in (first, *others):
        for case in each.cases[:10]:
            engine.observe(see(case, each.key, 20))
    engine.advance(START + 91 * DAY_MS)
    assert engine.leads == {}


def test_a_shipment_that_is_told_with_each_case_that_joins_it_counts_once() -> None:
    whole, told = Engine(NETWORK), Engine(NETWORK)
    for number in range(10):
        paper = ship(f"S{number}", 20)
        whole.observe(paper)
        for joined in range(1, 21):
            told.observe(structs.replace(paper, items=joined, cases=paper.cases[:joined]))
        for engine in (whole, told):
            for case in paper.cases[:10]:
                engine.observe(see(case, paper.key, 10 + number))
    for engine in (whole, told):
        engine.observe(structs.replace(ship("SILENT", 30), received_at=START + 19 * DAY_MS))
        engine.advance(START + 111 * DAY_MS)
    assert told.habits.seen_share == whole.habits.seen_share
    assert list(told.leads) == ["strip/SILENT"]
    assert told.leads["strip/SILENT"].claim == whole.leads["strip/SILENT"].claim


def test_an_answer_ends_a_lead(engine: Engine) -> None:
    answer = Reviewed(key="strip/SILENT", number="", confirmed=False, received_at=START + 92 * DAY_MS)
    assert engine.observe(answer) == []
    assert engine.leads == {}


def test_a_lead_ends_after_ninety_days(engine: Engine) -> None:
    noted = engine.leads["strip/SILENT"].noted_at
    engine.advance(noted + 90 * DAY_MS)
    assert engine.leads
    engine.advance(noted + 92 * DAY_MS)
    assert engine.leads == {}
