import io
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from conftest import TestDatabase
from console_world import make_world
from openpyxl import Workbook
from structlog.testing import capture_logs

from geofence.maps import AtomMap
from trace_service.channel.coming import refresh_due
from trace_service.channel.export import all_tables, as_csv, as_excel
from trace_service.channel.importer import Job, import_files, load_channel, refresh
from trace_service.channel.plan import Plan
from trace_service.detection.live.queries import SQL
from trace_service.store.connection import Connection, connect

BRAND = "qingyuan"
DEALERS = "id,parent,name_zh,kind,valid_from,ended\n"
CONTRACTS = "合同编号,经销商编号,授权区域,独家,开始日期,结束日期\n"
Import = Callable[..., Plan]


@pytest.fixture
def connection(database: TestDatabase) -> Iterator[Connection]:
    make_world(database.owner_dsn, database.trace_dsn)
    with connect(database.trace_dsn, "tests") as connection:
        yield connection


@pytest.fixture
def bring(connection: Connection, atoms: AtomMap) -> Import:
    def bring(*files: tuple[str, str | bytes], dry_run: bool = False, brand: str = BRAND) -> Plan:
        contents = [(name, text.encode() if isinstance(text, str) else text) for name, text in files]
        return import_files(connection, brand, contents, Job("tests", atoms, dry_run))

    return bring


def found(plan: Plan) -> list[tuple[str, int | None, str]]:
    return [(each.code, each.spot.row, each.spot.column) for each in plan.problems]


def values(connection: Connection, query: str, **parameters: object) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in connection.execute(query, parameters)]  # type: ignore[call-overload]


def path(connection: Connection, dealer: str, at: str, known: str | datetime = "infinity") -> list[str]:
    ((found,),) = values(
        connection, "SELECT trace.dealer_path(%(d)s, %(a)s::timestamptz, %(k)s::timestamptz)", d=dealer, a=at, k=known
    )
    return list(found)


def test_what_is_exported_comes_back_as_nothing_new(bring: Import, connection: Connection) -> None:
    known = load_channel(connection, BRAND, datetime.now(UTC))
    tables = all_tables(known, BRAND, datetime.now(UTC), "en")
    plan = bring(*((f"{name}.csv", as_csv(head, rows)) for name, (head, rows) in tables.items()))
    assert found(plan) == []
    assert plan.changes == []
    assert plan.counts["dealer"]["unchanged"] == 18
    book = as_excel(all_tables(known, BRAND, datetime.now(UTC), "zh"))
    assert bring(("渠道.xlsx", book)).changes == []


def test_a_dealer_moves_from_a_day_on_and_the_past_stays(bring: Import, connection: Connection) -> None:
    before = datetime.now(UTC)
    assert path(connection, "D-WUHOU", "2025-01-01")[-3:] == ["D-SICHUAN", "D-CHENGDU", "D-WUHOU"]
    rows = DEALERS + "D-WUHOU,D-CHONGQING,成都武侯经销部,county,2026-03-01,\n"
    plan = bring(("dealers.csv", rows))
    assert (found(plan), plan.counts["dealer"]) == ([], {"changed": 1})
    assert path(connection, "D-WUHOU", "2026-02-28T15:59:59+00:00")[-2:] == ["D-CHENGDU", "D-WUHOU"]
    assert path(connection, "D-WUHOU", "2026-02-28T16:00:00+00:00")[-2:] == ["D-CHONGQING", "D-WUHOU"]
    assert path(connection, "D-WUHOU", "2026-04-01", before)[-2:] == ["D-CHENGDU", "D-WUHOU"]
    assert path(connection, "D-WUHOU-DINING", "2026-04-01")[-3:] == ["D-CHONGQING", "D-WUHOU", "D-WUHOU-DINING"]
    assert path(connection, "D-NOBODY", "2026-04-01") == []
    ((parent, inside),) = values(
        connection,
        "SELECT child.parent, child.lft BETWEEN above.lft AND above.rgt FROM trace.dealer AS child"
        " JOIN trace.dealer AS above ON above.id = 'D-CHONGQING' WHERE child.id = 'D-WUHOU'",
    )
    assert (parent, inside) == ("D-CHONGQING", True)
    again = bring(("dealers.csv", rows))
    assert again.counts["dealer"] == {"unchanged": 1}
    ((versions,),) = values(connection, "SELECT count(*) FROM trace.channel_version WHERE key = 'D-WUHOU'")
    assert versions == 2


