import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from case_parts import do, hire, only
from conftest import TestDatabase
from trace_market import START, Market, Message

from geofence.maps import AtomMap, load_installed_map
from geofence.territory import TerritoryVersion
from trace_service.cases.machine import Action, State
from trace_service.domain.verification import Asked, Verdict, World
from trace_service.processing import scans
from trace_service.store.connection import connect
from trace_service.store.queries import SQL


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


STATE = (
    (
        "SELECT device, seq, code_state, custody_state, place, city, dealer, shipment, case_unit, brand, reasons"
        " FROM trace.verdict ORDER BY device, seq"
    ),
    (
        "SELECT child, parent, valid_from, valid_to FROM trace.containment"
        " WHERE valid_to IS DISTINCT FROM valid_from ORDER BY child, valid_from"
    ),
    (
        "SELECT unit, dealer, shipment, valid_from, valid_to FROM trace.binding"
        " WHERE valid_to IS DISTINCT FROM valid_from ORDER BY unit, valid_from"
    ),
    "SELECT device, seq, reason FROM trace.quarantine WHERE resolved_at IS NULL ORDER BY device, seq",
    "SELECT dealer, city, cases, scans FROM trace.alert WHERE state <> 'closed' ORDER BY dealer, city",
    (
        "SELECT device, seq, case_unit FROM trace.alert_evidence JOIN trace.alert ON alert.id = alert"
        " WHERE state <> 'closed' ORDER BY device, seq"
    ),
    "SELECT site, gtin, ledger FROM trace.stock ORDER BY site, gtin",
    "SELECT id, from_site, to_dealer, started_at FROM trace.shipment ORDER BY id",
)


def busy_day(market: Market) -> list[Message]:
    """An attack, honest trade, and every kind of event that custody refuses."""
    cases = market.cases_to("D-CHENGDU")[:14]
    other = market.cases_to("D-NANJING")[0]
    day = []
    for number, case in enumerate([*cases, other]):
        dealer = "D-NANJING" if case is other else "d-chengdu"
        day += [
            *market.pack(case),
            market.ship(case, dealer),
            market.consumer(case["items"][0], "nanjing", 90 + number),
        ]
    store = "S-CHENGDU-01"
    day += [
        market.consumer(cases[0]["items"][1], "chengdu"),
        Message("station-pack", "factory", market.number(), 5, cases[0]["items"][2], "pack", other["label"]),
        Message("station-ship", "dc-east", market.number(), 40, cases[1]["label"], "ship", "", "SO-X", "D-NANJING"),
        Message("station-ship", "dc-east", market.number(), 41, other["label"], "ship", "", "SO-Y", "D-NOBODY"),
        Message("station-ship", "dc-east", market.number(), 42, other["items"][1], "ship", "", "SO-Z", "D-BEIJING"),
        Message("gateway-market", store, market.number(), 60, cases[2]["label"], "receive"),
        Message("gateway-market", store, market.number(), 70, cases[2]["items"][3], "sell"),
        Message("gateway-market", store, market.number(), 95, cases[2]["label"], "ship", "", "SO-B", "D-WUHOU"),
        Message("gateway-market", "market", market.number(), 200, cases[2]["items"][4], "consumer", place="wuhan"),
        Message("gateway-market", store, market.number(), 61, cases[3]["label"], "receive"),
        Message("gateway-market", store, market.number(), 71, cases[3]["items"][3], "sell"),
        Message("gateway-market", store, market.number(), 96, cases[3]["label"], "receive"),
    ]
    return day


def state(market: Market) -> list[list[tuple[object, ...]]]:
    return [market.rows(query) for query in STATE]


def test_any_order_and_any_split_into_batches_gives_the_same_end(market: Market) -> None:
    day = busy_day(market)
    market.land(*day)
    market.drain()
    expected = state(market)
    assert [row[2] for row in expected[3]] == ["already_packed", "already_shipped", "unknown_dealer", "inside_parent"]
    # Three of the fourteen cases were seen at home as well: somebody carried a bottle of each.
    assert expected[4] == [("D-CHENGDU", "320100", 11, 11)]
    assert sorted(row[2] for row in expected[6]) == [0, 0, 0, 0, 0, 0, 0, 5]
    for seed in range(4):
        clear(market)
        chance = random.Random(seed)
        shuffled = chance.sample(day, len(day))
        while shuffled:
            size = chance.randint(1, 20)
            market.land(*shuffled[:size])
            del shuffled[:size]
            market.drain()
        assert state(market) == expected


def clear(market: Market) -> None:
    with psycopg.connect(market.database.owner_dsn) as owner:
        owner.execute(
            "TRUNCATE trace.alert_evidence, trace.alert, trace.verdict, trace.verdict_superseded, trace.custody_event,"
            " trace.containment, trace.binding, trace.shipment, trace.quarantine, landing.scan, landing.work,"
            " trace.custody_reliance, trace.custody_content, trace.reevaluation, trace.observation_inbox,"
            " trace.observation, trace.observed, trace.engine_snapshot CASCADE"
        )
        owner.execute("UPDATE trace.stock SET ledger = 0")


