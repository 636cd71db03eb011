from collections.abc import Iterator

import pytest
from conftest import TestDatabase
from trace_market import Market

from geofence.maps import AtomMap, load_installed_map


@pytest.fixture(scope="module")
def atoms() -> AtomMap:
    return load_installed_map()


@pytest.fixture
def market(database: TestDatabase, atoms: AtomMap) -> Iterator[Market]:
    market = Market(database, atoms)
    yield market
    market.close()


def test_an_item_sold_at_home_is_inside_and_elsewhere_outside(market: Market) -> None:
    case = market.cases_to("D-CHENGDU")[0]
    market.land(*market.pack(case), market.ship(case, "D-CHENGDU"))
    market.land(market.consumer(case["items"][0], "chengdu"), market.consumer(case["items"][1], "nanjing"))
    assert market.drain() == 9
    found = market.rows(
        "SELECT code_state, custody_state, place, city, dealer, shipment, case_unit FROM trace.verdict"
        " WHERE activity = 'consumer' ORDER BY seq"
    )
    home = ("genuine", "ok", "inside", "510100", "D-CHENGDU", case["order"], f"/00/{case['sscc']}")
    assert found == [home, ("genuine", "ok", "outside", "320100", *home[4:])]
    distance = market.rows("SELECT signed_distance_m FROM trace.verdict WHERE place = 'outside'")[0][0]
    assert 1_200_000 < distance < 1_500_000


def test_many_cases_in_one_foreign_city_raise_one_alert_with_every_scan_as_evidence(market: Market) -> None:
    cases = market.cases_to("D-CHENGDU")[:12]
    for case in cases:
        market.land(*market.pack(case), market.ship(case, "D-CHENGDU"), market.consumer(case["items"][0], "nanjing"))
    market.land(market.consumer(cases[0]["items"][0], "nanjing", 130), market.consumer(cases[0]["items"][1], "chengdu"))
    market.drain()
    alerts = market.rows("SELECT dealer, city, state, cases, scans, reason FROM trace.alert")
    assert [alert[:5] for alert in alerts] == [("D-CHENGDU", "320100", "open", 12, 13)]
    reason = alerts[0][5]["parameters"]
    assert reason["nearest_legal"] == "D-NANJING"
    assert reason["shipments"] == [cases[0]["order"]]
    assert reason["expected"] < 0.5
    assert reason["llr"] > reason["threshold"]
    assert market.rows("SELECT count(*), count(DISTINCT case_unit) FROM trace.alert_evidence") == [(13, 12)]
