"""Detectors of codes, papers and sequences: each fires on what it is for, not on honest neighbours, and takes back."""

from collections.abc import Iterable

import pytest
from msgspec import structs
from test_detection_shops import AWAY, AWAY_AT, CHANNEL, HOME_AT

from trace_service.detection.changes import Alert, Claim, Raised, Retracted
from trace_service.detection.detector import Detector
from trace_service.detection.detectors.backflow import BackflowDetector
from trace_service.detection.detectors.clone import CloneDetector
from trace_service.detection.detectors.dwell import DwellDetector
from trace_service.detection.detectors.lots import LotSkipDetector
from trace_service.detection.detectors.offroute import OffRouteDetector
from trace_service.detection.detectors.ordering import OrderingPrior
from trace_service.detection.detectors.withheld import WithheldDetector
from trace_service.detection.engine import Engine
from trace_service.detection.ledger import Judged, Ledger
from trace_service.detection.network import Channel, Network
from trace_service.detection.observations import (
    CodeState,
    Goods,
    Movement,
    Observation,
    Position,
    Shipment,
    Sighting,
    Source,
    Withdrawn,
)
from trace_service.detection.placing import Placer
from trace_service.detection.settings import DAY_MS, Settings

START = 19_700
NETWORK = Network(CHANNEL)


def ms(day: float) -> int:
    return round((START + day) * DAY_MS)


def goods(case: int | str, **more: object) -> Goods:
    return Goods(unit=f"item {case}", case=f"case {case}", dealer="D1", chain=("D1",), batch="B1", **more)


def sighting(name: str, what: Goods, day: float, kind: str = "scan", **more: object) -> Sighting:
    position = more.pop("position", Position(source=Source.GPS, lat=AWAY_AT[0], lon=AWAY_AT[1], accuracy_m=20))
    return Sighting(
        key=name, event=name, kind=kind, goods=what, position=position, occurred_at=ms(day), received_at=ms(day),
        **{"device": f"phone {name}"} | more,
    )  # fmt: skip


def movement(name: str, what: Goods, day: float, kind: str, site: str = "D1", **more: object) -> Movement:
    at = HOME_AT if site == "D1" else AWAY_AT
    return Movement(
        key=name, event=name, kind=kind, goods=what, site_dealer=site, occurred_at=ms(day), received_at=ms(day),
        position=Position(source=Source.SITE, lat=at[0], lon=at[1], place=site), **more,
    )  # fmt: skip


def paper(name: str, cases: Iterable[int], day: float, **more: object) -> Shipment:
    ends = {"sender": "HQ", "receiver": "D1", "kind": "order"} | more
    packed = tuple(f"case {case}" for case in cases)
    return Shipment(
        key=name, departed_at=ms(day), received_at=ms(day), items=6 * len(packed), cases=packed,
        arrived_at=ends.pop("arrived_at", None), **ends,
    )  # fmt: skip


def play(detector: Detector, stream: list[Observation], until: float) -> tuple[list[Alert], list[Alert], list[Claim]]:
    """Return the alerts raised and taken back, and the leads, of one detector alone."""
    ledger, changes, leads = Ledger(Settings()), [], []
    day = START

    def settle(claims: Iterable[Claim], now: int) -> None:
        for claim in claims:
            leads.extend([claim] if claim.lead else [])
            changes.append(ledger.settle(claim, Judged(0.9, (0.0, 1.0), {}), now))

    for each in sorted(stream, key=lambda each: each.received_at):
        while day * DAY_MS < each.received_at:
            settle(detector.close_day(day * DAY_MS), day * DAY_MS)
            day += 1
        settle(detector.observe(each, each.received_at), each.received_at)
    while day < START + until:
        settle(detector.close_day(day * DAY_MS), day * DAY_MS)
        day += 1
    raised = [change.alert for change in changes if isinstance(change, Raised)]
    return raised, [change.alert for change in changes if isinstance(change, Retracted)], leads


RECALLED = {"state": CodeState.RECALLED, "state_since": ms(10)}


def test_goods_that_are_sent_on_after_their_recall_are_an_alert_about_who_sent_them() -> None:
    acts: list[Observation] = [movement(f"m{n}", goods(n, **RECALLED), 15, "ship") for n in range(3)]
    [alert], _, _ = play(WithheldDetector(NETWORK, Settings()), acts, 30)
    assert (alert.kind, alert.dealer, len(alert.cases)) == ("recalled", "D1", 3)


