import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import psycopg
import pytest
from conftest import TestDatabase
from custody_yard import CASE, OTHER_CASE, PALLET, PRODUCT, Yard, at, item
from waiting import PATIENCE

from trace_service.domain.events import Refusal, Source, Step
from trace_service.processing.custody import record
from trace_service.store.connection import connect


@pytest.fixture
def yard(database: TestDatabase) -> Iterator[Yard]:
    yard = Yard(database)
    yield yard
    yard.connection.close()


def test_shipping_a_pallet_binds_every_item_and_writes_a_handful_of_rows(yard: Yard) -> None:
    units = yard.packed_pallet(40)
    before = yard.written()
    assert yard.capture(yard.event(Step.SHIP, 60, PALLET)) == [None]
    assert 0 < yard.written() - before <= 5
    for unit in units:
        found = yard.state(unit, 61)
        assert (found.state, found.dealer, found.shipment) == ("in_transit", "D-CHENGDU", "SO-1")
        assert found.parents == (CASE, PALLET)
    assert yard.state(units[0], 59).dealer is None


def test_an_answer_names_place_levels_territory_and_the_events_that_say_so(yard: Yard) -> None:
    unit = yard.packed_pallet()[0]
    store = "S-CHENGDU-01"
    yard.capture(yard.event(Step.SHIP, 60, PALLET), yard.event(Step.RECEIVE, 90, PALLET, store))
    found = yard.state(unit, 100)
    assert found.state == "in_stock"
    assert found.disposition == "sellable_accessible"
    assert found.site is not None
    assert found.site["id"] == store
    assert found.levels[-1] == "D-CHENGDU"
    assert len(found.levels) > 1
    assert found.territory is not None
    assert found.territory["adcodes"] == ["510100"]
    steps = [entry.event.step for entry in found.events]
    assert steps == [Step.COMMISSION, Step.PACK, Step.PACK, Step.SHIP, Step.RECEIVE]


def test_a_past_answer_stays_what_it_was_when_a_late_event_and_a_correction_change_it(yard: Yard) -> None:
    unit = yard.packed_pallet()[0]
    wrong = yard.event(Step.SHIP, 60, PALLET)
    yard.capture(wrong)
    first = yard.now()
    assert yard.state(unit, 70).dealer == "D-CHENGDU"
    correction = yard.event(Step.CORRECT, 200, PALLET, corrects=wrong.source, reason="incorrect_data")
    right = yard.event(Step.SHIP, 60, PALLET, dealer="D-NANJING", shipment="SO-2")
    assert yard.capture(correction, right) == [None, None]
    second = yard.now()
    assert yard.state(unit, 70).dealer == "D-NANJING"
    yard.capture(yard.event(Step.UNPACK, 50, CASE))
    assert yard.state(unit, 70).dealer is None
    assert yard.state(unit, 70, second).dealer == "D-NANJING"
    assert yard.state(unit, 70, first).dealer == "D-CHENGDU"
    assert yard.state(unit, 70, first).parents == (CASE, PALLET)


