import base64
import json
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import msgspec
import psycopg
import pypdfium2
import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pydantic import SecretStr
from trace_market import KEYS, Market

from cli.main import main
from contracts import documents
from contracts import manifest as wire
from contracts.gs1 import parse
from contracts.manifest import Standing
from contracts.stations import Note, NoteKind, Taken
from edge.manifest import Manifest
from trace_service.codes.verify import Text, verify
from trace_service.domain.verification import CodeState
from trace_service.keys import KeyWrapper
from trace_service.orders import document, manifests, notes, pdf, service
from trace_service.orders.access import Station, add_supervisor
from trace_service.orders.errors import OrderConflictError, OrderInvalidError, OrderStateError, OrderUnknownError
from trace_service.orders.model import OrderDraft, State
from trace_service.orders.reconcile import reconcile
from trace_service.signing import signing_key
from trace_service.store.connection import connect

BRAND = "qingyuan"
STATION = Station("station-ship", "dc-east")
GTIN = "09506000134352"


def draft(version: int = 1, quantity: int = 2, **changes: object) -> OrderDraft:
    fields = {
        "version": version,
        "dealer": "D-CHENGDU",
        "from_site": "dc-east",
        "lines": [{"line": 1, "gtin": GTIN, "quantity": quantity, "unit": "case"}],
    }
    return OrderDraft.model_validate(fields | changes)


class TestPlacing:
    def test_the_same_version_again_is_no_news_and_other_content_under_it_is_refused(self, market: Market) -> None:
        connection = market.connection
        assert service.place(connection, BRAND, "SO-1", draft(), "erp").outcome == "created"
        assert service.place(connection, BRAND, "SO-1", draft(), "erp").outcome == "unchanged"
        with pytest.raises(OrderConflictError, match="other content"):
            service.place(connection, BRAND, "SO-1", draft(quantity=3), "erp")
        assert service.place(connection, BRAND, "SO-1", draft(2, 3), "erp").outcome == "changed"
        with pytest.raises(OrderConflictError, match="older"):
            service.place(connection, BRAND, "SO-1", draft(), "erp")
        found = service.find(connection, BRAND, "SO-1")
        assert (found.version, found.lines[0].items) == (2, 18)
        assert [row.reason for row in service.history(connection, BRAND, "SO-1")] == ["created", "changed"]
        old = market.rows("SELECT version, quantity FROM trace.order_line WHERE order_id = 'SO-1' ORDER BY 1")
        assert old == [(1, 2), (2, 3)], "what was asked for earlier is still on record"

    def test_of_many_who_place_it_at_once_one_creates_it(self, market: Market) -> None:
        def placed(_: int) -> str:
            with connect(market.database.trace_dsn, "racer") as connection:
                return service.place(connection, BRAND, "SO-1", draft(), "erp").outcome

        with ThreadPoolExecutor(8) as pool:
            outcomes = Counter(pool.map(placed, range(16)))
        assert outcomes == {"created": 1, "unchanged": 15}

    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            ({"dealer": "D-NOBODY"}, "dealer D-NOBODY"),
            ({"from_site": "nowhere"}, "site nowhere"),
            ({"lines": [{"line": 1, "gtin": "06901234567892", "quantity": 1}]}, "product 06901234567892"),
        ],
    )
    def test_what_the_brand_does_not_have_is_named(self, market: Market, changes: dict[str, object], said: str) -> None:
        with pytest.raises(OrderInvalidError, match=said):
            service.place(market.connection, BRAND, "SO-1", draft(**changes), "erp")
        with pytest.raises(OrderUnknownError):
            service.find(market.connection, BRAND, "SO-1")

    def test_after_loading_began_nothing_is_changed_or_cancelled(self, market: Market) -> None:
        case = market.cases_to("D-NANJING")[0]
        market.land(*market.pack(case), market.ship(case, "D-NANJING"))
        market.drain()
        with pytest.raises(OrderStateError, match="loading"):
            service.place(market.connection, BRAND, case["order"], draft(2, dealer="D-NANJING"), "erp")
        with pytest.raises(OrderStateError, match="loading"):
            service.cancel(market.connection, BRAND, case["order"], "erp")

    def test_a_cancelled_order_is_told_once_and_stays_so(self, market: Market) -> None:
        service.place(market.connection, BRAND, "SO-1", draft(), "erp")
        assert service.cancel(market.connection, BRAND, "SO-1", "erp", "typo").state is State.CANCELLED
        assert service.cancel(market.connection, BRAND, "SO-1", "erp").state is State.CANCELLED
        with pytest.raises(OrderStateError):
            service.place(market.connection, BRAND, "SO-1", draft(2), "erp")
        assert service.acknowledge(market.connection, BRAND, "SO-1", "erp").acknowledged_at is not None
        reasons = [row.reason for row in service.history(market.connection, BRAND, "SO-1")]
        assert reasons == ["created", "typo", "acknowledged"]