def test_sales_of_expired_goods_are_told_by_the_shops_dealer() -> None:
    shop = Position(source=Source.STORE, lat=34.3, lon=108.9, place="S2")
    expired = {"state": CodeState.EXPIRED, "state_since": ms(10)}
    acts: list[Observation] = [sighting(f"s{n}", goods(n, **expired), 20 + n, "sale", position=shop) for n in range(2)]
    [alert], _, _ = play(WithheldDetector(NETWORK, Settings()), acts, 40)
    assert (alert.kind, alert.dealer) == ("expired", "D2")


def test_late_uploads_the_grace_consumers_receipts_and_void_labels_alone_accuse_nobody() -> None:
    late = structs.replace(movement("late", goods(1, **RECALLED), 9, "ship"), received_at=ms(30))
    acts: list[Observation] = [
        late,
        *(movement(f"soon {n}", goods(n, **RECALLED), 12, "ship") for n in range(4)),
        *(movement(f"came {n}", goods(n, **RECALLED), 16, "receive") for n in range(4)),
        *(sighting(f"drunk {n}", goods(n, **RECALLED), 40) for n in range(4)),
        sighting("void", goods(9, state=CodeState.VOID, state_since=ms(1)), 50, "sale"),
    ]
    assert play(WithheldDetector(NETWORK, Settings()), acts, 90)[0] == []


def test_what_is_sent_back_up_the_channel_is_taken_back_when_its_paper_comes() -> None:
    acts: list[Observation] = [movement(f"m{n}", goods(n, **RECALLED), 15, "ship", shipment="R1") for n in range(3)]
    back = paper("R1", range(3), 25, sender="D1", receiver="HQ", kind="return")
    raised, retracted, _ = play(WithheldDetector(NETWORK, Settings()), [*acts, back], 40)
    assert [alert.kind for alert in raised] == [alert.kind for alert in retracted] == ["recalled"]
    prompt = structs.replace(back, received_at=ms(16))
    assert play(WithheldDetector(NETWORK, Settings()), [*acts, prompt], 40)[0] == []


def lots(silent: Iterable[int], seen: int) -> list[Observation]:
    """Forty lots of four cases, all but the silent ones received; cases of lot 20 in a shop of another branch."""
    stream: list[Observation] = []
    for lot in range(40):
        cases = range(4 * lot, 4 * lot + 4)
        stream.append(paper(f"SH{lot}", cases, lot))
        if lot not in set(silent):
            stream += [
                movement(f"r{case}", goods(case, shipment=f"SH{lot}"), lot + 2, "receive", shipment=f"SH{lot}")
                for case in cases
            ]
    shop = Position(source=Source.STORE, lat=34.3, lon=108.9, place="S2")
    for case in range(80, 80 + seen):
        stream.append(sighting(f"i{case}", goods(case, shipment="SH20"), 45, "inspect", position=shop))
    return stream


def test_a_lot_that_nobody_had_and_another_branchs_shop_has_skipped_its_level() -> None:
    [alert], _, _ = play(LotSkipDetector(NETWORK, Settings()), lots([20], 3), 60)
    assert (alert.kind, alert.dealer, alert.shipments, alert.adcode) == ("skip", "D1", ("SH20",), AWAY)


def test_one_missing_reading_a_silent_reader_and_a_transfer_are_no_skipped_level() -> None:
    detector = LotSkipDetector(NETWORK, Settings())
    assert play(detector, lots([20], 1), 60)[0] == [], "one case in a shop is no lot"
    assert play(LotSkipDetector(NETWORK, Settings()), lots([], 4), 60)[0] == [], "the level had it"
    assert play(LotSkipDetector(NETWORK, Settings()), lots(range(10, 32), 2), 60)[0] == [], "the reader was broken"


def test_a_receipt_that_is_uploaded_late_takes_a_skipped_level_back() -> None:
    late = [
        structs.replace(
            movement(f"r{case}", goods(case, shipment="SH20"), 22, "receive", shipment="SH20"), received_at=ms(50)
        )
        for case in range(80, 84)
    ]
    raised, retracted, _ = play(LotSkipDetector(NETWORK, Settings()), [*lots([20], 3), *late], 60)
    assert len(raised) == len(retracted) == 1


