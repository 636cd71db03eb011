"""One label on several items, and what only looks like it."""

import pytest
from engine_streams import NETWORK, goods, ms, play, sighting
from msgspec import structs
from test_detection_shops import AWAY, AWAY_AT, HOME_AT

from trace_service.detection.changes import Alert, Claim
from trace_service.detection.detectors.clone import CloneDetector
from trace_service.detection.observations import (
    Observation,
    Position,
    Source,
    Withdrawn,
)
from trace_service.detection.placing import Placer
from trace_service.detection.settings import Settings


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