class TestReconciling:
    def test_each_line_names_what_was_scanned_and_what_is_missing(self, market: Market) -> None:
        cases = market.cases_to("D-NANJING")
        loaded = cases[:4]
        for case in loaded:
            market.land(*market.pack(case), market.ship(case, "D-NANJING"))
        market.drain()
        found = reconcile(market.connection, BRAND, cases[0]["order"])
        assert not found.agrees
        assert sum(line.scanned for line in found.lines) == 24
        assert sum(line.ordered for line in found.lines) == 72
        for line in found.lines:
            assert set(line.codes) == {f"/00/{case['sscc']}" for case in loaded if case["gtin"] == line.gtin}
            assert line.difference == line.scanned - line.ordered

    def test_goods_that_no_line_asks_for_are_surplus(self, market: Market) -> None:
        service.place(market.connection, BRAND, "SO-1", draft(quantity=1), "erp")
        other = next(case for case in market.cases_to("D-CHENGDU") if case["gtin"] != GTIN)
        market.land(*market.pack(other), market.ship(other | {"order": "SO-1"}, "D-CHENGDU"))
        market.drain()
        found = reconcile(market.connection, BRAND, "SO-1")
        assert [(line.gtin, line.scanned) for line in found.surplus] == [(other["gtin"], 6)]
        assert found.lines[0].difference == -6


class TestManifest:
    def test_it_names_open_orders_and_what_stands_at_the_site(self, market: Market) -> None:
        recent(market)
        cases = market.cases_to("D-NANJING")
        shipped, waiting = cases[0], cases[1]
        market.land(*market.pack(shipped), *market.pack(waiting), market.ship(shipped, "D-NANJING"))
        market.drain()
        add_supervisor(market.connection, "dc-east", "LI", "李主管", "483920")
        manifest = present(market)
        order = manifest.order(shipped["order"])
        assert order is not None
        assert (order.dealer, len(order.territory), sum(line.items for line in order.lines)) == ("D-NANJING", 64, 72)
        assert [each.name for each in manifest.head.supervisors] == ["李主管"]
        on_hand = manifest.find(f"/00/{waiting['sscc']}")
        assert on_hand is not None
        assert (on_hand.standing, dict(on_hand.contents)) == (Standing.ON_HAND, {waiting["gtin"]: 6})
        inside = manifest.find(parse(waiting["items"][0]).key)
        assert inside is not None
        assert inside.ancestors == (on_hand.hash,)
        gone = manifest.find(parse(shipped["items"][0]).key)
        assert gone is not None
        assert gone.standing is Standing.SHIPPED
        assert gone.reference is not None
        assert (gone.reference.order, gone.reference.dealer) == (shipped["order"], "D-NANJING")
        assert manifest.find("/01/09506000134352/21/STRANGER") is None

    def test_without_news_it_keeps_its_version_and_a_delta_leads_to_the_next(self, market: Market) -> None:
        recent(market)
        first = manifests.issue(market.connection, KEYS, "dc-east")
        assert manifests.issue(market.connection, KEYS, "dc-east").version == first.version
        for case in market.cases_to("D-NANJING")[:3]:
            market.land(*market.pack(case))
        market.drain()
        second = manifests.issue(market.connection, KEYS, "dc-east")
        assert second.version == first.version + 1
        delta = manifests.since(market.connection, "dc-east", first.version, second)
        whole = delta if not wire.is_delta(delta) else wire.apply_delta(first.body, delta)
        assert whole == second.body
        assert manifests.since(market.connection, "dc-east", 12345, second) == second.body

    def test_what_is_on_its_way_to_a_store_is_inbound_there(self, market: Market) -> None:
        recent(market)
        case = market.cases_to("D-NANJING")[0]
        market.land(*market.pack(case), market.ship(case, "D-NANJING"))
        market.drain()
        found = present(market, "S-NANJING-01").find(f"/00/{case['sscc']}")
        assert found is not None
        assert found.standing is Standing.INBOUND

    def test_a_blocked_item_holds_its_case_back_and_a_recalled_product_all_of_it(self, market: Market) -> None:
        recent(market)
        first, second = [case for case in market.cases_to("D-NANJING") if case["gtin"] == GTIN][:2]
        market.land(*market.pack(first), *market.pack(second))
        market.drain()
        hold(market, parse(first["items"][2]).key, "stolen")
        manifest = present(market)
        assert blocked(manifest, f"/00/{first['sscc']}") == "stolen"
        assert blocked(manifest, parse(first["items"][2]).key) == "stolen"
        assert blocked(manifest, parse(first["items"][0]).key) == ""
        assert blocked(manifest, f"/00/{second['sscc']}") == ""
        hold(market, f"/01/{GTIN}", "recalled")
        manifest = present(market)
        assert blocked(manifest, f"/00/{second['sscc']}") == "recalled"
        assert blocked(manifest, parse(second["items"][0]).key) == "recalled"


