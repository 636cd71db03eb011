"""However scans come to the worker, in any order, split or batch, the end is the same; a bad one spoils no other."""

import random
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from trace_market import Market, Message
from waiting import PATIENCE

from trace_service.domain.verification import Asked, Verdict, World
from trace_service.processing import scans
from trace_service.store.connection import connect
from trace_service.store.queries import SQL

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
    for seed, largest in enumerate((20, 40, 80, len(day))):
        clear(market)
        chance = random.Random(seed)
        shuffled = chance.sample(day, len(day))
        while shuffled:
            size = chance.randint(1, largest)
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
            done.result(timeout=2 * PATIENCE)
    # The brand's engine stays with the session that had it first.
    market.drain()
    assert state(market) == expected