def test_the_same_scans_processed_again_change_nothing(market: Market) -> None:
    day = busy_day(market)
    market.land(*day)
    market.drain()
    before = state(market), market.rows("SELECT count(*) FROM trace.custody_event")
    market.land(*day)
    market.drain()
    assert (state(market), market.rows("SELECT count(*) FROM trace.custody_event")) == before
    assert market.rows("SELECT count(*) FROM trace.verdict_superseded") == [(0,)]


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
        work.result(timeout=30)
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


def test_a_poisonous_scan_is_set_aside_with_its_reason_and_the_others_go_on(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = market.cases_to("D-CHENGDU")[0]
    poison = market.consumer(case["items"][3], "nanjing")
    market.land(*market.pack(case)[:3], poison, market.consumer(case["items"][0], "nanjing"))
    original = scans.decide_all

    def faulty(asked: list[Asked], world: World) -> list[Verdict]:
        if any(scan.source.seq == poison.seq for scan, *_ in asked):
            raise ArithmeticError("this one")
        return original(asked, world)

    monkeypatch.setattr(scans, "decide_all", faulty)
    market.drain()
    assert market.rows("SELECT seq, code, reason, detail FROM trace.quarantine") == [
        (poison.seq, poison.code, "processing_failed", "ArithmeticError: this one")
    ]
    assert market.rows("SELECT count(*) FROM trace.verdict") == [(4,)]
    assert market.rows("SELECT count(*) FROM landing.work") == [(0,)]


def test_events_queued_in_one_row_are_done_and_a_poisonous_one_among_them_leaves_it_alone(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = market.cases_to("D-CHENGDU")[0]
    codes = case["items"][:7]
    visits = [market.consumer(code, "nanjing") for code in codes]
    market.land(*visits)
    with psycopg.connect(market.database.owner_dsn) as owner:
        owner.execute(
            "WITH all_of_it AS (DELETE FROM landing.work RETURNING *)"
            " INSERT INTO landing.work (kind, device, boot, seq, ts, following)"
            " SELECT min(kind), min(device), boot, min(seq), (array_agg(ts ORDER BY seq))[1],"
            " (array_agg(ts ORDER BY seq))[2:] FROM all_of_it GROUP BY boot"
        )
    assert market.rows("SELECT count(*) FROM landing.work") == [(1,)]
    assert market.rows("SELECT seq FROM landing.queued ORDER BY seq") == [(each.seq,) for each in visits]
    original = scans.decide_all

    def faulty(asked: list[Asked], world: World) -> list[Verdict]:
        if any(scan.source.seq == visits[4].seq for scan, *_ in asked):
            raise ArithmeticError("this one")
        return original(asked, world)

    monkeypatch.setattr(scans, "decide_all", faulty)
    market.drain()
    assert market.rows("SELECT seq, detail FROM trace.quarantine") == [(visits[4].seq, "ArithmeticError: this one")]
    good = sorted(set(codes) - {codes[4]})
    assert market.rows("SELECT code FROM trace.verdict ORDER BY code") == [(code,) for code in good]
    assert market.rows("SELECT count(*) FROM landing.work") == [(0,)]


def test_no_more_rows_are_claimed_than_hold_a_batch(market: Market) -> None:
    with psycopg.connect(market.database.owner_dsn) as owner:
        owner.execute(
            "INSERT INTO landing.work (kind, device, boot, seq, ts, following)"
            " SELECT 'scan', 'station-pack', gen_random_uuid(), 1, now(), array_fill(now(), ARRAY[n - 1])"
            " FROM unnest(ARRAY[3, 4, 1, 1, 50, 50]) WITH ORDINALITY AS size (n, nth) ORDER BY nth"
        )
    with connect(market.database.trace_dsn, "one") as one, connect(market.database.trace_dsn, "other") as other:
        assert len(one.execute(SQL["claim"], {"limit": 8}).fetchall()) == 3 + 4 + 1
        with other.transaction():
            assert len(other.execute(SQL["claim"], {"limit": 8}).fetchall()) == 1 + 50
            assert len(one.execute(SQL["claim"], {"limit": 8}).fetchall()) == 50


def test_four_workers_side_by_side_give_the_same_end_as_one(market: Market) -> None:
    day = busy_day(market)
    market.land(*day)
    market.drain()
    expected = state(market)
    clear(market)
    market.land(*random.Random(5).sample(day, len(day)))

    def work() -> None:
        worker = market.worker()
        with connect(market.database.trace_dsn, "test worker") as connection:
            while connection.execute("SELECT EXISTS (SELECT FROM landing.work)").fetchone() == (True,):
                worker.drain(connection)

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(work) for _ in range(4)]:
            done.result(timeout=60)
    # The brand's engine stays with the session that had it first.
    market.drain()
    assert state(market) == expected


def test_a_scan_from_a_site_that_nobody_registered_is_held_back(market: Market) -> None:
    case = market.cases_to("D-CHENGDU")[0]
    market.land(Message("station-ship", "nowhere", 1, 0, case["label"], "ship", "", "SO-1", "D-CHENGDU"))
    market.drain()
    assert market.rows("SELECT reason, detail FROM trace.quarantine") == [("unknown_site", "nowhere")]
    assert market.rows("SELECT custody_state FROM trace.verdict") == [("quarantined",)]
