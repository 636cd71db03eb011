"""The nightly run on a real database: lines from sales, proposals of every kind, and what decisions teach."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from random import Random

import psycopg
import pytest
from trace_market import Market

from contracts.errors import ConfigurationError
from trace_service.nightly import checked
from trace_service.replenishment.night.demo_sales import seed_sales
from trace_service.replenishment.night.nights import run_due
from trace_service.replenishment.night.runs import Report, run
from trace_service.store.connection import connect

BRAND, GIVER, TAKER = "qingyuan", "S-CHENGDU-01", "S-CHENGDU-09"
NOW = datetime(2026, 3, 2, 20, tzinfo=UTC)
TODAY = date(2026, 3, 3)


@pytest.fixture
def owner(market: Market) -> Iterator[psycopg.Connection]:
    with psycopg.connect(market.database.owner_dsn, autocommit=True) as connection:
        yield connection


def product(owner: psycopg.Connection) -> str:
    row = owner.execute("SELECT gtin FROM trace.stock WHERE site = %s ORDER BY gtin", (GIVER,)).fetchone()
    assert row is not None
    return str(row[0])


def second_store(owner: psycopg.Connection, gtin: str) -> None:
    owner.execute(
        "INSERT INTO trace.site (id, kind, dealer, name_zh, name_en, lon, lat)"
        " SELECT %s, kind, dealer, '二店', 'Second', lon + 0.05, lat FROM trace.site WHERE id = %s",
        (TAKER, GIVER),
    )
    owner.execute(
        "INSERT INTO trace.stock (site, gtin, brand, dealer, daily_demand, reorder, maximum)"
        " SELECT %s, gtin, brand, dealer, daily_demand, reorder, 200 FROM trace.stock WHERE site = %s AND gtin = %s",
        (TAKER, GIVER, gtin),
    )


def sell(owner: psycopg.Connection, site: str, gtin: str, mean: int, days: int = 120) -> None:
    random = Random(site)
    for back in range(1, days + 1):
        owner.execute(
            "INSERT INTO trace.demand_day (brand, site, gtin, day, units, source) VALUES (%s, %s, %s, %s, %s, 'file')",
            (BRAND, site, gtin, TODAY - timedelta(days=back), random.randint(0, 2 * mean)),
        )


def hold(owner: psycopg.Connection, site: str, gtin: str, quantity: int, certainty: float = 0.95) -> None:
    owner.execute(
        "UPDATE trace.stock SET quantity = %s, sensed = %s, confidence = 1, certainty = %s, maximum = 200,"
        " sure_at = now() WHERE site = %s AND gtin = %s",
        (quantity, quantity, certainty, site, gtin),
    )


def nightly(market: Market) -> Report:
    with connect(market.database.trace_dsn, "run") as connection:
        report = run(connection, BRAND, NOW, 0.95)
    assert report is not None
    return report


def proposals(market: Market, kind: str) -> list[tuple[object, ...]]:
    query = "SELECT site, to_site, quantity, p_without, p_with FROM trace.proposal WHERE kind = %s AND state = 'open'"
    return market.rows(query, kind)


def test_without_a_fortnight_of_sales_the_configured_lines_stay(market: Market, owner: psycopg.Connection) -> None:
    sell(owner, GIVER, product(owner), 3, days=9)
    assert not nightly(market).ready
    assert market.rows("SELECT * FROM trace.stock_line") == []


def test_lines_follow_demand_and_the_order_follows_the_lines(market: Market, owner: psycopg.Connection) -> None:
    gtin = product(owner)
    sell(owner, GIVER, gtin, 8)
    hold(owner, GIVER, gtin, 30)
    assert nightly(market).ready
    ((safety, warning, maximum, evidence),) = market.rows(
        "SELECT safety, warning, maximum, evidence FROM trace.stock_line WHERE site = %s AND gtin = %s", GIVER, gtin
    )
    assert 0 < safety < warning < maximum <= 200
    assert 40 < warning < 100
    assert evidence > 0.5
    ((site, _, quantity, without, with_it),) = proposals(market, "order")
    assert site == GIVER
    assert 30 + quantity <= maximum
    assert without > 0.8
    assert with_it < 0.2
    planned = market.rows(
        "SELECT order_on, early_on, quantity FROM trace.planned_order WHERE site = %s ORDER BY 1", GIVER
    )
    assert planned[0][0] == TODAY
    assert all(early <= day for day, early, _ in planned)


def test_stock_moves_between_stores_of_one_dealer_and_the_giver_keeps_what_it_needs(
    market: Market, owner: psycopg.Connection
) -> None:
    gtin = product(owner)
    second_store(owner, gtin)
    sell(owner, GIVER, gtin, 2)
    sell(owner, TAKER, gtin, 2)
    hold(owner, GIVER, gtin, 150)
    hold(owner, TAKER, gtin, 0)
    nightly(market)
    ((site, to_site, quantity, without, with_it),) = proposals(market, "transfer")
    assert (site, to_site) == (GIVER, TAKER)
    assert 5 < quantity < 40
    assert with_it < without
    # What the goods earn must pay for the trip, whatever they weigh.
    owner.execute("UPDATE trace.product SET unit_price = 1 WHERE gtin = %s", (gtin,))
    nightly(market)
    assert proposals(market, "transfer") == []
    owner.execute("UPDATE trace.product SET unit_price = 328 WHERE gtin = %s", (gtin,))
    hold(owner, TAKER, gtin, 100)
    nightly(market)
    assert proposals(market, "transfer") == []


def test_goods_under_suspicion_are_neither_stock_nor_given_away(market: Market, owner: psycopg.Connection) -> None:
    gtin = product(owner)
    second_store(owner, gtin)
    sell(owner, GIVER, gtin, 2)
    sell(owner, TAKER, gtin, 2)
    hold(owner, GIVER, gtin, 40)
    hold(owner, TAKER, gtin, 0)
    for number in range(40):
        owner.execute(
            "INSERT INTO trace.stock_unit (site, unit, gtin, lot, present, coming, strange)"
            " VALUES (%s, %s, %s, %s, true, false, false)",
            (GIVER, f"/01/{gtin}/21/T{number}", gtin, f"/01/{gtin}/10/L1"),
        )
    owner.execute(
        "INSERT INTO trace.custody_event (brand, unit, biz_step, site, occurred_at, device, boot, seq) VALUES"
        " (%s, %s, 'recalling', %s, now(), 'api', gen_random_uuid(), 1)",
        (BRAND, f"/01/{gtin}/10/L1", GIVER),
    )
    nightly(market)
    assert market.rows("SELECT suspect FROM trace.stock WHERE site = %s AND gtin = %s", GIVER, gtin) == [(40,)]
    assert proposals(market, "transfer") == []
    assert {row[0] for row in proposals(market, "order")} == {GIVER, TAKER}


def test_what_hardly_sells_is_marked_down_and_what_nobody_is_sure_of_is_counted(
    market: Market, owner: psycopg.Connection
) -> None:
    gtin = product(owner)
    owner.execute(
        "INSERT INTO trace.demand_day (brand, site, gtin, day, units, source) VALUES (%s, %s, %s, %s, 1, 'file')",
        (BRAND, GIVER, gtin, TODAY - timedelta(days=110)),
    )
    hold(owner, GIVER, gtin, 60)
    nightly(market)
    assert [row[0] for row in proposals(market, "markdown")] == [GIVER]
    hold(owner, GIVER, gtin, 60, certainty=0.3)
    nightly(market)
    assert proposals(market, "markdown") == []
    assert [row[0] for row in proposals(market, "count")] == [GIVER]


def test_people_who_keep_ordering_less_lower_the_lines_within_bounds(market: Market, owner: psycopg.Connection) -> None:
    gtin = product(owner)
    sell(owner, GIVER, gtin, 8)
    hold(owner, GIVER, gtin, 30)
    nightly(market)
    query = "SELECT warning, bias FROM trace.stock_line WHERE site = %s AND gtin = %s"
    ((before, bias),) = market.rows(query, GIVER, gtin)
    assert bias == 1
    for day in range(12):
        owner.execute(
            "INSERT INTO trace.proposal (brand, kind, site, gtin, quantity, proposed, need_by, reason, state,"
            " created_at, updated_at, decided_by, decided_at, arrived)"
            " VALUES (%s, 'order', %s, %s, 12, 48, current_date, '{}',"
            " 'approved', now(), now(), 'ann', now() - %s * interval '7 days', 12)",
            (BRAND, GIVER, gtin, day + 1),
        )
    nightly(market)
    ((after, bias),) = market.rows(query, GIVER, gtin)
    assert bias == 0.8
    assert before * 0.7 < after < before


def test_a_store_that_the_vendor_supplies_gets_a_proposal_of_its_own_kind(
    market: Market, owner: psycopg.Connection
) -> None:
    gtin = product(owner)
    owner.execute("UPDATE trace.stock SET managed = 'vendor' WHERE site = %s AND gtin = %s", (GIVER, gtin))
    sell(owner, GIVER, gtin, 8)
    hold(owner, GIVER, gtin, 10)
    nightly(market)
    assert [row[0] for row in proposals(market, "vmi")] == [GIVER]


def test_a_decision_leaves_by_webhook_with_all_that_was_decided(market: Market, owner: psycopg.Connection) -> None:
    gtin = product(owner)
    owner.execute(
        "INSERT INTO trace.webhook (brand, url, topics, secret) VALUES (%s, 'https://erp.example/in',"
        " '{proposal.*}', '\\x00')",
        (BRAND,),
    )
    sell(owner, GIVER, gtin, 8)
    hold(owner, GIVER, gtin, 30)
    nightly(market)
    owner.execute("UPDATE trace.proposal SET state = 'approved', decided_by = 'ann', decided_at = now()")
    told = market.rows("SELECT topic, payload FROM trace.webhook_delivery ORDER BY id")
    assert [topic for topic, _ in told] == ["proposal.made", "proposal.approved"]
    sent = told[1][1]["proposal"]
    assert (sent["site"], sent["gtin"], sent["decided_by"], sent["model"]) == (GIVER, gtin, "ann", "codefence-2")


def test_scanned_sales_become_demand_and_a_sale_taken_back_leaves_it(market: Market, owner: psycopg.Connection) -> None:
    gtin = product(owner)
    for number in range(3):
        owner.execute(
            "INSERT INTO trace.stock_unit (site, unit, gtin, present, coming, strange, sold_at)"
            " VALUES (%s, %s, %s, false, false, false, '2026-03-01 17:00+00')",
            (GIVER, f"/01/{gtin}/21/S{number}", gtin),
        )
    nightly(market)
    query = "SELECT day, units FROM trace.demand_day WHERE site = %s AND gtin = %s"
    assert market.rows(query, GIVER, gtin) == [(date(2026, 3, 2), 3)]
    owner.execute("DELETE FROM trace.stock_unit WHERE unit LIKE '%%/S2'")
    nightly(market)
    assert market.rows(query, GIVER, gtin) == [(date(2026, 3, 2), 2)]
    owner.execute("DELETE FROM trace.stock_unit")
    nightly(market)
    assert market.rows(query, GIVER, gtin) == [(date(2026, 3, 2), 0)]


def test_deliveries_teach_how_long_they_take_and_orders_count_as_coming_for_as_long(
    market: Market, owner: psycopg.Connection
) -> None:
    gtin = product(owner)
    sell(owner, GIVER, gtin, 4)
    hold(owner, GIVER, gtin, 90)
    for week in range(6):
        owner.execute(
            "INSERT INTO trace.proposal (brand, kind, site, gtin, quantity, need_by, reason, state, created_at,"
            " updated_at, decided_by, decided_at, arrived, arrived_at)"
            " VALUES (%(brand)s, 'order', %(site)s, %(gtin)s, 12, current_date, '{}', 'approved', now(), now(),"
            " 'ann', now() - %(week)s * interval '12 days',"
            " 12, now() - %(week)s * interval '12 days' + interval '9 days')",
            {"brand": BRAND, "site": GIVER, "gtin": gtin, "week": week + 2},
        )
    nightly(market)
    ((lead,),) = market.rows("SELECT lead_days FROM trace.stock_line WHERE site = %s AND gtin = %s", GIVER, gtin)
    assert 7 < lead < 9
    owner.execute(
        "INSERT INTO trace.proposal (brand, kind, site, gtin, quantity, need_by, reason, state, created_at, updated_at,"
        " decided_by, decided_at) VALUES (%s, 'order', %s, %s, 24, current_date, '{}', 'approved', now(), now(), 'ann',"
        " now() - interval '7 days')",
        (BRAND, GIVER, gtin),
    )
    assert market.rows("SELECT quantity FROM trace.in_transit WHERE site = %s AND gtin = %s", GIVER, gtin) == [(24,)]


def test_each_brand_is_run_once_a_night_and_not_before_its_hour(market: Market, owner: psycopg.Connection) -> None:
    gtin = product(owner)
    sell(owner, GIVER, gtin, 3)
    with connect(market.database.trace_dsn, "tests") as connection:
        # 20:00 UTC is four in the morning where the stores are.
        assert run_due(connection, NOW, "0 5 * * *", 0.95) == []
        assert run_due(connection, NOW, "30 2 * * *", 0.95) == [BRAND]
        assert run_due(connection, NOW, "30 2 * * *", 0.95) == []
        assert run_due(connection, NOW + timedelta(days=1), "30 2 * * *", 0.95) == [BRAND]
        nights = connection.execute("SELECT night, report FROM trace.replenish_night ORDER BY night").fetchall()
    assert [tuple(row) for row in nights] == [(TODAY, "ready"), (TODAY + timedelta(days=1), "ready")]


def test_a_schedule_that_never_comes_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="never comes"):
        checked("0 25 * * *")


def test_the_demo_has_sales_by_which_its_first_night_plans_and_which_say_that_they_are_made_up(
    market: Market, owner: psycopg.Connection
) -> None:
    with connect(market.database.trace_dsn, "demo") as connection:
        assert seed_sales(connection, BRAND, NOW) == 8 * 120
        assert seed_sales(connection, BRAND, NOW) == 0
    assert market.rows("SELECT DISTINCT source FROM trace.demand_day") == [("demo",)]
    report = nightly(market)
    assert (report.ready, report.own_lines) == (True, 8)
    drawn = market.rows(
        "SELECT line.warning, stock.reorder FROM trace.stock_line AS line JOIN trace.stock USING (site, gtin)"
    )
    # The demo's shelves are filled above twice their line: none of them may want an order from the start.
    assert all(0.5 * reorder <= warning <= 1.6 * reorder for warning, reorder in drawn), drawn
    orders = market.rows("SELECT occasion FROM trace.planned_order")
    assert any("demo promotion" in occasion for (occasion,) in orders)
    first = market.rows("SELECT site, gtin, day, units FROM trace.demand_day ORDER BY 1, 2, 3")
    owner.execute("DELETE FROM trace.demand_day")
    with connect(market.database.trace_dsn, "demo") as connection:
        seed_sales(connection, BRAND, NOW)
    assert market.rows("SELECT site, gtin, day, units FROM trace.demand_day ORDER BY 1, 2, 3") == first


def lot_of(owner: psycopg.Connection, gtin: str, units: int, days: int) -> None:
    """Put units of the newest batch into the giver's store, which expires in so many days."""
    row = owner.execute(
        "UPDATE trace.batch SET produced_on = %s, expires_on = %s WHERE gtin = %s RETURNING lot",
        (TODAY - timedelta(days=30), TODAY + timedelta(days=days), gtin),
    ).fetchone()
    assert row is not None
    owner.execute(
        "INSERT INTO trace.stock_unit (site, unit, gtin, lot, present, coming, strange)"
        " SELECT %s, '/01/' || %s || '/21/E' || n, %s, '/01/' || %s || '/10/' || %s, true, false, false"
        " FROM generate_series(1, %s) AS n",
        (GIVER, gtin, gtin, gtin, row[0], units),
    )
    hold(owner, GIVER, gtin, units)