def test_a_tree_of_25_levels_has_its_path_and_its_order(bring: Import, connection: Connection) -> None:
    rows = "".join(f"L{n:02},{f'L{n - 1:02}' if n else 'D-QINGYUAN'},第{n}级,sub,,\n" for n in reversed(range(25)))
    assert found(bring(("dealers.csv", DEALERS + rows))) == []
    assert path(connection, "L24", "2026-01-01") == ["D-QINGYUAN", *(f"L{n:02}" for n in range(25))]
    ((count, deepest),) = values(
        connection,
        "SELECT count(*), max(level) FROM trace.dealer WHERE brand = 'qingyuan'"
        " AND lft > (SELECT lft FROM trace.dealer WHERE id = 'L00')"
        " AND rgt < (SELECT rgt FROM trace.dealer WHERE id = 'L00')",
    )
    assert (count, deepest) == (24, 25)
    circle = bring(("dealers.csv", DEALERS + "L00,L24,第0级,sub,2027-01-01,\n"))
    (problem,) = circle.problems
    assert problem.code == "CYCLE"
    assert problem.message().startswith("The dealers stand above one another in a circle: L00 → L24 → L23 →")
    assert path(connection, "L24", "2027-06-01")[0] == "D-QINGYUAN"


def test_a_retroactive_move_that_would_close_a_circle_later_is_seen(bring: Import) -> None:
    first = bring(("dealers.csv", DEALERS + "A,,甲,sub,,\nB,,乙,sub,,\nB,A,乙,sub,2026-06-01,\n"))
    assert found(first) == []
    late = bring(("dealers.csv", DEALERS + "A,B,甲,sub,2026-05-01,\n"))
    assert [each.code for each in late.problems] == ["CYCLE"]
    assert not late.sound


def test_a_dealer_closes_only_when_nobody_stands_below(bring: Import, connection: Connection) -> None:
    closing = DEALERS + "D-WUHOU,D-CHENGDU,成都武侯经销部,county,2026-05-01,是\n"
    assert found(bring(("dealers.csv", closing))) == [("HAS_CHILDREN", 2, "ended")]
    both = closing + "D-WUHOU-DINING,D-WUHOU,武侯餐饮渠道,horeca,2026-05-01,是\n"
    assert found(bring(("dealers.csv", both))) == []
    below = bring(("dealers.csv", DEALERS + "D-NEW,D-WUHOU,新店,sub,2026-06-01,\n"))
    assert found(below) == [("PARENT_CLOSED", 2, "parent")]
    assert found(bring(("dealers.csv", DEALERS + "D-NEW,D-NONE,新店,sub,,\n"))) == [("UNKNOWN_PARENT", 2, "parent")]
    assert values(connection, "SELECT ended FROM trace.dealer WHERE id = 'D-WUHOU'") == [(True,)]


def test_contracts_make_territories_that_begin_and_end(bring: Import, connection: Connection) -> None:
    rows = CONTRACTS + "C-1,D-NINGBO,330200；330225,否,2026-01-01,2026-06-30\nC-2,D-NINGBO,331000,否,45992,\n"
    plan = bring(("合同.csv", rows))
    assert [each for each in found(plan) if each[0] != "BEYOND_PARENT"] == []

    def granted(at: str) -> list[str]:
        rows = values(
            connection,
            "SELECT adcodes FROM trace.territory WHERE dealer = 'D-NINGBO' AND valid_from <= %(at)s::timestamptz"
            " AND (valid_to IS NULL OR valid_to > %(at)s::timestamptz) ORDER BY recorded_at DESC, id DESC LIMIT 1",
            at=at,
        )
        return list(rows[0][0])

    assert granted("2025-11-30T15:00Z") == ["330200"]
    assert granted("2025-12-01T00:00Z") == ["330200", "331000"]
    assert granted("2026-06-30T15:59Z") == ["330200", "330225", "331000"]
    assert granted("2026-06-30T16:00Z") == ["330200", "331000"]
    head = "合同编号,经销商编号,授权区域,独家,开始日期,结束日期,停用,生效日期"
    ended = f"{head}\nC-2,D-NINGBO,331000,否,2025-12-01,,是,2027-01-01\n"
    assert found(bring(("合同.csv", ended))) == []
    assert granted("2026-12-31T15:59Z") == ["330200", "331000"]
    assert granted("2026-12-31T16:00Z") == ["330200"]
    assert bring(("合同.csv", ended)).changes == []


