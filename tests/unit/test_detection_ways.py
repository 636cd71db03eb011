"""Goods on their way: far off it, beside it, and arrived before anybody noticed."""

import pytest
from engine_streams import NETWORK, goods, movement, ms, paper, play, sighting
from msgspec import structs
from test_detection_shops import CHANNEL

from trace_service.detection.detectors.offroute import OffRouteDetector
from trace_service.detection.observations import (
    Observation,
    Position,
    Source,
)
from trace_service.detection.settings import Settings

FAR = Position(source=Source.GPS, lat=26.0, lon=119.3, accuracy_m=30)


NEAR = Position(source=Source.GPS, lat=36.2, lon=111.9, accuracy_m=30)


def stops(positions: list[Position], day: float = 2) -> list[Observation]:
    way = paper("SH1", range(9), 1, sender="D1", receiver="D2")
    return [
        way,
        *(
            sighting(f"stop {n}", goods(n), day, "inspect", position=position, device=f"I{n}")
            for n, position in enumerate(positions)
        ),
    ]


def test_goods_far_off_their_way_are_told_and_those_beside_it_are_not() -> None:
    [alert], _, _ = play(OffRouteDetector(NETWORK, Settings()), stops([FAR]), 20)
    assert (alert.kind, alert.dealer, alert.shipments) == ("offroute", "D2", ("SH1",))
    assert play(OffRouteDetector(NETWORK, Settings()), stops([NEAR, NEAR, NEAR]), 20)[0] == []


def test_what_had_come_before_it_was_seen_is_off_no_way_even_if_the_receipt_is_late() -> None:
    receipt = structs.replace(movement("r", goods(0), 4, "receive", site="D2", shipment="SH1"), received_at=ms(15))
    raised, retracted, _ = play(OffRouteDetector(NETWORK, Settings()), [*stops([FAR], 5), receipt], 20)
    assert len(raised) == len(retracted) == 1
    prompt = structs.replace(receipt, received_at=ms(4))
    assert play(OffRouteDetector(NETWORK, Settings()), [*stops([FAR], 5), prompt], 20)[0] == []


def test_what_its_receiver_sent_on_had_come_though_no_reader_noticed() -> None:
    onward = structs.replace(paper("SH2", range(9), 3, sender="D2", receiver="D1"), received_at=ms(12))
    raised, retracted, _ = play(OffRouteDetector(NETWORK, Settings()), [*stops([FAR], 5), onward], 20)
    assert len(raised) == len(retracted) == 1
    after = structs.replace(onward, departed_at=ms(6))
    assert play(OffRouteDetector(NETWORK, Settings()), [*stops([FAR], 5), after], 20)[1] == []


@pytest.mark.parametrize("onward", [{"kind": "delivery", "receiver": "shop"}, {"kind": "order", "receiver": "D9"}])
def test_what_was_sent_on_had_come_whichever_of_its_papers_is_told_first(onward: dict[str, str]) -> None:
    way, seen = stops([FAR], 5)
    late = structs.replace(way, received_at=ms(4))
    sent = paper("SH2", range(9), 3, sender="D2", **onward)
    assert play(OffRouteDetector(NETWORK, Settings()), [sent, late, seen], 20)[0] == []
    assert play(OffRouteDetector(NETWORK, Settings()), [way, sent, seen], 20)[0] == []
    again = structs.replace(paper("SH3", range(9), 8, sender="D2", **onward), received_at=ms(3.5))
    assert play(OffRouteDetector(NETWORK, Settings()), [again, sent, late, seen], 20)[0] == [], "the first counts"
    for other in (structs.replace(sent, departed_at=ms(6)), structs.replace(sent, sender="D3"),
                  structs.replace(sent, departed_at=ms(0.5)), structs.replace(sent, cases=("case 99",))):  # fmt: skip
        assert len(play(OffRouteDetector(NETWORK, Settings()), [other, late, seen], 20)[0]) == 1


def test_a_paper_that_names_more_cases_when_it_is_told_again_may_show_that_it_had_come() -> None:
    way, seen = stops([FAR], 5)
    sent = paper("SH2", [99], 3, sender="D2", kind="delivery", receiver="shop")
    more = structs.replace(paper("SH1", [*range(9), 99], 1, sender="D1", receiver="D2"), received_at=ms(15))
    raised, retracted, _ = play(OffRouteDetector(NETWORK, Settings()), [way, sent, seen, more], 20)
    assert len(raised) == len(retracted) == 1


def test_a_paper_that_is_told_again_keeps_the_receipt_that_had_come_between() -> None:
    receipt = movement("r", goods(0), 4, "receive", site="D2", shipment="SH1")
    stream = [*stops([], 1), receipt, structs.replace(stops([])[0], received_at=ms(4.5)), *stops([FAR], 5)[1:]]
    assert play(OffRouteDetector(NETWORK, Settings()), stream, 20)[0] == []


def test_a_case_that_its_paper_names_no_more_is_on_no_way_now_or_when_the_way_is_forgotten() -> None:
    way, seen = stops([FAR])
    without = structs.replace(paper("SH1", range(1, 9), 1, sender="D1", receiver="D2"), received_at=ms(1.5))
    assert play(OffRouteDetector(NETWORK, Settings()), [way, without, seen], 20)[0] == []
    long_after = structs.replace(seen, occurred_at=ms(300), received_at=ms(300))
    assert play(OffRouteDetector(NETWORK, Settings()), [way, without, long_after], 310)[0] == []


def test_goods_in_a_shop_of_the_receivers_own_dealers_are_off_no_way() -> None:
    shops = [shop for shop in CHANNEL.stores if shop.dealer == "D2"]
    assert shops
    in_shop = structs.replace(FAR, source=Source.STORE, place=shops[0].id)
    assert play(OffRouteDetector(NETWORK, Settings()), stops([in_shop]), 20)[0] == []
    strange = structs.replace(in_shop, place="nobody's")
    assert len(play(OffRouteDetector(NETWORK, Settings()), stops([strange]), 20)[0]) == 1