@pytest.mark.parametrize("told_on", [1.5, 35.0])
def test_goods_that_their_dealer_said_to_transfer_flow_back_nowhere_while_their_paper_is_late(told_on: float) -> None:
    receipts = [movement(f"r{n}", goods(n), 2, "receive", site="D2", shipment="T1") for n in range(3)]
    alone, _, _ = play(BackflowDetector(NETWORK, Settings()), receipts, 50)
    assert [alert.kind for alert in alone] == ["skip"]
    sent = [movement(f"t{n}", goods(n), told_on, "transfer", site="D1", shipment="T1") for n in range(3)]
    stream = sorted([*receipts, *sent], key=lambda each: each.received_at)
    raised, retracted, _ = play(BackflowDetector(NETWORK, Settings()), stream, 50)
    assert len(raised) == len(retracted) == (told_on > 20)
    others = [structs.replace(each, site_dealer="D3") for each in sent]
    assert len(play(BackflowDetector(NETWORK, Settings()), [*receipts, *others], 60)[0]) == 1, "who may say anything"


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


def standing(*, hoarded: bool) -> list[Observation]:
    """Sixty lots that D1 passes on after three days; of the last one only where it is not hoarded."""
    stream: list[Observation] = []
    for lot in range(60):
        for case in range(20 * lot, 20 * lot + 20):
            what = structs.replace(goods(case), batch=f"B{lot}")
            stream.append(movement(f"r{case}", what, lot, "receive", shipment=f"SH{lot}"))
            if lot < 59 or not hoarded:
                stream.append(movement(f"s{case}", what, lot + 3, "ship", shipment=f"ON{lot}"))
    return stream


def test_a_hoarded_lot_is_a_lead_and_never_an_alert() -> None:
    raised, _, leads = play(DwellDetector(NETWORK, Settings()), standing(hoarded=True), 160)
    assert not raised
    assert {(lead.dealer, len(lead.contributions)) for lead in leads} == {("D1", 20)}
    assert play(DwellDetector(NETWORK, Settings()), standing(hoarded=False), 160)[2] == []


def test_a_dealer_that_orders_far_more_than_it_needs_is_a_prior_and_a_season_is_not() -> None:
    def priors(dumped: Iterable[str], day: int) -> dict[str, float]:
        detector, number = OrderingPrior(NETWORK), 0
        stream: list[Observation] = []
        for week in range(30):
            for dealer in ("D1", "D2"):
                for _ in range(9 if dealer in set(dumped) and week in (24, 25) else 1):
                    cases = range(number, number + 20)
                    number += 20
                    stream.append(paper(f"SH{number}", cases, 7 * week + 1, receiver=dealer))
        assert play(detector, stream, day) == ([], [], [])
        return detector.priors

    assert set(priors(["D1"], 205)) == {"D1"}
    assert max(priors(["D1"], 205).values()) <= 2.0
    assert priors([], 205) == {}


def copies(places: list[tuple[float, float]], days: list[float], phones: int) -> list[Observation]:
    honest: list[Observation] = [sighting(f"h{n}", goods(n, product="P"), n / 4) for n in range(200)]
    return honest + [
        sighting(
            f"c{n}", goods(500), 30 + day, device=f"phone {n % phones}",
            position=Position(source=Source.GPS, lat=place[0], lon=place[1], accuracy_m=20),
        )
        for n, (place, day) in enumerate(zip(places, days, strict=True))
    ]  # fmt: skip


@pytest.mark.parametrize(("shipped", "told"), [(28, 0), (5, 1)], ids=["just come", "long sold"])
def test_who_tries_a_label_in_the_warehouse_that_it_just_came_to_is_no_customer(shipped: int, told: int) -> None:
    honest: list[Observation] = [sighting(f"h{n}", goods(n, product="P"), n / 4) for n in range(200)]
    yard, near = (Position(source=Source.GPS, lat=HOME_AT[0] + off, lon=HOME_AT[1], accuracy_m=20) for off in (0, 0.1))
    bottle = goods(500, shipped_at=ms(shipped))
    seen = [
        sighting("reader", bottle, 30, position=yard),
        sighting("guest", bottle, 45),
        sighting("host", bottle, 85, position=near),
    ]
    assert len(clones([*honest, *seen])[0]) == told


