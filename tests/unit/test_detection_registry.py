"""Detectors of codes, papers and sequences: each fires on what it is for, not on honest neighbours, and takes back."""

from collections.abc import Iterable

import pytest
from engine_streams import NETWORK, goods, movement, ms, paper, play, sighting
from msgspec import structs
from test_detection_shops import AWAY

from trace_service.detection.detectors.backflow import BackflowDetector
from trace_service.detection.detectors.dwell import DwellDetector
from trace_service.detection.detectors.lots import LotSkipDetector
from trace_service.detection.detectors.ordering import OrderingPrior
from trace_service.detection.detectors.withheld import WithheldDetector
from trace_service.detection.observations import (
    CodeState,
    Observation,
    Position,
    Source,
)
from trace_service.detection.settings import Settings

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
    def priors(dumped: Iterable[str], day: int, tellings: tuple[int, ...] = (20,)) -> dict[str, float]:
        detector, number = OrderingPrior(NETWORK), 0
        stream: list[Observation] = []
        for week in range(30):
            for dealer in ("D1", "D2"):
                for _ in range(9 if dealer in set(dumped) and week in (24, 25) else 1):
                    number += 20
                    for size in tellings:
                        cases = range(number - 20, number - 20 + size)
                        stream.append(paper(f"SH{number}", cases, 7 * week + 1, receiver=dealer))
        assert play(detector, stream, day) == ([], [], [])
        return detector.priors

    whole = priors(["D1"], 205)
    assert set(whole) == {"D1"}
    assert max(whole.values()) <= 2.0
    assert priors(["D1"], 205, tellings=(4, 12, 20)) == whole, "a paper that is told again as goods join it is one"
    assert priors([], 205) == {}
