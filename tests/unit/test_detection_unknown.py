"""Codes that nobody issued, and registers that lack issued ones."""

from engine_streams import goods, ms, sighting
from msgspec import structs
from test_detection_shops import AWAY_AT, CHANNEL, HOME_AT

from trace_service.detection.changes import Alert, Raised
from trace_service.detection.engine import Engine
from trace_service.detection.network import Channel, Network
from trace_service.detection.observations import (
    CodeState,
    Goods,
    Observation,
    Position,
    Sighting,
    Source,
)


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
