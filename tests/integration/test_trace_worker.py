import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import psycopg
from case_parts import do, hire, only
from trace_market import START, Market, Message
from waiting import PATIENCE

from geofence.territory import TerritoryVersion
from trace_service.cases.machine import Action, State


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


def test_a_normal_flow_is_decided_once_and_never_again(market: Market) -> None:
    case = market.cases_to("D-CHENGDU")[0]
    for step in (
        market.pack(case),
        [market.ship(case, "D-CHENGDU", 5)],
        [market.consumer(case["items"][0], "chengdu")],
    ):
        market.land(*step)
        market.drain()
    assert market.rows("SELECT count(*) FROM trace.verdict_superseded") == [(0,)]
    assert market.rows("SELECT DISTINCT dealer FROM trace.verdict WHERE activity <> 'pack'") == [("D-CHENGDU",)]


def test_many_cases_in_one_foreign_city_raise_one_alert_with_every_scan_as_evidence(market: Market) -> None:
    cases = market.cases_to("D-CHENGDU")[:12]
    for case in cases:
        market.land(*market.pack(case), market.ship(case, "D-CHENGDU"))
    market.land(*(market.consumer(case["items"][0], "nanjing") for case in [cases[0], *cases]))
    market.drain()
    alerts = market.rows("SELECT dealer, city, state, cases, scans, reason FROM trace.alert")
    assert [alert[:5] for alert in alerts] == [("D-CHENGDU", "320100", "open", 12, 13)]
    reason = alerts[0][5]["parameters"]
    assert reason["nearest_legal"] == "D-NANJING"
    assert reason["shipments"] == [cases[0]["order"]]
    assert reason["expected"] < 0.5
    assert reason["llr"] > reason["threshold"]
    assert market.rows("SELECT count(*), count(DISTINCT case_unit) FROM trace.alert_evidence") == [(13, 12)]


def test_a_late_shipment_to_the_right_dealer_takes_the_alert_back(market: Market) -> None:
    cases = market.cases_to("D-CHENGDU")[:8]
    for case in cases:
        market.land(
            *market.pack(case), market.ship(case, "D-CHENGDU", 30), market.consumer(case["items"][0], "nanjing")
        )
    market.drain()
    assert market.rows("SELECT state FROM trace.alert") == [("open",)]
    # What nobody had heard of yet: the dealer had sent them back, and they went to Nanjing.
    for case in cases:
        back = Message("station-ship", "dc-east", market.number(), 50, case["label"], "receive")
        again = Message("station-ship", "dc-east", market.number(), 60, case["label"], "ship", "", "SO-N", "D-NANJING")
        market.land(back, again)
    market.drain()
    assert market.rows("SELECT DISTINCT place, dealer FROM trace.verdict WHERE activity = 'consumer'") == [
        ("inside", "D-NANJING")
    ]
    assert market.rows("SELECT state, outcome, decided_by FROM trace.alert") == [("closed", "retracted", None)]
    assert market.rows("SELECT count(*) FROM trace.alert_evidence") == [(0,)]
    assert market.rows("SELECT DISTINCT place FROM trace.verdict_superseded WHERE activity = 'consumer'") == [
        ("outside",)
    ]


def test_more_scans_of_the_cases_that_a_person_has_decided_on_raise_no_second_alert(market: Market) -> None:
    people = hire(market.database.owner_dsn)
    cases = market.cases_to("D-CHENGDU")
    for case in cases[:20]:
        market.land(*market.pack(case), market.ship(case, "D-CHENGDU"))
    market.land(*(market.consumer(case["items"][0], "nanjing") for case in cases[:8]))
    market.drain()
    do(market, people["lin"], only(market).id, Action.CLOSE, outcome="confirmed")
    market.land(*(market.consumer(case["items"][1], "nanjing", 500) for case in cases[:8]))
    market.drain()
    assert market.rows("SELECT state, cases FROM trace.alert") == [("closed", 8)]
    market.land(*(market.consumer(case["items"][1], "nanjing", 600) for case in cases[8:20]))
    market.drain()
    # Other cases are news, and news opens what was closed again.
    assert market.rows("SELECT cases FROM trace.alert ORDER BY id") == [(8,), (12,)]
    assert only(market).state == State.INVESTIGATING