class TestNotes:
    def test_a_load_moves_its_order_and_a_repeated_note_does_not(self, market: Market) -> None:
        number = market.cases_to("D-NANJING")[0]["order"]
        begun, closed = note(NoteKind.LOAD_BEGUN, number), note(NoteKind.LOAD_CLOSED, number, agrees=True)
        assert notes.take(market.connection, KEYS, STATION, [begun, begun, closed]) == Taken(
            (begun.id, begun.id, closed.id)
        )
        assert notes.take(market.connection, KEYS, STATION, [begun]).ids == (begun.id,)
        states = [row.state for row in service.history(market.connection, BRAND, number)]
        assert states == ["open", "loading", "closed"]

    def test_one_that_cannot_be_carried_out_is_kept_with_its_reason_and_holds_no_other_up(self, market: Market) -> None:
        case = market.cases_to("D-NANJING")[0]
        stuck = note(NoteKind.SCRAPPED, case["order"], unit=parse(case["items"][0]).key, why="torn")
        begun = note(NoteKind.LOAD_BEGUN, case["order"])
        other = KeyWrapper(SecretStr(base64.b64encode(b"another key, of thirty-two bytes").decode()))
        taken = notes.take(market.connection, other, STATION, [stuck, begun])
        assert taken == Taken((stuck.id, begun.id), (stuck.id,))
        assert service.find(market.connection, BRAND, case["order"]).state is State.LOADING
        environment = {"TRACE_DATABASE_URL": market.database.trace_dsn, "TRACE_KEY_ENCRYPTION_KEY": "A" * 43 + "="}
        shown = CliRunner().invoke(main, ["orders", "refused", "--json"], env=environment)
        (found,) = map(json.loads, shown.stdout.splitlines())
        assert (found["id"], found["code"], found["brand"]) == (str(uuid.UUID(stuck.id)), "CONFIGURATION", BRAND)
        assert "cannot be unwrapped" in found["reason"]
        assert msgspec.json.decode(found["note"], type=Note) == stuck
        again = notes.take(market.connection, KEYS, STATION, [stuck])
        assert again == Taken((stuck.id,)), "it is on record, and is not sent for ever"

    def test_without_the_database_they_have_to_come_again(self, market: Market) -> None:
        told = note(NoteKind.LOAD_BEGUN, market.cases_to("D-NANJING")[0]["order"])
        with connect(market.database.trace_dsn, "lost") as lost:
            market.connection.execute("SELECT pg_terminate_backend(%s)", [lost.info.backend_pid])
            with pytest.raises(psycopg.OperationalError):
                notes.take(lost, KEYS, STATION, [told])
        assert notes.take(market.connection, KEYS, STATION, [told]) == Taken((told.id,))

    def test_a_signed_difference_is_on_record_with_its_reason(self, market: Market) -> None:
        number = market.cases_to("D-NANJING")[0]["order"]
        told = note(NoteKind.LOAD_CLOSED, number, agrees=False, signed_by="LI", reason="one case short")
        notes.take(market.connection, KEYS, STATION, [told])
        last = service.history(market.connection, BRAND, number)[-1]
        assert (last.state, last.reason) == ("difference", "one case short (LI)")

    def test_a_station_cannot_close_an_order_of_another_site(self, market: Market) -> None:
        number = market.cases_to("D-NANJING")[0]["order"]
        told = note(NoteKind.LOAD_CLOSED, number, agrees=True)
        notes.take(market.connection, KEYS, Station("shelf-01", "S-CHENGDU-01"), [told])
        assert service.find(market.connection, BRAND, number).state is State.OPEN

    def test_an_undone_scan_frees_the_unit(self, market: Market) -> None:
        case = market.cases_to("D-NANJING")[0]
        market.land(*market.pack(case), market.ship(case, "D-NANJING"))
        market.drain()
        undone = note(NoteKind.UNDONE, case["order"], unit=f"/00/{case['sscc']}")
        notes.take(market.connection, KEYS, STATION, [undone])
        found = reconcile(market.connection, BRAND, case["order"])
        assert sum(line.scanned for line in found.lines) in {0, 6}
        steps = market.rows("SELECT biz_step FROM trace.custody_event WHERE device = 'station-ship' ORDER BY id")
        assert steps == [("shipping",), ("void_shipping",)]

    def test_a_scrapped_label_leaves_its_batch_and_an_item_in_custody_is_decommissioned(self, market: Market) -> None:
        fresh, packed = market.cases_to("D-NANJING")[:2]
        market.land(*market.pack(packed))
        market.drain()
        for case in (fresh, packed):
            told = note(NoteKind.SCRAPPED, "", unit=parse(case["items"][0]).key)
            notes.take(market.connection, KEYS, STATION, [told])
        texts = [Text(case["items"][0], "") for case in (fresh, packed)]
        found = verify(market.connection, KEYS, texts)
        assert [found[text].state for text in texts] == [CodeState.UNKNOWN, CodeState.GENUINE]
        steps = market.rows("SELECT biz_step FROM trace.custody_event WHERE device = 'station-ship'")
        assert steps == [("decommissioning",)]

    def test_another_brands_dealer_scraps_nothing(self, market: Market) -> None:
        with connect(market.database.owner_dsn, "tests") as owner:
            owner.execute("INSERT INTO trace.brand (id, name_zh, name_en) VALUES ('rival', '乙', 'Rival')")
            owner.execute(
                "INSERT INTO trace.dealer (id, brand, parent, name_zh, name_en, kind, level, lft, rgt)"
                " VALUES ('R-1', 'rival', NULL, '店', 'Shop', 'regional', 0, 1, 2)"
            )
            owner.execute(
                "INSERT INTO trace.site (id, kind, dealer, name_zh, name_en)"
                " VALUES ('r-shop', 'store', 'R-1', '店', 'Shop')"
            )
        code = market.cases_to("D-NANJING")[0]["items"][0]
        told = note(NoteKind.SCRAPPED, "", unit=parse(code).key)
        notes.take(market.connection, KEYS, Station("r-station", "r-shop"), [told])
        assert verify(market.connection, KEYS, [Text(code, "")])[Text(code, "")].state is not CodeState.UNKNOWN
        assert market.rows("SELECT biz_step FROM trace.custody_event WHERE device = 'r-station'") == []