def test_exclusive_contracts_may_not_overlap_but_an_ancestors_may(bring: Import) -> None:
    clash = bring(("contracts.csv", CONTRACTS + "C-1,D-NINGBO,330106,是,2026-01-01,\n"))
    (problem,) = [each for each in clash.problems if each.severity == "error"]
    assert (problem.code, problem.spot.row, problem.spot.column) == ("CONTRACT_OVERLAP", 2, "授权区域")
    assert problem.parameters["dealer"] == "D-HANGZHOU"
    assert bring(("contracts.csv", CONTRACTS + "C-1,D-NINGBO,330106,否,2026-01-01,\n")).sound
    assert bring(("contracts.csv", CONTRACTS + "C-3,D-ZHEJIANG,330106,是,2026-01-01,\n")).sound


PACKS = "gtin,product,level,contains,quantity"
BAD_ROWS = [
    ("products", "gtin,name_zh,items_per_case,unit_price,unit_weight_g", "09506000134353,酒,6,1,1", "CHECK_DIGIT"),
    ("products", "gtin,name_zh,items_per_case,unit_price,unit_weight_g", "9.506E+12,酒,6,1,1", "PRECISION_LOST"),
    ("products", "gtin,name_zh,items_per_case,unit_price,unit_weight_g", "09506000134352,酒,0,1,1", "OUT_OF_RANGE"),
    ("products", "gtin,name_zh,items_per_case,unit_price,unit_weight_g", "09506000134352,=A1,6,1,1", "FORMULA"),
    ("products", "gtin,name_zh,items_per_case,unit_price,unit_weight_g", "09506000134352,,6,1,1", "VALUE_MISSING"),
    ("products", "gtin,name_zh,items_per_case,unit_price,unit_weight_g", "09506000134352,酒,6,1.234,1", "OUT_OF_RANGE"),
    ("sites", "id,kind,name_zh,gln", "S-1,store,店,9506000134353", "CHECK_DIGIT"),
    ("sites", "id,kind,name_zh,lon,lat", "S-1,store,店,30.27,120.16", "COORDINATE_RANGE"),
    ("sites", "id,kind,name_zh,lon,lat", "S-1,store,店,30.27,88.16", "COORDINATES_SWAPPED"),
    ("sites", "id,kind,name_zh,lon,lat", "S-1,store,店,120.16,", "HALF_A_POSITION"),
    ("sites", "id,kind,name_zh,lon,lat,adcode", "S-1,store,店,120.16,30.27,510104", "OUTSIDE_DIVISION"),
    ("sites", "id,kind,name_zh,adcode", "S-1,store,店,999999", "UNKNOWN_ADCODE"),
    ("sites", "id,kind,name_zh,dealer", "S-1,store,店,D-NONE", "UNKNOWN_DEALER"),
    ("sites", "id,kind,name_zh", "S-1,shop,店", "UNKNOWN_CHOICE"),
    ("contracts", "id,dealer,adcodes,starts_on", "C-1,D-NINGBO,330200,2026-02-30", "NOT_A_DATE"),
    ("contracts", "id,dealer,adcodes,starts_on,ends_on", "C-1,D-NINGBO,330200,2026-02-02,2026-02-01",
     "ENDS_BEFORE_START"),
    ("contracts", "id,dealer,adcodes,starts_on", "C-1,D-NINGBO,33020,2026-02-02", "UNKNOWN_ADCODE"),
    ("packs", PACKS, "19506000134359,09506000134352,case,09506000134352,12", "PACK_QUANTITY"),
    ("packs", PACKS, "19506000134359,09506000134352,case,09506000134369,6", "PACK_CONTENT"),
    ("devices", "id,site,kind", "scanner-7,nowhere,station", "UNKNOWN_SITE"),
    ("devices", "id,site,kind", "ingest-0,S-1,station", "RESERVED_ID"),
    ("dealers", "id,name_zh,kind", "D 1,店,sub", "BAD_ID"),
    ("dealers", "id,name_zh,kind", "D-1,店,sub\nD-1,铺,sub", "DUPLICATE"),
    ("dealers", "id,name_zh,kind,valid_from", "D-1,店,sub,2026-01-01T08:00:00", "NO_TIME_ZONE"),
    ("dealers", "id,name_zh,kind,colour", "D-1,店,sub,red", "UNKNOWN_COLUMN"),
    ("dealers", "id,name_zh", "D-1,店", "COLUMN_MISSING"),
    ("dealers", "id,name_zh,kind", 'D-1,"店,sub', "BROKEN_CSV"),
    ("prices", "id", "1", "UNKNOWN_TABLE"),
]  # fmt: skip


