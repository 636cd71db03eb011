"""Proposals follow what people do: an approval, in whole or in part, and a count, without waiting for a message."""

import json
from collections.abc import Iterator

import psycopg
import pytest
from conftest import TestDatabase
from trace_market import Market

from geofence.maps import load_installed_map

STORE, GTIN = "S-CHENGDU-01", "09506000134352"


@pytest.fixture
def market(database: TestDatabase) -> Iterator[Market]:
    """A store with 2 items of a product whose line is 12 and whose maximum is 48, and the order of 42 that follows."""
    market = Market(database, load_installed_map())
    with psycopg.connect(database.owner_dsn) as owner:
        owner.execute(
            "UPDATE trace.stock SET quantity = 40, sensed = 40, ledger = 40, certainty = 0.9, confidence = 1,"
            " reorder = 12, maximum = 48"
        )
        owner.execute("UPDATE trace.stock SET daily_demand = 3 WHERE site = %s AND gtin = %s", (STORE, GTIN))
    count(market, 2)
    yield market
    market.close()


def change(market: Market, query: str, *values: object) -> None:
    with psycopg.connect(market.database.owner_dsn) as owner:
        owner.execute(query, values)  # type: ignore[arg-type]
    market.drain()


def count(market: Market, counted: int) -> None:
    with psycopg.connect(market.database.owner_dsn) as owner:
        owner.execute(
            "UPDATE trace.stock SET quantity = %s, ledger = %s WHERE site = %s AND gtin = %s",
            (counted, counted, STORE, GTIN),
        )
    change(
        market,
        "INSERT INTO trace.stock_count (brand, site, gtin, counted, counted_by) VALUES ('qingyuan', %s, %s, %s, 'ann')",
        STORE, GTIN, counted,
    )  # fmt: skip


def orders(market: Market) -> list[tuple[object, ...]]:
    return market.rows("SELECT state, quantity FROM trace.proposal WHERE kind = 'order' ORDER BY id")


def test_a_count_brings_the_order_that_follows_from_it_and_another_count_takes_it_back(market: Market) -> None:
    assert orders(market) == [("open", 42)]
    count(market, 8)
    assert orders(market) == [("open", 36)]
    count(market, 30)
    assert orders(market) == [("withdrawn", 36)]


def test_goods_that_another_store_will_send_need_not_be_ordered_as_well(market: Market) -> None:
    change(
        market,
        "INSERT INTO trace.proposal (brand, kind, site, to_site, gtin, quantity, need_by, reason, created_at,"
        " updated_at) SELECT brand, 'transfer', (SELECT min(id) FROM trace.site WHERE id <> stock.site), site, gtin, 9,"
        " current_date, %s, now(), now() FROM trace.stock WHERE site = %s AND gtin = %s",
        json.dumps({"code": "surplus_elsewhere", "parameters": {}}), STORE, GTIN,
    )  # fmt: skip
    assert orders(market) == [("open", 42)]
    change(
        market,
        "UPDATE trace.proposal SET state = 'approved', decided_by = 'ann', decided_at = now() WHERE kind = 'transfer'",
    )
    assert orders(market) == [("open", 36)]


def test_what_somebody_approved_less_of_is_not_proposed_again_at_once(market: Market) -> None:
    approve = (
        "UPDATE trace.proposal SET state = 'approved', decided_by = 'ann', decided_at = now(), proposed = quantity,"
        " quantity = 6, decision_code = 'budget' WHERE state = 'open'"
    )
    change(market, approve)
    assert orders(market) == [("approved", 6)]
    change(market, "UPDATE trace.proposal SET decided_at = now() - interval '25 hours'")
    count(market, 1)
    assert orders(market) == [("approved", 6), ("open", 36)]