def test_what_a_person_decides_while_the_worker_weighs_is_what_stands(market: Market) -> None:
    cases = market.cases_to("D-CHENGDU")[:8]
    for case in cases:
        market.land(*market.pack(case), market.ship(case, "D-CHENGDU"), market.consumer(case["items"][0], "nanjing"))
    market.drain()
    for case in cases:
        back = Message("station-ship", "dc-east", market.number(), 50, case["label"], "receive")
        again = Message("station-ship", "dc-east", market.number(), 60, case["label"], "ship", "", "SO-N", "D-NANJING")
        market.land(back, again)
    with ThreadPoolExecutor(1) as pool:
        with psycopg.connect(market.database.owner_dsn) as owner:
            owner.execute("UPDATE trace.alert SET state = 'closed', outcome = 'confirmed', decided_by = 'ann'")
            work = pool.submit(market.drain)
            time.sleep(0.7)
        work.result(timeout=PATIENCE)
    assert market.rows("SELECT state, outcome, decided_by FROM trace.alert") == [("closed", "confirmed", "ann")]
    assert market.rows("SELECT count(*) FROM trace.alert_evidence") == [(8,)]


def test_an_alert_outlives_the_contract_that_was_broken(market: Market) -> None:
    cases = market.cases_to("D-CHENGDU")[:8]
    for case in cases:
        market.land(*market.pack(case), market.ship(case, "D-CHENGDU"), market.consumer(case["items"][0], "nanjing"))
    market.drain()
    ended = TerritoryVersion(
        dealer="D-CHENGDU",
        adcodes=("510100",),
        valid_from=datetime(2024, 1, 1, tzinfo=UTC),
        valid_to=START + timedelta(days=1),
        recorded_at=START,
    )
    with psycopg.connect(market.database.owner_dsn) as owner:
        owner.execute("DELETE FROM trace.verdict_superseded")
        owner.execute("UPDATE trace.verdict SET territory = NULL")
        owner.execute("DELETE FROM trace.territory WHERE dealer = 'D-CHENGDU'")
        owner.execute(
            "INSERT INTO trace.territory (brand, dealer, adcodes, valid_from, valid_to, recorded_at, sha256)"
            " VALUES ('qingyuan', 'D-CHENGDU', '{510100}', %s, %s, %s, %s)",
            (ended.valid_from, ended.valid_to, ended.recorded_at, bytes.fromhex(ended.sha256)),
        )
    other = market.cases_to("D-CHENGDU")[8]
    market.land(*market.pack(other), market.ship(other, "D-CHENGDU"))
    market.land(market.consumer(other["items"][1], "hangzhou", 3 * 24 * 60))
    market.drain()
    assert market.rows("SELECT place, city FROM trace.verdict ORDER BY occurred_at DESC LIMIT 1") == [
        ("uncertain", "330100")
    ]
    assert market.rows("SELECT state, cases FROM trace.alert") == [("open", 8)]


def test_what_passes_through_the_brand_s_own_sites_is_never_in_a_wrong_place(market: Market) -> None:
    cases = market.cases_to("D-CHENGDU")[:5]
    for case in cases:
        market.land(*market.pack(case), market.ship(case, "D-CHENGDU", 30))
        market.land(Message("station-ship", "dc-east", market.number(), 25, case["label"], "receive"))
        market.land(Message("station-ship", "dc-east", market.number(), 35, case["items"][0], "inspect"))
    market.drain()
    assert market.rows("SELECT DISTINCT place FROM trace.verdict") == [("not_checked",)]
    assert market.rows("SELECT count(*) FROM trace.alert") == [(0,)]


def test_a_position_that_could_be_anywhere_in_a_country_accuses_nobody(market: Market) -> None:
    for case in market.cases_to("D-CHENGDU")[:6]:
        market.land(*market.pack(case), market.ship(case, "D-CHENGDU"), market.consumer(case["items"][0], "nanjing"))
    with psycopg.connect(market.database.owner_dsn) as owner:
        owner.execute("UPDATE landing.scan SET accuracy_m = 900000, platform = 'web' WHERE lon IS NOT NULL")
    market.drain()
    assert market.rows("SELECT DISTINCT place, city FROM trace.verdict WHERE activity = 'consumer'") == [
        ("no_location", None)
    ]
    assert market.rows("SELECT count(*) FROM trace.alert") == [(0,)]