@pytest.mark.parametrize("case", BAD_ROWS, ids=lambda case: f"{case[0]} {case[3]}")
def test_every_kind_of_mistake_has_its_own_report(
    bring: Import, connection: Connection, case: tuple[str, str, str, str]
) -> None:
    table, head, rows, code = case
    plan = bring((f"{table}.csv", f"{head}\n{rows}\n"), ("staff.csv", "id,name,role\nP-1,陈静,主管\n"))
    errors = [each for each in plan.problems if each.severity == "error"]
    assert [each.code for each in errors] == [code]
    assert errors[0].spot.file == f"{table}.csv"
    assert errors[0].message()
    assert errors[0].remedy()
    assert values(connection, "SELECT count(*) FROM trace.channel_version") == [(0,)], "all or nothing"


def test_what_people_type_is_understood(bring: Import, connection: Connection) -> None:
    rows = '商品条码,中文名称,每箱件数,单价,单件重量克\n９５０６０００１３４３８３ , 清源大坛 ,１２,"1,288",1,\n'
    plan = bring(("产品 2026.csv", rows.replace(",1,\n", ",1\n").encode("gb18030")))
    assert found(plan) == []
    assert values(connection, "SELECT name_zh, items_per_case, unit_price::text FROM trace.product"
                  " WHERE gtin = '09506000134383'") == [("清源大坛", 12, "1288.00")]  # fmt: skip
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.title = "合同"
    sheet.append(["合同编号", "经销商编号", "授权区域", "开始日期", "独家"])
    sheet.append(["C-9", "D-NINGBO", 330200, 46023, False])
    sheet.append(["C-8", "D-NINGBO", 330225.0, datetime(2026, 1, 1), "否"])  # noqa: DTZ001  spreadsheets have no zone
    plan = bring(("合同.xlsx", saved(book)))
    assert [each for each in found(plan) if each[0] != "BEYOND_PARENT"] == []
    starts = values(connection, "SELECT facts ->> 'starts_on' FROM trace.channel_version WHERE key IN ('C-8', 'C-9')")
    assert starts == [("2026-01-01",)] * 2


def saved(book: Workbook) -> bytes:
    target = io.BytesIO()
    book.save(target)
    return target.getvalue()


def packed(**parts: bytes) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in {"[Content_Types].xml": b"<Types/>", **parts}.items():
            archive.writestr(name, content)
    return target.getvalue()


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"\xd0\xcf\x11\xe0" + bytes(512), "LEGACY_EXCEL"),
        (packed(**{"xl/workbook.xml": b"<a/>", "xl/vbaProject.bin": b"x"}), "MACROS"),
        (packed(**{"xl/workbook.xml": b"<a/>", "xl/big.bin": bytes(600 * 2**20)}), "UNPACKS_TOO_LARGE"),
        (packed(**{"xl/workbook.xml": b'<!DOCTYPE a [<!ENTITY b "c">]><a/>'}), "UNSAFE_XML"),
        (packed(**{"xl/workbook.xml": b"<a/>"}), "BROKEN_EXCEL"),
        (packed(**{"word/document.xml": b"<a/>"}), "NOT_A_TABLE"),
        (b"PK\x03\x04" + bytes(64), "BROKEN_EXCEL"),
        (b"\xff" * 100, "UNKNOWN_ENCODING"),
        (b"", "EMPTY_TABLE"),
    ],
)
def test_files_that_are_no_tables_are_refused(bring: Import, content: bytes, code: str) -> None:
    assert [each.code for each in bring(("dealers.xlsx", content)).problems] == [code]


def test_a_formula_in_a_workbook_is_named_by_its_cell(bring: Import) -> None:
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.title = "dealers"
    sheet.append(["id", "name_zh", "kind"])
    sheet.append(["D-1", "=CONCATENATE(A1)", "sub"])
    (problem,) = bring(("x.xlsx", saved(book))).problems
    assert (problem.code, *problem.spot) == ("FORMULA", "x.xlsx", "dealers", 2, "name_zh")


def test_ids_of_another_brand_are_refused_and_a_dry_run_changes_nothing(bring: Import, connection: Connection) -> None:
    other = bring(("dealers.csv", DEALERS + "D-CHENGDU,,借名,sub,,\n"), brand="rival")
    assert found(other) == [("ID_TAKEN", 2, "id")]
    plan = bring(("dealers.csv", DEALERS + "D-NEW,D-CHENGDU,新店,sub,,\n"), dry_run=True)
    assert (plan.sound, plan.counts["dealer"]) == (True, {"created": 1})
    assert values(connection, "SELECT count(*) FROM trace.channel_version") == [(0,)]


