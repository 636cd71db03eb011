"""A recall, a hold or an alert takes goods out of stock and proposals within seconds, and gives them back."""

import threading
from collections.abc import Iterator

import psycopg
import pytest
from conftest import TestDatabase
from custody_yard import BRAND, PALLET, PRODUCT, Yard, at
from trace_market import KEYS
from waiting import wait_for

from geofence.maps import load_installed_map
from trace_service.domain.events import Step
from trace_service.worker import Worker

STORE, OTHER, GTIN = "S-CHENGDU-01", "S-NANJING-01", PRODUCT.removeprefix("/01/")
QUANTITY = "SELECT quantity FROM trace.stock WHERE site = 'S-CHENGDU-01' AND gtin = '09506000134352'"
SUSPECT = "SELECT suspect FROM trace.stock WHERE site = 'S-CHENGDU-01' AND gtin = '09506000134352'"
OPEN = (
    "SELECT coalesce(string_agg(kind || ' ' || coalesce(reason -> 'parameters' ->> 'suspect', '0'), ', ' ORDER BY"
    " kind), '') FROM trace.proposal WHERE state = 'open' AND site = 'S-CHENGDU-01' AND gtin = '09506000134352'"
)


@pytest.fixture
def yard(database: TestDatabase) -> Iterator[Yard]:
    """A pallet of 40 items in a store whose line is 12, a worker at work, and a transfer of 20 that is proposed."""
    yard = Yard(database)
    yard.packed_pallet(40)
    yard.capture(yard.event(Step.SHIP, 60, PALLET), yard.event(Step.RECEIVE, 90, PALLET, STORE))
    stop = threading.Event()
    worker = Worker(database.trace_dsn, KEYS, load_installed_map(), stop)
    thread = threading.Thread(target=worker.run)
    thread.start()
    until(yard, QUANTITY, 40)
    with psycopg.connect(database.owner_dsn) as owner:
        for kind, to_site, quantity in (("transfer", OTHER, 20), ("markdown", None, 4)):
            owner.execute(
                "INSERT INTO trace.proposal (brand, kind, site, to_site, gtin, quantity, need_by, reason, created_at,"
                " updated_at) VALUES (%s, %s, %s, %s, %s, %s, current_date,"
                """ '{"code": "surplus_elsewhere", "parameters": {}}', now(), now())""",
                (BRAND, kind, STORE, to_site, GTIN, quantity),
            )
    yield yard
    stop.set()
    thread.join()
    yard.connection.close()


def until(yard: Yard, query: str, wanted: object) -> None:
    wait_for(lambda: yard.rows(query)[0][0] == wanted)


def test_a_recall_empties_the_stock_orders_anew_and_takes_transfers_back_and_its_end_undoes_that(yard: Yard) -> None:
    recalled = yard.event(Step.RECALL, 200, PRODUCT, reason="glass")
    assert yard.capture(recalled) == [None]
    until(yard, SUSPECT, 40)
    until(yard, OPEN, "order 40")
    yard.capture(yard.event(Step.UNBLOCK, 300, PRODUCT, reason="tested"))
    until(yard, SUSPECT, 0)
    until(yard, OPEN, "")
    wrong = yard.event(Step.RECALL, 400, PRODUCT, reason="glass")
    yard.capture(wrong)
    until(yard, SUSPECT, 40)
    yard.capture(yard.event(Step.CORRECT, 410, PRODUCT, corrects=wrong.source, reason="incorrect_data"))
    until(yard, SUSPECT, 0)


def test_one_item_held_leaves_what_is_free_to_be_moved_and_says_what_must_stay(yard: Yard) -> None:
    yard.capture(yard.event(Step.BLOCK, 200, f"{PRODUCT}/21/ITEM3", reason="seal"))
    until(yard, SUSPECT, 1)
    until(yard, OPEN, "markdown 1, transfer 1")


def test_goods_on_which_an_alert_rests_are_no_stock_until_it_is_explained(yard: Yard) -> None:
    with psycopg.connect(yard.database.owner_dsn) as owner:
        for number in range(25):
            key = {"unit": f"{PRODUCT}/21/ITEM{number}", "seq": number, "boot": yard.boot, "ts": at(90)}
            owner.execute(
                "INSERT INTO trace.verdict (device, boot, seq, occurred_at, brand, code, unit, gtin, case_unit,"
                " activity, code_state, custody_state, place) VALUES ('gate', %(boot)s, %(seq)s, %(ts)s, 'qingyuan',"
                " '', %(unit)s, '09506000134352', %(unit)s, 'inspect', 'genuine', 'ok', 'outside')",
                key,
            )
        owner.execute(
            "INSERT INTO trace.alert (brand, kind, dealer, city, raised_at, updated_at, cases, scans, reason)"
            " VALUES ('qingyuan', 'diversion', 'D-CHENGDU', '510100', now(), now(), 1, 25, '{}')"
        )
        owner.execute(
            "INSERT INTO trace.alert_evidence (alert, device, boot, seq, unit, case_unit)"
            " SELECT alert.id, device, boot, seq, unit, unit FROM trace.verdict, trace.alert WHERE device = 'gate'"
        )
    until(yard, SUSPECT, 25)
    until(yard, OPEN, "markdown 25")
    with psycopg.connect(yard.database.owner_dsn) as owner:
        owner.execute("UPDATE trace.alert SET state = 'closed', outcome = 'documented_transfer'")
    until(yard, SUSPECT, 0)
