"""Codes that nobody issued and that look like none of ours: a series in one city speaks, scattered misreads do not."""

from msgspec import structs
from test_detection_shops import CHANNEL

from trace_service.detection.changes import Raised
from trace_service.detection.engine import Engine
from trace_service.detection.network import Network
from trace_service.detection.observations import CodeState, Goods, Position, Sighting, Source
from trace_service.detection.settings import DAY_MS

START = 19_700 * DAY_MS
NORTH, SOUTH = (38.0, 114.5), (34.3, 108.9)


def scan(number: int, hour: int, place: tuple[float, float], *, unknown: bool, device: str = "") -> Sighting:
    goods = Goods(unit=f"ZZ-{100_000 + number}", state=CodeState.UNKNOWN if unknown else CodeState.ACTIVE)
    at = START + hour * DAY_MS // 24
    return Sighting(
        key=f"scan {number}", event=f"event {number}", kind="scan", goods=goods, device=device or f"phone {number}",
        position=Position(source=Source.GPS, lat=place[0], lon=place[1], accuracy_m=20), occurred_at=at, received_at=at,
    )  # fmt: skip


def alerts(scans: list[Sighting]) -> list[Raised]:
    engine = Engine(Network(CHANNEL))
    found = [change for each in scans for change in engine.observe(each)]
    found += engine.advance(START + 60 * DAY_MS)
    return [change for change in found if isinstance(change, Raised)]


def test_a_series_of_labels_in_another_form_is_found_where_it_is_sold() -> None:
    honest = [scan(number, number, NORTH if number % 2 else SOUTH, unknown=False) for number in range(300)]
    series = [scan(1000 + number, 20 * number, SOUTH, unknown=True) for number in range(6)]
    [raised] = alerts(sorted(honest + series, key=lambda each: each.received_at))
    assert (raised.alert.kind, raised.alert.dealer) == ("forged", None)
    assert raised.alert.adcode == "610100"
    assert set(raised.alert.units) >= {"ZZ-101000", "ZZ-101001", "ZZ-101002"}


def test_one_phone_that_scans_anything_is_no_series() -> None:
    assert not alerts([scan(number, number, SOUTH, unknown=True, device="curious") for number in range(30)])


def test_strangers_labels_that_come_everywhere_are_no_series() -> None:
    scans = [
        scan(number, number, NORTH if number % 2 else SOUTH, unknown=number % 10 in {0, 1}) for number in range(400)
    ]
    late = [change for change in alerts(scans) if change.alert.raised_at > START + 10 * DAY_MS]
    assert not late, "after some days they are known to be common"


def void(number: int, hour: float, place: tuple[float, float], device: str = "") -> Sighting:
    label = Goods(unit=f"/01/P/21/V{number}", product="P", state=CodeState.VOID)
    return structs.replace(scan(number, 0, place, unknown=False, device=device), goods=label, **moment(hour))


def moment(hour: float) -> dict[str, int]:
    at = START + round(hour * DAY_MS / 24)
    return {"occurred_at": at, "received_at": at}


def test_void_codes_are_told_where_they_are_strange_and_not_where_so_much_is_scanned_that_some_must_be() -> None:
    few = [void(10_000 + number, 500 + number, SOUTH) for number in range(3)]
    honest = [scan(number, 2 * number, NORTH if number % 2 else SOUTH, unknown=False) for number in range(300)]
    [raised] = alerts(sorted([*honest, *few], key=lambda each: each.received_at))
    assert (raised.alert.adcode, set(raised.alert.units)) == ("610100", {each.goods.unit for each in few})
    many = [
        structs.replace(scan(number, 0, NORTH if number % 2 else SOUTH, unknown=False), **moment(number / 10))
        for number in range(8_000)
    ]
    some = [void(20_000 + number, 100 + 100 * number, NORTH if number % 2 else SOUTH) for number in range(6)]
    assert not alerts(sorted([*many, *some], key=lambda each: each.received_at))


def test_one_phone_with_a_carton_of_void_labels_is_one_cause() -> None:
    honest = [scan(number, 2 * number, NORTH if number % 2 else SOUTH, unknown=False) for number in range(300)]
    carton = [void(10_000 + number, 500 + number / 60, SOUTH, "one phone") for number in range(6)]
    assert not alerts(sorted([*honest, *carton], key=lambda each: each.received_at))