def test_what_expires_is_sent_to_the_dealers_own_store_that_sells_it_and_never_to_another_dealer(
    market: Market, owner: psycopg.Connection
) -> None:
    gtin = product(owner)
    second_store(owner, gtin)
    sell(owner, GIVER, gtin, 1)
    sell(owner, TAKER, gtin, 6)
    hold(owner, TAKER, gtin, 20)
    lot_of(owner, gtin, 40, days=11)
    nightly(market)
    # Some of it is urgent there as well: both go as one move.
    ((site, to_site, moved, without, _),) = proposals(market, "transfer")
    assert (site, to_site) == (GIVER, TAKER)
    assert 20 < moved <= 40
    assert isinstance(without, float)
    assert without > 0.5
    assert market.rows("SELECT reason ->> 'code' FROM trace.proposal WHERE kind = 'transfer'") == [("sent_on",)]
    owner.execute("UPDATE trace.stock SET dealer = 'D-NANJING' WHERE site = %s", (TAKER,))
    nightly(market)
    assert proposals(market, "transfer") == []
    ((site, _, marked_down, _, _),) = proposals(market, "markdown")
    assert site == GIVER
    assert marked_down == pytest.approx(moved, abs=1)


def test_no_more_is_ordered_than_sells_before_it_expires(market: Market, owner: psycopg.Connection) -> None:
    gtin = product(owner)
    sell(owner, GIVER, gtin, 4)
    hold(owner, GIVER, gtin, 10)
    query = "SELECT warning, maximum FROM trace.stock_line WHERE site = %s AND gtin = %s"
    nightly(market)
    ((_, unbounded),) = market.rows(query, GIVER, gtin)
    lot_of(owner, gtin, 1, days=8)
    nightly(market)
    ((warning, maximum),) = market.rows(query, GIVER, gtin)
    assert unbounded > 50
    assert 25 < maximum < 36
    assert warning < maximum


