"""The one stock figure: ledger and shelf fused, pallets counted, contradictions told, on a real database."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import psycopg
import pytest
from conftest import TestDatabase
from trace_market import BOOT, Market, Message

from contracts.gs1 import check_digit
from geofence.maps import AtomMap
from trace_service.domain.events import Event, Source, Step
from trace_service.processing.capture import capture
from trace_service.stock.silence import Silence
from trace_service.store.connection import connect

STORE, GTIN = "S-CHENGDU-01", "09506000134352"
_SSCC = "95060001300000077"
PALLET = f"(00){_SSCC}{check_digit(_SSCC)}"


@pytest.fixture
def market(database: TestDatabase, atoms: AtomMap) -> Iterator[Market]:
    market = Market(database, atoms)
    market.start = datetime.now(UTC) - timedelta(hours=3)
    yield market
    market.close()


def figure(market: Market) -> tuple[object, ...]:
    query = "SELECT quantity, ledger, sensed, backroom FROM trace.stock WHERE site = %s AND gtin = %s"
    return market.rows(query, STORE, GTIN)[0]


def findings(market: Market) -> list[tuple[object, ...]]:
    return market.rows("SELECT kind, quantity, resolved_at IS NOT NULL FROM trace.stock_finding ORDER BY id")


def at_store(market: Market, code: str, activity: str, minutes: float) -> None:
    market.land(Message("gateway-market", STORE, market.number(), minutes, code, activity))


def supplied(market: Market, cases: int) -> list[dict[str, list[str]]]:
    """Ship and receive cases at the store, and let the shelf take them up."""
    found = [each for each in market.cases_to("D-CHENGDU") if each["gtin"] == GTIN][:cases]
    for case in found:
        market.land(*market.pack(case), market.ship(case, "D-CHENGDU"))
        at_store(market, case["label"], "receive", 60)
    market.drain()
    return found


def test_what_is_received_stands_in_the_backroom_until_the_shelf_has_it(market: Market) -> None:
    market.shelf("shelf-01", 1, 0, 1)
    supplied(market, 2)
    assert figure(market) == (12, 12, 0, 12)
    market.shelf("shelf-01", 1, 8, 70)
    market.drain()
    assert figure(market) == (12, 12, 8, 4)
    assert findings(market) == []


def test_a_theft_is_shrinkage_and_books_without_goods_are_phantom_stock(market: Market) -> None:
    market.shelf("shelf-01", 1, 0, 1)
    (case,) = supplied(market, 1)
    at_store(market, case["items"][0], "sell", 70)
    for minutes, units in ((71, 5), (72, 5), (73, 5)):
        market.shelf("shelf-01", 1, units, minutes)
        market.drain()
    assert figure(market) == (5, 5, 5, 0)
    for minutes in (80, 81, 82):
        market.shelf("shelf-01", 1, 0, minutes)
        market.drain()
    assert figure(market) == (0, 5, 0, 0)
    assert findings(market) == [("shrinkage", 5, False), ("phantom_stock", 5, False)]
    for minutes in (90, 91, 92):
        market.shelf("shelf-01", 1, 5, minutes)
        market.drain()
    assert findings(market) == [("shrinkage", 5, False), ("phantom_stock", 5, True), ("unrecorded_refill", 5, False)]


def test_an_item_sold_that_was_never_supplied_is_a_lead_with_its_name(market: Market) -> None:
    foreign = next(each for each in market.cases_to("D-HANGZHOU") if each["gtin"] == GTIN)
    market.land(*market.pack(foreign), market.ship(foreign, "D-HANGZHOU"))
    at_store(market, foreign["items"][0], "sell", 70)
    market.drain()
    assert findings(market) == [("unexplained_stock", 1, False)]
    (detail,) = market.rows("SELECT detail FROM trace.stock_finding")[0]
    assert len(detail["units"]) == 1
    assert detail["units"][0].startswith(f"/01/{GTIN}/21/")


def test_a_pallet_received_by_its_label_counts_for_every_item_on_it(market: Market) -> None:
    cases = [each for each in market.cases_to("D-CHENGDU") if each["gtin"] == GTIN][:3]
    for case in cases:
        market.land(*market.pack(case))
        market.land(Message("station-pack", "factory", market.number(), 10, case["label"], "pack", parent=PALLET))
    market.land(Message("station-ship", "dc-east", market.number(), 30, PALLET, "ship", "", "SO-9", "D-CHENGDU"))
    market.drain()
    assert market.rows("SELECT coming FROM trace.stock WHERE site = %s AND gtin = %s", STORE, GTIN) == [(18,)]
    at_store(market, PALLET, "receive", 60)
    market.drain()
    assert figure(market)[:2] == (18, 18)
    assert market.rows("SELECT coming FROM trace.stock WHERE site = %s AND gtin = %s", STORE, GTIN) == [(0,)]
    at_store(market, cases[0]["items"][0], "sell", 70)
    market.drain()
    assert figure(market)[1] == 17


def test_events_that_come_by_capture_count_as_well_and_corrections_take_them_back(market: Market) -> None:
    (case,) = supplied(market, 1)
    unit = market.rows("SELECT unit FROM trace.stock_unit WHERE present ORDER BY unit LIMIT 1")[0][0]
    sold = Source("till", UUID(int=9), 1)
    with market.connection.transaction():
        capture(market.connection, "qingyuan", [_event(unit, Step.SELL, sold, 70)])
    market.drain()
    assert figure(market)[1] == len(case["items"]) - 1
    with market.connection.transaction():
        capture(market.connection, "qingyuan", [_event(unit, Step.CORRECT, Source("till", UUID(int=9), 2), 71, sold)])
    market.drain()
    assert figure(market)[1] == len(case["items"])


def test_items_that_stations_scan_are_of_the_lot_that_their_codes_were_issued_with(market: Market) -> None:
    supplied(market, 1)
    lots = market.rows("SELECT DISTINCT lot FROM trace.stock_unit WHERE present")
    issued = market.rows("SELECT DISTINCT '/01/' || gtin || '/10/' || lot FROM trace.batch WHERE gtin = %s", GTIN)
    assert lots == issued
    assert lots[0][0] is not None
    sold = market.rows("SELECT unit FROM trace.stock_unit WHERE present ORDER BY unit LIMIT 1")[0][0]
    with market.connection.transaction():
        capture(market.connection, "qingyuan", [_event(sold, Step.SELL, Source("till", UUID(int=9), 1), 70)])
    market.drain()
    assert market.rows("SELECT lot FROM trace.stock_unit WHERE unit = %s", sold) == issued


def test_what_a_camera_sees_stands_beside_the_stock_and_is_no_count_of_items(market: Market) -> None:
    market.shelf("shelf-01", 1, 14, 0)
    market.camera("camera-01", GTIN, (3, 1, 0, 0), 1)
    market.drain()
    assert figure(market)[0] == 14
    seen = "SELECT filled, empty, strange FROM trace.shelf_facing"
    assert market.rows(seen) == [(3, 1, 0)]
    market.camera("camera-01", GTIN, (2, 0, 0, 2), 2)
    market.drain()
    assert findings(market) == [("misplaced_product", 2, False)]
    market.camera("camera-01", GTIN, (2, 0, 0, 2), 3)
    market.camera("camera-01", GTIN, (0, 0, 4, 0), 4, "UNSEEN")
    market.drain()
    assert findings(market) == [("misplaced_product", 2, False)], "told once, and not over because nobody sees it"
    market.camera("camera-01", GTIN, (4, 0, 0, 0), 5)
    market.camera("camera-01", GTIN, (1, 3, 0, 0), 0)
    market.drain()
    assert findings(market) == [("misplaced_product", 2, True)]
    assert market.rows(seen) == [(4, 0, 0)], "an older look changes nothing"


def test_a_product_that_nobody_planned_and_one_that_weighs_otherwise_are_told_until_they_are_over(
    market: Market,
) -> None:
    other = "09506000134369"
    market.shelf("shelf-01", 1, 14, 0)
    market.drain()
    market.shelf("shelf-01", 1, 8, 1, gtin=other)
    market.drain()
    assert findings(market) == [("unplanned_product", 8, False)]
    market.shelf("shelf-01", 1, 7, 2, gtin=other)
    market.drain()
    assert findings(market) == [("unplanned_product", 8, False)]
    market.shelf("shelf-01", 1, 20, 3)
    market.drain()
    assert findings(market) == [("unplanned_product", 8, True)]
    market.shelf("shelf-01", 1, 18, 4, fault="PLANOGRAM", confidence=0.0)
    market.drain()
    assert findings(market)[1:] == [("wrong_planogram", 18, False)]
    assert figure(market)[0] == 20, "the last good figure stands"
    market.shelf("shelf-01", 1, 18, 5)
    market.drain()
    assert findings(market)[1:] == [("wrong_planogram", 18, True)]


def test_a_shelf_that_nobody_hears_of_is_doubted_and_a_channel_that_is_gone_counts_no_more(market: Market) -> None:
    silence = Silence()
    market.shelf("shelf-01", 1, 14, 0)
    market.shelf("shelf-01", 2, 6, 0, gtin=GTIN)
    market.drain()
    assert certainty(market) == (20, 20, 0.98)
    look(market, silence, 100.0)
    assert certainty(market) == (20, 20, 0.4), "it is three hours old"
    market.shelf("shelf-01", 1, 14, 179)
    market.drain()
    look(market, silence, 200.0)
    assert certainty(market)[2] == 0.4, "the other channel may be on its way"
    look(market, silence, 600.0)
    assert certainty(market) == (14, 14, 0.98), "its agent weighs one channel only"
    with psycopg.connect(market.database.owner_dsn) as owner:
        owner.execute("UPDATE landing.device SET retired_at = now() WHERE id = 'shelf-01'")
    look(market, silence, 700.0)
    assert certainty(market) == (None, None, 0.0)


def look(market: Market, silence: Silence, now: float) -> None:
    with connect(market.database.trace_dsn, "test") as connection, connection.transaction():
        silence.look(connection, now)


def certainty(market: Market) -> tuple[object, ...]:
    query = (
        "SELECT quantity, sensed, round(certainty::numeric, 2)::float8 FROM trace.stock WHERE site = %s AND gtin = %s"
    )
    return market.rows(query, STORE, GTIN)[0]


def _event(unit: str, step: Step, source: Source, minutes: int, corrects: Source | None = None) -> Event:
    assert source.boot != BOOT
    return Event(unit, step, STORE, datetime.now(UTC) - timedelta(minutes=180 - minutes), source, corrects=corrects)