def test_what_was_believed_is_kept_beside_what_is(yard: Yard) -> None:
    yard.packed_pallet()
    yard.capture(yard.event(Step.SHIP, 60, PALLET))
    yard.capture(yard.event(Step.VOID, 65, PALLET))
    believed = yard.rows("SELECT dealer, valid_to FROM trace.binding_superseded")
    assert believed == [("D-CHENGDU", None)]
    assert yard.rows("SELECT dealer, valid_to FROM trace.binding") == [("D-CHENGDU", at(65))]
    for change in (
        "DELETE FROM trace.binding_superseded",
        "UPDATE trace.containment_superseded SET parent = ''",
        "INSERT INTO trace.quarantine_superseded SELECT * FROM trace.quarantine_superseded",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            yard.rows(change)


def test_a_rule_that_is_broken_shows_both_facts_and_a_repair_clears_it(yard: Yard) -> None:
    first = yard.event(Step.SHIP, 60)
    second = yard.event(Step.SHIP, 70, dealer="D-NANJING", shipment="SO-2")
    assert yard.capture(first) == [None]
    assert yard.capture(second) == [Refusal.ALREADY_SHIPPED]
    ((reason, detail, facts),) = yard.rows("SELECT reason, detail, facts FROM trace.quarantine")
    assert (reason, detail) == ("already_shipped", "SO-2")
    assert (facts["said"]["dealer"], facts["standing"]["dealer"]) == ("D-NANJING", "D-CHENGDU")
    assert facts["standing"]["shipment"] == "SO-1"
    assert facts["standing"]["by"]["seq"] == first.source.seq
    assert yard.capture(yard.event(Step.VOID, 65)) == [None]
    assert yard.rows("SELECT resolved_at IS NULL FROM trace.quarantine") == [(False,)]
    assert yard.state(CASE, 71).dealer == "D-NANJING"


def test_a_late_event_on_a_pallet_judges_again_what_happened_inside_since(yard: Yard) -> None:
    unit = yard.packed_pallet()[0]
    store = "S-CHENGDU-01"
    assert yard.capture(yard.event(Step.SELL, 120, unit, store)) == [Refusal.NOT_SHIPPED]
    assert yard.capture(yard.event(Step.RECEIVE, 90, PALLET, store)) == [Refusal.NOT_SHIPPED]
    assert yard.capture(yard.event(Step.SHIP, 60, PALLET)) == [None]
    assert yard.rows("SELECT reason FROM trace.quarantine WHERE resolved_at IS NULL") == []
    assert yard.state(unit, 121).state == "sold"
    assert yard.state(unit, 121).parents == ()


def test_an_event_captured_twice_changes_nothing(yard: Yard) -> None:
    yard.packed_pallet()
    ship = yard.event(Step.SHIP, 60, PALLET)
    assert yard.capture(ship) == [None]
    assert yard.capture(ship, ship) == [None, None]
    assert yard.rows("SELECT count(*) FROM trace.binding") == [(1,)]
    assert yard.rows("SELECT count(*) FROM trace.binding_superseded") == [(0,)]


def test_codes_of_others_and_unknown_names_are_told_apart(yard: Yard) -> None:
    with psycopg.connect(yard.database.owner_dsn) as owner:
        owner.execute("INSERT INTO trace.brand VALUES ('zeta', 'Z', 'Z')")
        owner.execute(
            "INSERT INTO trace.product (gtin, brand, name_zh, name_en, items_per_case, unit_price, unit_weight_g)"
            " VALUES ('09506000134994', 'zeta', 'Z', 'Z', 6, 1, 1)"
        )
    strange = yard.event(Step.COMMISSION, 0, "/01/09506000134994/21/A", "factory")
    unknown = yard.event(Step.COMMISSION, 0, "/01/04012345111118/21/A", "factory")
    nowhere = yard.event(Step.RECEIVE, 0, CASE, "nowhere")
    nobody = yard.event(Step.SHIP, 1, CASE, dealer="D-NOBODY")
    made = yard.event(Step.PACK, 2, item(1), "factory", parent=CASE)
    assert yard.capture(strange, unknown, nowhere, nobody, made) == [
        Refusal.FOREIGN_UNIT,
        Refusal.FOREIGN_UNIT,
        Refusal.UNKNOWN_SITE,
        Refusal.UNKNOWN_DEALER,
        Refusal.NOT_COMMISSIONED,
    ]
    assert yard.rows("SELECT count(*) FROM trace.quarantine WHERE resolved_at IS NULL") == [(5,)]


@pytest.mark.parametrize("level", ["item", "lot", "product"])
def test_what_is_recalled_does_not_leave_not_even_on_a_pallet(yard: Yard, level: str) -> None:
    units = yard.packed_pallet()
    lot = f"{PRODUCT}/10/L1"
    made = yard.event(Step.COMMISSION, 0, units[1], "factory", lot=lot)
    recalled = {"item": units[1], "lot": lot, "product": PRODUCT}[level]
    yard.capture(made)
    assert yard.capture(yard.event(Step.RECALL, 30, recalled, reason="glass")) == [None]
    assert yard.capture(yard.event(Step.SHIP, 60, PALLET)) == [Refusal.RECALLED]
    assert yard.state(units[1], 61).recalled == "glass"
    assert yard.state(units[1], 29).recalled is None


def test_a_recalled_item_taken_out_lets_the_pallet_go(yard: Yard) -> None:
    units = yard.packed_pallet()
    yard.capture(yard.event(Step.RECALL, 30, units[1]), yard.event(Step.SHIP, 60, PALLET))
    assert yard.rows("SELECT reason FROM trace.quarantine WHERE resolved_at IS NULL") == [("recalled",)]
    assert yard.capture(yard.event(Step.UNPACK, 40, units[1])) == [None]
    assert yard.rows("SELECT reason FROM trace.quarantine WHERE resolved_at IS NULL") == []
    assert yard.state(units[0], 61).dealer == "D-CHENGDU"


def test_a_late_recall_of_a_product_judges_the_shipments_since_again(yard: Yard) -> None:
    yard.packed_pallet()
    assert yard.capture(yard.event(Step.SHIP, 60, PALLET)) == [None]
    assert yard.capture(yard.event(Step.RECALL, 50, PRODUCT, reason="glass")) == [None]
    assert yard.rows("SELECT unit FROM trace.reevaluation") == [(PALLET,)]


@pytest.mark.parametrize("rival", [CASE, PALLET])
def test_of_two_shipments_that_race_for_one_case_exactly_one_wins(yard: Yard, rival: str) -> None:
    """Two at once for the case itself, or a pallet against a case that is being put on it."""
    yard.capture(yard.event(Step.PACK, 0, OTHER_CASE, parent=PALLET))
    for turn in range(12):
        minutes = 100 + 10 * turn
        ships = [
            yard.event(Step.SHIP, minutes, CASE, shipment=f"A-{turn}"),
            yard.event(Step.SHIP, minutes + 1, CASE, dealer="D-NANJING", shipment=f"B-{turn}"),
        ]
        if rival == PALLET:
            ships[0] = yard.event(Step.PACK, minutes, CASE, parent=PALLET)
        barrier = threading.Barrier(2)

        def one(number: int) -> Refusal | None:
            with connect(yard.database.trace_dsn, f"rival {number}") as connection:
                barrier.wait(PATIENCE)  # noqa: B023  both are done before the next turn
                return yard.capture(ships[number], connection=connection)[0]  # noqa: B023  likewise

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(one, range(2)))
        refused = yard.rows("SELECT reason, facts FROM trace.quarantine WHERE resolved_at IS NULL")
        assert len(refused) == 1
        expected = "inside_parent" if rival == PALLET else "already_shipped"
        assert refused[0][0] == expected
        assert refused[0][1]["said"]["shipment"] == f"B-{turn}"
        undo = [replace(ship, step=Step.CORRECT, corrects=ship.source, source=_next(yard)) for ship in ships]
        yard.capture(*undo)