def test_a_case_sent_to_a_dealer_of_another_brand_binds_nothing_of_this_one(market: Market) -> None:
    with psycopg.connect(market.database.owner_dsn) as owner:
        owner.execute("INSERT INTO trace.brand VALUES ('zeta', 'Z', 'Z')")
        owner.execute("INSERT INTO trace.dealer VALUES ('D-ZETA', 'zeta', NULL, 'Z', 'Z', 'city', 0, 0, 1)")
    case = market.cases_to("D-CHENGDU")[0]
    market.land(*market.pack(case), market.ship(case, "D-ZETA"), market.consumer(case["items"][0], "nanjing"))
    market.drain()
    assert market.rows("SELECT reason FROM trace.quarantine") == []
    assert market.rows("SELECT brand, dealer, custody_state, place FROM trace.verdict WHERE activity = 'consumer'") == [
        ("qingyuan", None, "unbound", "not_checked")
    ]
    assert market.rows("SELECT DISTINCT brand FROM trace.verdict WHERE dealer = 'D-ZETA'") == []
    assert market.rows("SELECT brand, dealer FROM trace.binding") == [("zeta", "D-ZETA")]


def test_a_refused_event_of_an_item_is_shown_to_its_brand(market: Market) -> None:
    first, second = market.cases_to("D-CHENGDU")[:2]
    market.land(*market.pack(first))
    market.land(
        Message("station-pack", "factory", market.number(), 5, first["items"][0], "pack", parent=second["label"])
    )
    market.drain()
    assert market.rows("SELECT brand, reason FROM trace.quarantine") == [("qingyuan", "already_packed")]


def test_one_territory_that_the_map_lacks_does_not_stop_the_other_dealers_scans(market: Market) -> None:
    lost = TerritoryVersion(
        dealer="D-QINGYUAN", adcodes=("999999",), valid_from=START - timedelta(days=9), recorded_at=START
    )
    with psycopg.connect(market.database.owner_dsn) as owner:
        owner.execute(
            "INSERT INTO trace.territory (brand, dealer, adcodes, valid_from, recorded_at, sha256)"
            " VALUES ('qingyuan', 'D-QINGYUAN', '{999999}', %s, %s, %s)",
            (lost.valid_from, lost.recorded_at, bytes.fromhex(lost.sha256)),
        )
    case = market.cases_to("D-CHENGDU")[0]
    market.land(*market.pack(case), market.ship(case, "D-CHENGDU"), market.consumer(case["items"][0], "nanjing"))
    market.drain()
    assert market.rows("SELECT place FROM trace.verdict WHERE activity = 'consumer'") == [("outside",)]
    assert market.rows("SELECT count(*) FROM trace.quarantine") == [(0,)]


def test_what_is_no_code_of_ours_is_told_apart_inside_and_never_bound(market: Market) -> None:
    case = market.cases_to("D-CHENGDU")[0]
    item = case["items"][0]
    with psycopg.connect(market.database.owner_dsn) as owner:
        owner.execute("UPDATE trace.batch SET commissioned_at = NULL WHERE gtin = '09506000134369'")
        owner.execute(
            "UPDATE trace.batch SET excluded = int8multirange(counters) WHERE gtin = '09506000134376'",
        )
    by_gtin = {each["gtin"]: each["items"][0] for each in market.job["cases"]}
    forged = item[:-1] + ("0" if item[-1] != "0" else "1")
    texts = {
        forged: "unknown",
        by_gtin["09506000134369"]: "not_commissioned",
        by_gtin["09506000134376"]: "unknown",
        item.replace("09506000134352", "04012345000009"): "foreign",
        "https://example.com/menu": "malformed",
        item: "genuine",
        case["label"]: "logistic",
    }
    assert case["gtin"] == "09506000134352"
    market.land(*(market.consumer(text, "nanjing") for text in texts))
    market.drain()
    assert dict(market.rows("SELECT code, code_state FROM trace.verdict")) == texts
    assert market.rows("SELECT DISTINCT place, dealer FROM trace.verdict") == [("not_checked", None)]


def test_a_scan_from_a_site_that_nobody_registered_is_held_back(market: Market) -> None:
    case = market.cases_to("D-CHENGDU")[0]
    market.land(Message("station-ship", "nowhere", 1, 0, case["label"], "ship", "", "SO-1", "D-CHENGDU"))
    market.drain()
    assert market.rows("SELECT reason, detail FROM trace.quarantine") == [("unknown_site", "nowhere")]
    assert market.rows("SELECT custody_state FROM trace.verdict") == [("quarantined",)]