class TestDocument:
    def test_it_lists_what_left_with_lots_and_its_code_is_read_and_verified(self, market: Market) -> None:
        cases = market.cases_to("D-NANJING")[:4]
        for case in cases:
            market.land(*market.pack(case), market.ship(case, "D-NANJING"))
        market.drain()
        number = cases[0]["order"]
        issued = document.issue(market.connection, KEYS, BRAND, number)
        assert (issued.content["units"], issued.content["items"]) == (4, 24)
        assert {lot["lot"] for line in issued.content["lines"] for lot in line["lots"]} == {market.job["run"]}
        again = document.issue(market.connection, KEYS, BRAND, number)
        assert pdf.render(again) == pdf.render(issued), "the same load, the same bytes"
        public = Ed25519PublicKey.from_public_bytes(signing_key(market.connection, KEYS).public)
        read = documents.verify(issued.code, public)
        assert (read.order, read.number, read.units, read.items) == (number, 1, 4, 24)
        opened = pypdfium2.PdfDocument(pdf.render(issued))
        text = opened[0].get_textpage().get_text_range()
        for expected in ("随货同行单", number, "南京秦淮酒业", "清源特曲 500ml", market.job["run"]):
            assert expected in text

    def test_nothing_loaded_has_no_document_and_more_loaded_has_the_next_number(self, market: Market) -> None:
        first, second = market.cases_to("D-NANJING")[:2]
        with pytest.raises(OrderStateError, match="nothing was loaded"):
            document.issue(market.connection, KEYS, BRAND, first["order"])
        for number, case in enumerate((first, second), start=1):
            market.land(*market.pack(case), market.ship(case, "D-NANJING"))
            market.drain()
            assert document.issue(market.connection, KEYS, BRAND, first["order"]).number == number


def recent(market: Market) -> None:
    """Have the messages of this market sent today: what left long ago is in no manifest."""
    (now,) = market.rows("SELECT date_trunc('minute', now()) - interval '5 hours'")[0]
    market.start = now


def present(market: Market, site: str = "dc-east") -> Manifest:
    body = manifests.issue(market.connection, KEYS, site).body
    key = signing_key(market.connection, KEYS)
    return Manifest(body, wire.verify(body, Ed25519PublicKey.from_public_bytes(key.public)))


def blocked(manifest: Manifest, unit: str) -> str:
    found = manifest.find(unit)
    assert found is not None
    return found.blocked or next(filter(None, map(manifest.blocked_product, found.contents)), "")


def hold(market: Market, unit: str, reason: str) -> None:
    market.connection.execute(
        "INSERT INTO trace.custody_event (brand, unit, biz_step, site, reason, occurred_at, device, boot, seq)"
        " VALUES (%s, %s, 'holding', 'dc-east', %s, now() - %s, 'desk', %s, 1)",
        (BRAND, unit, reason, timedelta(minutes=1), uuid.uuid4()),
    )


def note(kind: NoteKind, order: str, *, unit: str = "", **detail: object) -> Note:
    return Note(id=uuid.uuid4().hex, at=1_780_000_000_000, kind=kind, order=order, unit=unit, detail=dict(detail))
