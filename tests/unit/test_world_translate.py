"""What a world's events become on the wire, and in papers."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.gs1 import parse
from contracts.messages import Activity, Kind, Position, Scan, decode_event
from firmware_sim.world.arrays import distance_km
from firmware_sim.world.model import make_world
from firmware_sim.world.parameters import Request
from firmware_sim.world.playing.folder import Told
from firmware_sim.world.playing.translate import Clock, captured, link, scans

START = datetime(2025, 1, 1, tzinfo=UTC)
SHOPS = {"S1": Position(lon=104.0, lat=30.6, accuracy_m=50.0)}
CODES = ("/01/06912345000017/21/ABC123", "169123450000000007")


def told(kind: str, **more: object) -> Told:
    fields = {"event_id": "e1", "type": kind, "occurred_at": START, "received_at": START, "codes": CODES, **more}
    return msgspec.convert(fields, Told)


def wire(event: Told, *, at_home: bool = False, speed: float = 10.0) -> list[Scan]:
    bodies = scans(event, Clock(START, 1_000_000.0, speed), SHOPS, at_home=at_home)
    found = [decode_event(Kind.SCAN, body) for body in bodies]
    assert all(isinstance(each, Scan) for each in found)
    return [each for each in found if isinstance(each, Scan)]


def test_each_code_is_one_scan_that_the_product_can_read() -> None:
    item, case = wire(told("ship", shipment="SH1", to="D0001"))
    assert parse(item.code).key == CODES[0]
    assert case.code.endswith(f"/00/{CODES[1]}")
    assert (item.activity, item.reference, item.to) == (Activity.SHIP, "SH1", "D0001")


def test_time_is_compressed_from_the_first_event_on() -> None:
    [scan, _] = wire(told("inspect", occurred_at=START + timedelta(days=10)), speed=1000.0)
    assert scan.ts == (1_000_000 + 864) * 1000


@given(st.integers(-60 * 365, 60 * 365), st.floats(1, 1e8))
def test_no_clock_is_so_wrong_that_a_device_could_not_say_it(days: int, speed: float) -> None:
    for scan in wire(told("consumer_scan", occurred_at=START + timedelta(days=days)), speed=speed):
        assert scan.ts >= 0


def test_a_device_at_home_need_not_say_where_it_is_and_the_gateway_does() -> None:
    event = told("sale", source="store", place="S1")
    assert {scan.position for scan in wire(event, at_home=True)} == {None}
    assert {scan.position for scan in wire(event)} == {SHOPS["S1"]}
    here = told("receive", source="site", place="D1", lat=31.0, lon=120.0)
    assert [(scan.position.lat, scan.position.lon) for scan in wire(here) if scan.position] == [(31.0, 120.0)] * 2


def test_a_phone_says_what_it_knows() -> None:
    phone = told("consumer_scan", source="gps", lat=31.0, lon=120.0, accuracy_m=12.5, platform="ios")
    for scan in wire(phone, at_home=True):
        assert scan.position is not None
        assert (scan.position.platform, scan.position.accuracy_m) == ("ios", 12.5)
    assert {scan.position for scan in wire(told("consumer_scan"))} == {None}


@pytest.mark.parametrize(
    ("kind", "step"),
    [
        ("pack", "commissioning"),
        ("void", "decommissioning"),
        ("return", "shipping"),
        ("rebind", "urn:codefence:step:rebinding"),
    ],
)
def test_what_no_station_can_say_is_a_paper(kind: str, step: str) -> None:
    event = told(kind, place="D0001", source="site", shipment="SH1", to_dealer="D0002")
    [paper] = captured(event, Clock(START, 1_000_000.0, 1.0))
    assert paper["bizStep"] == step
    assert paper["epcList"] == [link(code) for code in CODES]
    assert paper["readPoint"]["id"] == "urn:codefence:site:D0001"
    assert bool(wire(event)) == (kind == "pack")


def test_half_of_a_hard_worlds_drips_end_just_across_the_border() -> None:
    apart = []
    for seed in (1, 2):
        made = make_world(Request(seed=seed, dealers=80, items=120_000, hard=True))
        for attack in made.attacks:
            dealer = made.network.dealers[attack.dealer]
            if attack.type == "drip":
                cities, first = made.land.cities, attack.cities[:1]
                lat, lon = made.land.counties.lat[[dealer.site]], made.land.counties.lon[[dealer.site]]
                apart.append(float(distance_km(lat, lon, cities.lat[first], cities.lon[first])[0]))
                assert not set(made.land.county_city[dealer.counties]) & set(attack.cities.tolist())
    near = sum(km < 150 for km in apart) / len(apart)
    assert 0.2 < near < 0.8