def test_a_paper_that_comes_after_scans_in_the_warehouse_takes_the_alert_back() -> None:
    honest: list[Observation] = [sighting(f"h{n}", goods(n, product="P"), n / 16) for n in range(800)]
    yard = Position(source=Source.GPS, lat=HOME_AT[0], lon=HOME_AT[1], accuracy_m=20)
    before, after = (goods(500, shipped_at=ms(day)) for day in (5, 28))
    readers = [sighting(f"reader {n}", before, 28.1 + 2.3 * n, position=yard) for n in range(5)]
    papers = [structs.replace(each, goods=after, received_at=ms(90)) for each in readers]
    raised, retracted, _ = clones([*honest, *readers, sighting("guest", before, 45), *papers])
    assert len(raised) == len(retracted) == 1


def clones(stream: list[Observation]) -> tuple[list[Alert], list[Alert], list[Claim]]:
    return play(CloneDetector(NETWORK, Settings(), Placer(NETWORK, Settings())), stream, 120)


def test_a_label_on_several_items_is_told_by_phones_places_and_weeks() -> None:
    [alert], _, _ = clones(copies([AWAY_AT, HOME_AT, AWAY_AT, HOME_AT], [0, 9, 25, 60], 4))
    assert (alert.kind, alert.units) == ("clone", ("item 500",))


def test_a_table_of_guests_and_one_curious_phone_are_no_copies() -> None:
    assert clones(copies([HOME_AT] * 3, [0, 0.01, 0.02], 3))[0] == []
    assert clones(copies([HOME_AT, AWAY_AT, HOME_AT, AWAY_AT], [0, 9, 25, 60], 1))[0] == []


def test_a_journey_that_nobody_can_make_is_named_with_its_speed() -> None:
    [alert], _, _ = clones(copies([AWAY_AT, HOME_AT, AWAY_AT, HOME_AT], [0, 0.02, 25, 60], 4))
    [trip] = alert.reason["parameters"]["travel"]
    assert (trip["from"], trip["to"]) == (AWAY, "130100")
    assert trip["kmh"] > 900
    assert 500 < trip["km"] < 750


def test_copies_are_taken_back_with_the_scans_that_did_not_happen() -> None:
    stream = copies([AWAY_AT, HOME_AT, AWAY_AT, HOME_AT], [0, 9, 25, 60], 4)
    gone: list[Observation] = [Withdrawn(key=f"c{n}", received_at=ms(100)) for n in range(1, 4)]
    raised, retracted, _ = clones([*stream, *gone])
    assert len(raised) == len(retracted) == 1


def test_few_copies_of_many_labels_are_told_by_their_batch_and_tables_of_guests_are_not() -> None:
    def batch(later: float, place: tuple[float, float]) -> list[str]:
        stream: list[Observation] = [sighting(f"h{n}", goods(n), n / 10) for n in range(600)]
        spot = Position(source=Source.GPS, lat=place[0], lon=place[1], accuracy_m=20)
        for n in range(600, 608):
            what = structs.replace(goods(n), batch="B9")
            stream.append(sighting(f"a{n}", what, 60 + n / 600))
            if n < 606:
                stream.append(sighting(f"b{n}", what, 60 + n / 600 + later, position=spot))
        raised, _, _ = clones(stream)
        return [alert.key for alert in raised if alert.key.startswith("clone/batch/")]

    assert batch(20, HOME_AT) == ["clone/batch/B9"]
    assert batch(0.01, AWAY_AT) == []


def forged(number: int, day: float, unit: str = "", **more: object) -> Sighting:
    what = Goods(unit=unit or f"/01/P/21/FORGED{number}", state=CodeState.UNKNOWN, **{"product": "P"} | more)
    return sighting(f"f{number}", what, day)


def told(stream: list[Observation], until: float = 40, network: Channel = CHANNEL) -> list[Alert]:
    engine = Engine(Network(network))
    found = [change for each in sorted(stream, key=lambda each: each.received_at) for change in engine.observe(each)]
    found += engine.advance(ms(until))
    return [change.alert for change in found if isinstance(change, Raised) and change.alert.kind == "forged"]