NESTED = """
39506000134353,09506000134352,pallet,19506000134359,40
19506000134359,09506000134352,case,29506000134356,2
29506000134356,09506000134352,inner,09506000134352,3
"""
NEW_SITE = "S-NEW,store,D-NEW,新津店,9506000134352,103.83,30.41,gcj02\n"


def test_what_several_brands_use_is_changed_by_the_operator_alone(
    bring: Import, connection: Connection, atoms: AtomMap
) -> None:
    moved = b"id,kind,name_zh,lon,lat\ndc-east,warehouse,x,104.06,30.67\n"
    assert found(bring(("sites.csv", moved.decode()))) == [("SHARED", 2, "id")]
    assert found(bring(("sites.csv", moved.decode()), brand="rival")) == [("SHARED", 2, "id")]
    assert import_files(connection, BRAND, [("sites.csv", moved)], Job("ops", atoms, operator=True)).sound
    assert values(connection, "SELECT lon FROM trace.site WHERE id = 'dc-east'") == [(104.06,)]


def test_a_whole_channel_comes_in_one_workbook(bring: Import, connection: Connection) -> None:
    files = (
        ("dealers.csv", DEALERS + "D-NEW,D-CHENGDU,新津酒业,county,,\n"),
        ("packs.csv", PACKS + NESTED),
        ("sites.csv", "id,kind,dealer,name_zh,gln,lon,lat,crs\n" + NEW_SITE),
        ("devices.csv", "id,site,kind\nshelf-99,S-NEW,shelf\n"),
        ("staff.csv", "id,name,role,site\nP-1,陈静,店长,S-NEW\n"),
    )  # fmt: skip
    plan = bring(*files)
    assert found(plan) == []
    assert values(connection, "SELECT gtin, items FROM trace.pack ORDER BY items") == [
        ("29506000134356", 3), ("19506000134359", 6), ("39506000134353", 240),
    ]  # fmt: skip
    ((lon, _, gln),) = values(connection, "SELECT lon, lat, gln FROM trace.site WHERE id = 'S-NEW'")
    assert 103.826 < lon < 103.829
    assert gln == "9506000134352"
    assert values(connection, "SELECT site FROM landing.device WHERE id = 'shelf-99'") == [("S-NEW",)]
    assert values(connection, "SELECT name, site FROM trace.staff") == [("陈静", "S-NEW")]
    known = load_channel(connection, BRAND, datetime.now(UTC))
    tables = all_tables(known, BRAND, datetime.now(UTC), "zh")
    assert bring(*((f"{name}.csv", as_csv(head, rows)) for name, (head, rows) in tables.items())).changes == []


def test_a_change_whose_day_comes_enters_the_present_by_itself_once(bring: Import, connection: Connection) -> None:
    bring(("dealers.csv", DEALERS + "D-WUHOU,D-CHONGQING,成都武侯经销部,county,2098-03-01,\n"))
    parent = "SELECT parent FROM trace.dealer WHERE id = 'D-WUHOU'"
    assert values(connection, parent) == [("D-CHENGDU",)]
    assert refresh_due(connection, datetime(2098, 2, 28, tzinfo=UTC), "tianditu") == []
    assert values(connection, parent) == [("D-CHENGDU",)]
    engine = values(connection, SQL["network_version"])
    with capture_logs() as logs:
        assert refresh_due(connection, datetime(2098, 3, 2, tzinfo=UTC), "tianditu") == [BRAND]
    assert [each["action"] for each in logs] == ["channel.refreshed"]
    assert values(connection, parent) == [("D-CHONGQING",)]
    assert values(connection, SQL["network_version"]) != engine, "the engine reads the channel anew"
    assert refresh_due(connection, datetime(2098, 3, 3, tzinfo=UTC), "tianditu") == []


def test_a_refresh_that_began_before_an_import_does_not_undo_it(bring: Import, connection: Connection) -> None:
    began = datetime.now(UTC) - timedelta(minutes=5)
    bring(("dealers.csv", DEALERS + "D-WUHOU,D-CHONGQING,成都武侯经销部,county,,\n"))
    parent = "SELECT parent FROM trace.dealer WHERE id = 'D-WUHOU'"
    assert values(connection, parent) == [("D-CHONGQING",)]
    refresh(connection, BRAND, None, began)
    assert values(connection, parent) == [("D-CHONGQING",)]