def test_a_pallet_that_races_an_item_inside_it_never_leaves_both_bound(yard: Yard) -> None:
    unit = yard.packed_pallet()[0]
    for turn in range(8):
        minutes = 100 + 10 * turn
        away = yard.event(Step.UNPACK, minutes + 2, unit)
        ships = [
            [yard.event(Step.SHIP, minutes, PALLET, shipment=f"P-{turn}")],
            [away, yard.event(Step.SHIP, minutes + 3, unit, dealer="D-NANJING", shipment=f"I-{turn}")],
        ]
        barrier = threading.Barrier(2)

        def one(number: int) -> None:
            with connect(yard.database.trace_dsn, f"rival {number}") as connection:
                barrier.wait(PATIENCE)  # noqa: B023  both are done before the next turn
                yard.capture(*ships[number], connection=connection)  # noqa: B023  likewise

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(one, range(2)))
        assert yard.state(unit, minutes + 4).shipment == f"P-{turn}"
        reasons = sorted(yard.rows("SELECT reason FROM trace.quarantine WHERE resolved_at IS NULL"))
        assert reasons == [("already_shipped",), ("inside_parent",)]
        done = [event for group in ships for event in group]
        yard.capture(*(replace(each, step=Step.CORRECT, corrects=each.source, source=_next(yard)) for each in done))


def _next(yard: Yard) -> Source:
    yard.numbers += 1
    return Source("epcis", yard.boot, yard.numbers)


def test_who_and_where_that_are_registered_later_make_an_event_right(yard: Yard) -> None:
    events = [
        yard.event(Step.SHIP, 1, CASE, dealer="D-Late"),
        yard.event(Step.RECEIVE, 2, OTHER_CASE, "W-Late"),
        yard.event(Step.INSPECT, 3, OTHER_CASE, "W-Late"),
    ]
    assert yard.capture(*events) == [Refusal.UNKNOWN_DEALER, Refusal.UNKNOWN_SITE, Refusal.UNKNOWN_SITE]
    with psycopg.connect(yard.database.owner_dsn) as owner:
        owner.execute("INSERT INTO trace.dealer VALUES ('D-LATE', 'qingyuan', NULL, 'L', 'L', 'city', 0, 900, 901)")
        owner.execute("INSERT INTO trace.site (id, kind, name_zh, name_en) VALUES ('W-Late', 'warehouse', 'L', 'L')")
    queued = dict(yard.rows("DELETE FROM trace.reevaluation RETURNING unit, since"))
    assert queued.keys() == {CASE, OTHER_CASE}
    with yard.connection.transaction():
        record(yard.connection, (), queued.keys(), {}, queued)
    assert yard.rows("SELECT count(*) FROM trace.quarantine WHERE resolved_at IS NULL") == [(0,)]
    assert yard.state(CASE, 4).dealer == "D-LATE"
