"""Demand tables: what is wrong with them is said, with line and column, and never becomes a number."""

import gzip
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cli.replenish.tables import promotion_list, shelved
from trace_service.replenishment.demand.forecasts import mixed
from trace_service.replenishment.demand.table import Reading, Table, read_demand
from trace_service.replenishment.errors import DemandTableError

HEAD = "node,sku,date,units"


def read(folder: Path, text: str, **reading: object) -> Table:
    path = folder / "demand.csv"
    path.write_text(text, "utf-8")
    return read_demand(path, Reading(**reading))  # type: ignore[arg-type]


def flags(table: Table) -> list[tuple[int | None, str, str, str]]:
    return [(flag.line, flag.column, flag.reason, flag.done) for flag in table.flags]


def test_a_clean_table_becomes_arrays_and_days_without_rows_sold_nothing(tmp_path: Path) -> None:
    table = read(tmp_path, f"{HEAD},price,pack\nA,x,2026-01-01,3,2.5,12\nA,y,2026-01-02,1,4,\nA,x,2026-01-02,2,3,\n")
    history = table.history
    assert flags(table) == []
    assert [tuple(each) for each in history.series] == [("A", "x"), ("A", "y")]
    assert history.days == (date(2026, 1, 1), date(2026, 1, 2))
    assert history.units.tolist() == [[3, 2], [0, 1]]
    assert history.price.tolist() == [3, 4]
    assert history.pack.tolist() == [12, 6]


@pytest.mark.parametrize(
    ("row", "flag"),
    [
        ("A,x,2026-01-02,-4", (3, "units", "negative_units", "repaired")),
        ("A,x,2026-01-02,many", (3, "units", "not_a_number", "refused")),
        ("A,x,2026-01-02,nan", (3, "units", "out_of_range", "refused")),
        ("A,x,2026-01-02,1e12", (3, "units", "out_of_range", "refused")),
        ("A,x,02.01.2026,1", (3, "date", "date", "refused")),
        ("A,x,2026-02-30,1", (3, "date", "date", "refused")),
        ("A,,2026-01-02,1", (3, "sku", "name", "refused")),
        ("A,x,2026-01-02", (3, "", "field_count", "refused")),
        ("A,x,2026-01-01,5", (3, "date", "duplicate_row", "repaired")),
        ("A,x,2026-01-01,7", (3, "date", "duplicate_day", "repaired")),
        ("A,x,2026-01-02T10:00,1", (3, "date", "no_time_zone", "repaired")),
    ],
)
def test_what_is_wrong_with_a_row_is_said_where_it_stands(
    tmp_path: Path, row: str, flag: tuple[int, str, str, str]
) -> None:
    table = read(tmp_path, f"{HEAD}\nA,x,2026-01-01,5\n{row}\nA,x,2026-01-03,1\n")
    assert flag in flags(table)
    expected = {"duplicate_day": 13, "no_time_zone": 7}.get(flag[2], 6)
    assert table.history.units.sum() == expected


def test_optional_cells_that_cannot_be_read_are_ignored_and_unknown_lead_times_are_said(tmp_path: Path) -> None:
    text = f"{HEAD},pack,lead_time,promotion\nA,x,2026-01-01,5,2.5,,maybe\nA,y,2026-01-01,5,4,9,yes\n"
    table = read(tmp_path, text, lead=5)
    assert {flag.reason for flag in table.flags} == {"not_whole", "lead_time_unknown", "not_yes_or_no"}
    assert table.history.pack.tolist() == [6, 4]
    assert table.history.lead.tolist() == [5, 9]
    assert table.history.promoted.tolist() == [[False], [True]]


def test_times_count_for_the_store_s_own_day_and_sales_of_a_day_add_up(tmp_path: Path) -> None:
    text = f"{HEAD}\nA,x,2026-01-01T15:59:00+00:00,1\nA,x,2026-01-01T16:00:00+00:00,2\nA,x,2026-01-02T03:00:00Z,2\n"
    table = read(tmp_path, text, zone=ZoneInfo("Asia/Shanghai"))
    assert table.history.days == (date(2026, 1, 1), date(2026, 1, 2))
    assert table.history.units.tolist() == [[1, 4]]
    assert flags(table) == []


def test_a_silent_store_a_closed_day_and_a_missing_day_are_told_apart(tmp_path: Path) -> None:
    rows = [HEAD]
    for day in range(1, 29):
        for node in "AB":
            units = 0 if day == 9 or (node == "B" and day == 16) else 2
            rows += [f"{node},p{each},2026-06-{day:02},{units}" for each in range(12) if day != 23]
    table = read(tmp_path, "\n".join(rows))
    said = {flag.reason: flag.detail for flag in table.flags}
    assert set(said) == {"closed_day", "missing_day", "gap"}
    assert said["gap"].startswith("B 2026-06-16")
    assert len(table.history.days) == 26
    assert (~table.history.known).sum() == 12


