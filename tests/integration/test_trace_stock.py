import psycopg
import pytest
from trace_market import Market, Message

STORE, GTIN = "S-CHENGDU-01", "09506000134352"


def stock(market: Market) -> tuple[object, ...]:
    query = "SELECT sensed, confidence, ledger FROM trace.stock WHERE site = %s AND gtin = %s"
    return market.rows(query, STORE, GTIN)[0]


def proposals(market: Market) -> list[tuple[object, ...]]:
    return market.rows("SELECT site, gtin, quantity, state FROM trace.proposal ORDER BY id")


def test_a_shelf_that_reaches_its_line_proposes_one_order_which_follows_it_down_and_goes_when_it_is_refilled(
    market: Market,
) -> None:
    market.shelf("shelf-01", 1, 14, 0)
    market.drain()
    assert stock(market) == (14, 1.0, 0)
    assert proposals(market) == []
    market.shelf("shelf-01", 1, 12, 1)
    market.drain()
    assert proposals(market) == [(STORE, GTIN, 36, "open")]
    market.shelf("shelf-01", 1, 5, 2)
    market.drain()
    assert proposals(market) == [(STORE, GTIN, 42, "open")]
    reason = market.rows("SELECT reason FROM trace.proposal")[0][0]
    assert reason["code"] == "below_reorder"
    assert reason["parameters"]["stock"] == 5
    assert reason["parameters"]["cases"] == 7
    assert 0 < reason["parameters"]["p_stockout"] <= 1
    market.shelf("shelf-01", 1, 40, 3)
    market.drain()
    assert proposals(market) == [(STORE, GTIN, 42, "withdrawn")]


@pytest.mark.parametrize("trouble", [{"fault": "STUCK"}, {"confidence": 0.3}])
def test_a_reading_that_cannot_be_believed_changes_neither_stock_nor_orders(
    market: Market, trouble: dict[str, object]
) -> None:
    market.shelf("shelf-01", 1, 20, 0)
    market.shelf("shelf-01", 1, 0, 1, **trouble)  # type: ignore[arg-type]
    market.drain()
    assert stock(market)[0] in {None, 20}
    assert proposals(market) == []
    market.shelf("shelf-01", 1, 4, 2)
    market.drain()
    assert [row[3] for row in proposals(market)] == ["open"]
    market.shelf("shelf-01", 1, 48, 3, **trouble)  # type: ignore[arg-type]
    market.drain()
    assert stock(market)[0] == 4
    assert [row[3] for row in proposals(market)] == ["open"]


def test_a_late_reading_does_not_overwrite_a_newer_one(market: Market) -> None:
    market.shelf("shelf-01", 1, 30, 10)
    market.drain()
    market.shelf("shelf-01", 1, 2, 5)
    market.drain()
    assert stock(market)[0] == 30
    assert proposals(market) == []


def test_two_channels_of_one_product_add_up_and_a_new_product_takes_its_share_away(market: Market) -> None:
    market.shelf("shelf-01", 1, 10, 0)
    market.shelf("shelf-01", 2, 9, 0, gtin=GTIN)
    market.drain()
    assert stock(market)[0] == 19
    market.shelf("shelf-01", 2, 9, 1)
    market.drain()
    assert stock(market)[0] == 10


def test_an_approved_order_is_on_its_way_and_a_rejected_one_is_not_proposed_again_at_once(market: Market) -> None:
    market.shelf("shelf-01", 1, 5, 0)
    market.drain()
    decide(market, "approved")
    market.shelf("shelf-01", 1, 4, 1)
    market.drain()
    assert [row[3] for row in proposals(market)] == ["approved"]
    market.shelf("shelf-02", 1, 3, 1)
    market.drain()
    decide(market, "rejected")
    market.shelf("shelf-02", 1, 2, 2)
    market.drain()
    assert [row[3] for row in proposals(market)] == ["approved", "rejected"]


