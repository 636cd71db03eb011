"""What a dealer's shop took in and is seen elsewhere was carried there by whoever bought it."""

from msgspec import structs

from trace_service.detection.changes import Raised
from trace_service.detection.engine import Engine
from trace_service.detection.network import Channel, Dealer, Network, Place, Store, Territory
from trace_service.detection.observations import Goods, Movement, Position, Sighting, Source
from trace_service.detection.settings import DAY_MS, Settings
from trace_service.detection.sightings import Sightings

HOME, AWAY = "130100", "610100"
HOME_AT, AWAY_AT = (38.0, 114.5), (34.3, 108.9)
CHANNEL = Channel(
    dealers=(
        Dealer(id="HQ", parent=None, level=0, kind="brand", lat=39.9, lon=116.4),
        Dealer(id="D1", parent="HQ", level=1, kind="city", lat=38.0, lon=114.5),
        Dealer(id="D2", parent="HQ", level=1, kind="city", lat=34.3, lon=108.9),
    ),
    territories=(
        Territory(dealer="D1", adcodes=(HOME,), valid_from=0),
        Territory(dealer="D2", adcodes=(AWAY,), valid_from=0),
    ),
    places=(
        Place(adcode=HOME, lat=38.0, lon=114.5, population=1e7),
        Place(adcode=AWAY, lat=34.3, lon=108.9, population=1e7),
    ),
    stores=(
        Store(id="S1", dealer="D1", lat=38.0, lon=114.5, adcode=HOME, valid_from=0),
        Store(id="S2", dealer="D2", lat=34.3, lon=108.9, adcode=AWAY, valid_from=0),
    ),
)


def goods(case: int) -> Goods:
    return Goods(unit=f"item {case}", case=f"case {case}", dealer="D1", shipment=f"SH{case}", chain=("D1",))


def scan(case: int, day: int, at: tuple[float, float] = AWAY_AT) -> Sighting:
    return Sighting(
        key=f"scan {case}", event=f"event {case}", kind="scan", goods=goods(case), device=f"phone {case}",
        position=Position(source=Source.GPS, lat=at[0], lon=at[1], accuracy_m=20),
        occurred_at=day * DAY_MS, received_at=day * DAY_MS,
    )  # fmt: skip


def receipt(case: int, day: int, place: str = "S1", kind: str = "receive") -> Movement:
    return Movement(
        key=f"receipt {case}", event=f"receipt {case}", kind=kind, goods=goods(case), site_dealer="D1",
        position=Position(source=Source.STORE, lat=38.0, lon=114.5, place=place),
        occurred_at=day * DAY_MS, received_at=day * DAY_MS,
    )  # fmt: skip


def pieces(sightings: Sightings) -> int:
    return sum(len(cell.pieces) for cell in sightings.cells.values())


def test_a_case_that_a_shop_had_is_no_evidence_whichever_is_known_first() -> None:
    sightings = Sightings(Network(CHANNEL), Settings())
    for number in range(4):
        sightings.take(scan(number, 20 + 7 * number))
    assert pieces(sightings) == 4
    assert sightings.stock(receipt(0, 10)), "a late upload changes what was found"
    assert pieces(sightings) == 3
    sightings.stock(receipt(4, 30))
    sightings.take(scan(4, 60))
    assert pieces(sightings) == 3
    assert not sightings.stock(receipt(0, 10)), "the same again is no news"


def test_a_warehouse_another_dealers_shop_and_a_shipment_say_nothing() -> None:
    sightings = Sightings(Network(CHANNEL), Settings())
    for number in range(3):
        sightings.take(scan(number, 20 + 7 * number))
    assert not sightings.stock(receipt(0, 10, place="D1"))
    assert not sightings.stock(receipt(1, 10, place="S2"))
    assert not sightings.stock(receipt(2, 10, kind="ship"))
    assert pieces(sightings) == 3


def test_a_scan_that_is_taken_back_and_comes_again_is_judged_anew() -> None:
    sightings = Sightings(Network(CHANNEL), Settings())
    sightings.take(scan(0, 20))
    sightings.stock(receipt(0, 10))
    sightings.forget("scan 0")
    sightings.take(scan(0, 21))
    assert pieces(sightings) == 0


def test_a_receipt_that_is_taken_back_or_corrected_hides_nothing() -> None:
    sightings = Sightings(Network(CHANNEL), Settings())
    for number in range(3):
        sightings.take(scan(number, 20 + 7 * number))
        sightings.stock(receipt(number, 10))
    twice = structs.replace(receipt(2, 11), key="another")
    sightings.stock(twice)
    assert pieces(sightings) == 0
    assert sightings.unstock("receipt 0"), "it did not happen"
    assert sightings.stock(receipt(1, 10, place="D1")), "it was the warehouse"
    assert not sightings.unstock("receipt 2"), "another receipt still stands"
    assert pieces(sightings) == 2
    assert sightings.unstock("another")
    assert pieces(sightings) == 3
    assert sightings.carried_share == 0


def test_a_shop_that_books_in_what_is_sold_elsewhere_hides_a_few_cases_and_not_many() -> None:
    start = 19_700
    elsewhere = [
        Place(adcode=f"{province}{city:02d}00", lat=24.0 + province / 6, lon=104.0 + 2 * city, population=1e7)
        for province in (32, 34, 36, 42, 44, 50) for city in range(1, 9)
    ]  # fmt: skip

    def kinds(number: int) -> list[str]:
        engine = Engine(Network(structs.replace(CHANNEL, places=(*CHANNEL.places, *elsewhere))))
        stream = [scan(1000 + each, start + each // 4, HOME_AT) for each in range(400)]
        stream += [scan(each, start + 20 + 3 * each) for each in range(number)]
        receipts = [receipt(each, start + 10) for each in range(number)]
        found = []
        for observation in sorted([*stream, *receipts], key=lambda each: each.received_at):
            found += [change for change in engine.observe(observation) if isinstance(change, Raised)]
        return [change.alert.kind for change in found if change.alert.reason["parameters"]["booked"]]

    assert kinds(4) == []
    assert kinds(30) == ["drip"]