def test_a_sold_out_shelf_says_nothing_about_demand(tmp_path: Path) -> None:
    table = read(tmp_path, f"{HEAD},stock\nA,x,2026-01-01,2,9\nA,x,2026-01-02,0,0\nA,x,2026-01-03,1,9\n")
    assert table.history.known.tolist() == [[True, False, True]]
    assert table.sold_out_days == 1


def test_other_headers_are_mapped_and_packed_files_are_read(tmp_path: Path) -> None:
    path = tmp_path / "sales.csv.gz"
    path.write_bytes(gzip.compress(b"\xef\xbb\xbfsku,date,qty\nx,2026-01-01,3\n"))
    table = read_demand(path, Reading(columns={"units": "qty"}, node="web"))
    assert table.history.series[0] == ("web", "x")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "gb18030"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_what_a_spreadsheet_saves_is_read_as_it_is_meant(tmp_path: Path, encoding: str, delimiter: str) -> None:
    rows = (["units", "date", "node", "sku"], ["3", "2026/1/2", "成都一店", "茶"], ["1", "2026/1/12", "成都一店", "茶"])
    path = tmp_path / "demand.csv"
    path.write_bytes("\r\n".join(delimiter.join(row) for row in rows).encode(encoding))
    table = read_demand(path, Reading())
    assert [tuple(each) for each in table.history.series] == [("成都一店", "茶")]
    assert table.history.days == (date(2026, 1, 2), date(2026, 1, 12))
    told = [] if encoding == "utf-8-sig" else [(None, "", "encoding", "noted")]
    assert [flag for flag in flags(table) if flag[2] != "missing_day"] == told


def test_a_day_that_outdoes_all_others_is_demand_and_teaches_nothing(tmp_path: Path) -> None:
    days = "".join(f"A,x,2026-01-{day:02},{4 if day != 9 else 5000}\n" for day in range(1, 31))
    table = read(tmp_path, f"{HEAD}\n{days}")
    assert flags(table) == [(None, "units", "spike", "repaired")]
    assert "A x 2026-01-09: 5000 units in a day" in table.flags[0].detail
    history = table.history
    assert history.units.max() == 5000
    assert float(mixed(history.units, history.known)[0]) < 5
    assert read(tmp_path, f"{HEAD}\nA,x,2026-01-01,500\nA,x,2026-01-02,0\n").history.known.all(), "its only sale"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("sku,date\nx,2026-01-01\n", ["line 1", "units"]),
        ("sku,sku,date,units\n", ["line 1", "two columns"]),
        ("sku,date,units\n", ["no usable row"]),
        ("", ["line 1"]),
    ],
)
def test_a_table_that_cannot_be_used_is_refused_with_the_place(tmp_path: Path, text: str, words: list[str]) -> None:
    with pytest.raises(DemandTableError) as refused:
        read(tmp_path, text)
    for word in words:
        assert word in str(refused.value)


cells = st.text(st.characters(codec="utf-8", exclude_characters='\r\n"\x00'), max_size=12)


@settings(max_examples=80, deadline=None)
@given(st.lists(st.lists(cells, min_size=1, max_size=5), max_size=8))
def test_whatever_stands_in_a_table_it_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]]
) -> None:
    path = tmp_path_factory.mktemp("table") / "demand.csv"
    text = "\n".join([HEAD, "A,x,2026-01-01,1", *(",".join(row) for row in rows)])
    path.write_text(text, "utf-8")
    table = read_demand(path, Reading())
    assert table.history.units.min() >= 0
    assert len(table.flags) + table.history.units.size >= 1


@pytest.mark.parametrize("encoding", ["utf-8-sig", "gb18030"])
def test_stock_and_promotions_are_read_as_demand_is_and_no_place_twice(tmp_path: Path, encoding: str) -> None:
    table = read(tmp_path, f"{HEAD}\n成都一店,x,2026-01-01,3\n")
    path = tmp_path / "stock.csv"
    path.write_bytes("node;sku;on_hand\r\n成都一店; x ;7\r\n".encode(encoding))
    history, stock = shelved(table.history, path, Reading())
    assert (len(history.series), stock.on_hand.tolist()) == (1, [7])
    path.write_bytes("sku,from,to,nodes\nx,2026/2/1,2026/2/11,成都一店\n".encode(encoding))
    (planned,) = promotion_list(path)
    assert (planned.first, planned.last, planned.nodes) == (date(2026, 2, 1), date(2026, 2, 11), {"成都一店"})
    path.write_text("node,sku,on_hand\nA,x,7\nA,x,2\n", "utf-8")
    with pytest.raises(DemandTableError, match="line 3: A x stands there twice"):
        shelved(table.history, path, Reading())