def test_what_leaves_a_shelf_is_demand_where_nobody_scans_sales(market: Market, owner: psycopg.Connection) -> None:
    gtin = product(owner)
    seen = ((30, 9, 40), (10, 10, 36), (10, 11, 37), (10, 12, 35), (10, 13, 60), (10, 14, 57), (5, 9, 50))
    odd = ((10, 15, 0, "SATURATED", 1.0), (10, 16, 0, "", 0.3))
    rows = [(*each, "", 1.0) for each in seen] + list(odd)
    for number, (back, hour, units, fault, confidence) in enumerate(rows):
        owner.execute(
            "INSERT INTO landing.stock (device, boot, seq, ts, sent_at, received_at, content, site, channel, gtin,"
            " grams, units, confidence, fault)"
            " VALUES ('shelf-x', gen_random_uuid(), %(seq)s, %(ts)s, %(ts)s, %(ts)s, 0,"
            " %(site)s, 1, %(gtin)s, 0, %(units)s, %(confidence)s, %(fault)s)",
            {
                "seq": number, "ts": datetime(2026, 3, 3, hour, tzinfo=UTC) - timedelta(days=back), "site": GIVER,
                "gtin": gtin, "units": units, "confidence": confidence, "fault": fault,
            },
        )  # fmt: skip
    nightly(market)
    query = "SELECT day, units, source FROM trace.demand_day WHERE site = %s AND gtin = %s ORDER BY day"
    # One was put back, two left, 25 were put up, three left; seven were gone when the shelf was seen again.
    first, second = TODAY - timedelta(days=10), TODAY - timedelta(days=5)
    assert market.rows(query, GIVER, gtin) == [(first, 4, "shelf"), (second, 7, "shelf")]
    nightly(market)
    assert market.rows(query, GIVER, gtin) == [(first, 4, "shelf"), (second, 7, "shelf")]
    owner.execute("DELETE FROM trace.demand_day")
    owner.execute("UPDATE trace.stock SET sold_lately = 4 WHERE site = %s AND gtin = %s", (GIVER, gtin))
    nightly(market)
    assert market.rows(query, GIVER, gtin) == []