def products_told(stream: list[Observation]) -> list[str]:
    return [alert.reason["parameters"]["product"] for alert in told(stream)]


def test_a_lone_code_in_the_issued_form_is_told_a_day_after_its_first_scan_however_often_it_is_scanned() -> None:
    again = [structs.replace(forged(1, 5 + day / 2), key=f"again {day}") for day in range(1, 12)]
    [alert] = told([forged(1, 5), *again])
    assert ms(6) <= alert.raised_at <= ms(7)


def test_a_slip_of_one_letter_is_no_forgery() -> None:
    assert told([forged(1, 5, misread=True)]) == []


def test_many_forgers_at_once_do_not_pass_for_misreads_but_misreads_everywhere_do() -> None:
    def lone(count: int, scans: int) -> int:
        honest = [sighting(f"h{n}", goods(n), n * 30 / scans) for n in range(scans)]
        return len(told([*honest, *(forged(n, 25 + n / 100, product=f"P{n}") for n in range(count))]))

    assert lone(10, 200) == 10
    assert lone(40, 200) == 0


def test_a_register_that_lacks_issued_codes_makes_no_forgers_but_a_city_full_of_them_does() -> None:
    ends = [Position(source=Source.GPS, lat=lat, lon=lon, accuracy_m=20) for lat, lon in (HOME_AT, AWAY_AT)]
    honest = [sighting(f"h{n}", goods(n), n / 10, position=ends[n % 2]) for n in range(300)]
    everywhere = [structs.replace(forged(n, 25 + n / 100), position=ends[n % 2]) for n in range(200)]
    one_city = [structs.replace(forged(n, 25 + n / 100), position=ends[n % 40 > 0]) for n in range(200)]
    assert told([*honest, *everywhere]) == []
    [alert] = told([*honest, *one_city])
    assert alert.adcode == "610100"


def test_one_phone_with_many_made_up_codes_in_two_cities_silences_no_forger() -> None:
    ends = [Position(source=Source.GPS, lat=lat, lon=lon, accuracy_m=20) for lat, lon in (HOME_AT, AWAY_AT)]
    honest = [sighting(f"h{n}", goods(n), n / 10, position=ends[n % 2]) for n in range(300)]
    flood = [structs.replace(forged(n, 25 + n / 100), position=ends[n % 2], device="phone of one") for n in range(200)]
    found = [structs.replace(forged(n, 30, product="P9"), position=ends[0]) for n in range(200, 205)]
    assert "P9" in products_told([*honest, *flood, *found])


def test_a_register_that_was_completed_lacks_nothing_any_more() -> None:
    ends = [Position(source=Source.GPS, lat=lat, lon=lon, accuracy_m=20) for lat, lon in (HOME_AT, AWAY_AT)]
    honest = [sighting(f"h{n}", goods(n), n / 10, position=ends[n % 2]) for n in range(300)]
    missing = [structs.replace(forged(n, 25 + n / 100), position=ends[n % 2]) for n in range(200)]
    completed = [structs.replace(each, goods=goods(1_000 + n), received_at=ms(31)) for n, each in enumerate(missing)]
    later = [structs.replace(forged(n, 33, product="P9"), position=ends[0]) for n in range(200, 205)]
    assert told([*honest, *missing, *later]) == []
    assert products_told([*honest, *missing, *completed, *later]) == ["P9"]


def test_void_codes_are_told_where_the_register_lacks_others() -> None:
    ends = [Position(source=Source.GPS, lat=lat, lon=lon, accuracy_m=20) for lat, lon in (HOME_AT, AWAY_AT)]
    honest = [sighting(f"h{n}", goods(n), n / 10, position=ends[n % 2]) for n in range(300)]
    missing = [structs.replace(forged(n, 25 + n / 100), position=ends[n % 2]) for n in range(200)]
    one = structs.replace(forged(200, 30, product="P9"), position=ends[0])
    labels = [Goods(unit=f"/01/P9/21/V{n}", product="P9", state=CodeState.VOID) for n in range(5)]
    void = [sighting(f"v{n}", label, 30, position=ends[0]) for n, label in enumerate(labels)]
    assert products_told([*honest, *missing, one, *void]) == ["P9"]