def test_what_has_come_is_no_longer_on_its_way(market: Market) -> None:
    market.shelf("shelf-01", 1, 5, 0)
    market.drain()
    assert proposals(market) == [(STORE, GTIN, 42, "open")]
    decide(market, "approved")
    market.shelf("shelf-01", 1, 6, 1)
    market.shelf("shelf-01", 1, 4, 2)
    market.drain()
    assert len(proposals(market)) == 1
    for minutes, units in enumerate((28, 22, 48, 9), 3):
        market.shelf("shelf-01", 1, units, minutes)
        market.drain()
    assert proposals(market) == [(STORE, GTIN, 42, "approved"), (STORE, GTIN, 36, "open")]
    assert market.rows("SELECT arrived FROM trace.proposal ORDER BY id") == [(42,), (0,)]


def test_a_bottle_put_back_does_not_withdraw_an_order_and_propose_it_again(market: Market) -> None:
    for minutes, units in enumerate((12, 13, 12, 14, 11)):
        market.shelf("shelf-01", 1, units, minutes)
        market.drain()
    assert proposals(market) == [(STORE, GTIN, 36, "open")]


def decide(market: Market, state: str) -> None:
    with psycopg.connect(market.database.owner_dsn) as owner:
        owner.execute(
            "UPDATE trace.proposal SET state = %s, decided_by = 'ann', decided_at = now() WHERE state = 'open'",
            (state,),
        )


def test_the_ledger_counts_cases_received_and_items_sold(market: Market) -> None:
    case = next(each for each in market.cases_to("D-CHENGDU") if each["gtin"] == GTIN)
    market.land(
        *market.pack(case),
        market.ship(case, "D-CHENGDU"),
        Message("gateway-market", STORE, market.number(), 60, case["label"], "receive"),
        Message("gateway-market", STORE, market.number(), 70, case["items"][0], "sell"),
        Message("gateway-market", STORE, market.number(), 71, case["items"][0], "sell"),
    )
    market.drain()
    assert stock(market) == (None, None, 5)


def test_the_ledger_counts_what_came_and_is_still_there(market: Market) -> None:
    cases = [each for each in market.cases_to("D-CHENGDU") if each["gtin"] == GTIN][:3]
    for case in cases:
        market.land(*market.pack(case), market.ship(case, "D-CHENGDU"))
    first, second, third = cases

    def at_store(code: str, activity: str, minutes: float) -> None:
        to = ("", "SO-BACK", "D-WUHOU") if activity == "ship" else ()
        market.land(Message("gateway-market", STORE, market.number(), minutes, code, activity, *to))

    at_store(first["label"], "receive", 60)
    at_store(first["items"][0], "sell", 70)
    at_store(first["label"], "receive", 75)
    market.drain()
    assert stock(market)[2] == 5
    at_store(first["items"][0], "receive", 80)
    market.drain()
    assert stock(market)[2] == 6
    at_store(second["label"], "receive", 90)
    at_store(first["label"], "ship", 100)
    market.drain()
    assert stock(market)[2] == 7, "six of the second case, and the item that came back by itself and not in its case"
    at_store(third["items"][0], "sell", 110)
    market.drain()
    assert stock(market)[2] == 7


def test_an_approved_order_comes_in_by_its_case_labels_where_no_shelf_looks(market: Market) -> None:
    cases = [each for each in market.cases_to("D-CHENGDU") if each["gtin"] == GTIN][:2]
    for number, case in enumerate(cases):
        market.land(*market.pack(case), market.ship(case, "D-CHENGDU"))
        market.land(Message("gateway-market", STORE, market.number(), 60 + number, case["label"], "receive"))
        market.drain()
        decide(market, "approved")
    assert market.rows("SELECT quantity, arrived, state FROM trace.proposal") == [(42, 6, "approved")]


def test_a_reading_of_an_unknown_product_or_site_is_held_back(market: Market) -> None:
    market.shelf("shelf-01", 1, 5, gtin="04012345000009")
    market.shelf("shelf-01", 1, 5, site="elsewhere")
    market.drain()
    assert market.rows("SELECT reason, code, detail FROM trace.quarantine ORDER BY seq") == [
        ("unknown_product", "04012345000009", STORE),
        ("unknown_site", GTIN, "elsewhere"),
    ]
