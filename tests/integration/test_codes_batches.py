"""Batches and keys in a real database: ranges never overlap, scrapped labels stay out, killed epochs stay killed."""

import base64
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner, Result
from conftest import TestDatabase
from psycopg import errors
from trace_market import HOST, KEYS

from cli.main import main
from contracts.gs1 import item_key, label_uri
from contracts.tc20 import Tc20
from trace_service.codes.batches import BatchError, Order, allot, commission, find, scrap
from trace_service.codes.verify import Text, verify
from trace_service.domain.verification import CodeState
from trace_service.store.connection import Connection, connect

GTIN, OTHER = "09506000134352", "09506000134369"
BRAND = "acme"
BILLION = 10**9


@pytest.fixture
def connection(database: TestDatabase) -> Iterator[Connection]:
    with psycopg.connect(database.owner_dsn) as owner:
        owner.execute("INSERT INTO trace.brand (id, name_zh, name_en) VALUES ('acme', 'A', 'A'), ('rival', 'R', 'R')")
        for gtin, brand in ((GTIN, BRAND), (OTHER, "rival")):
            owner.execute(
                "INSERT INTO trace.product (gtin, brand, name_zh, name_en, items_per_case, unit_price, unit_weight_g)"
                " VALUES (%s, %s, 'P', 'P', 6, 1, 1)",
                (gtin, brand),
            )
        owner.execute("INSERT INTO trace.master_key (brand, epoch, wrapped) VALUES ('acme', 1, %s)", (KEYS.fresh(),))
    with connect(database.trace_dsn, "test") as opened:
        yield opened


def order(count: int, start: int | None = None, lot: str = "L1") -> Order:
    return Order(BRAND, GTIN, count, lot, start=start)


def count_of(connection: Connection, table: str) -> int:
    ((count,),) = connection.execute(f"SELECT count(*) FROM trace.{table}").fetchall()  # type: ignore[arg-type]  # noqa: S608  a literal of this file
    return int(count)


def states(connection: Connection, serials: list[str]) -> list[CodeState]:
    texts = [Text(label_uri(HOST, GTIN, serial), "") for serial in serials]
    found = verify(connection, KEYS, texts)
    return [found[text].state for text in texts]


def run(database: TestDatabase, monkeypatch: pytest.MonkeyPatch, *arguments: str, lines: str = "") -> Result:
    key = base64.b64encode(bytes(range(32))).decode()
    for name, value in {"DATABASE_URL": database.trace_dsn, "OWNER_URL": database.owner_dsn}.items():
        monkeypatch.setenv(f"TRACE_{name}", value)
    monkeypatch.setenv("TRACE_KEY_ENCRYPTION_KEY", key)
    return CliRunner().invoke(main, ["codes", *arguments, "--tenant", BRAND], input=lines)


def test_a_billion_unissued_codes_are_one_row_and_each_is_found(connection: Connection) -> None:
    ((before,),) = connection.execute("SELECT pg_total_relation_size('trace.batch')").fetchall()
    batch, codec = allot(connection, KEYS, order(BILLION))
    commission(connection, BRAND, batch.id)
    assert (batch.first, batch.count, count_of(connection, "batch")) == (0, BILLION, 1)
    ((after,),) = connection.execute("SELECT pg_total_relation_size('trace.batch')").fetchall()
    assert after - before < 100_000
    picked = [0, 1, 123_456_789, BILLION - 1, BILLION]
    serials = [codec.issue(GTIN, counter, 1)[0].decode() for counter in picked]
    assert states(connection, serials) == [CodeState.GENUINE] * 4 + [CodeState.UNKNOWN]


def test_ranges_of_a_product_never_overlap_even_when_many_ask_for_the_same(
    database: TestDatabase, connection: Connection
) -> None:
    def ask(number: int) -> str:
        with connect(database.trace_dsn, "issuer") as own, own.transaction():
            try:
                allot(own, KEYS, order(100, start=1000 + number % 4 * 50))
            except BatchError as error:
                return str(error)
            return "allotted"

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(24)))
    # 1000, 1050, 1100 and 1150 with 100 each: two of them at most, one at least.
    assert 1 <= answers.count("allotted") <= 2
    assert all("overlap batch" in answer for answer in answers if answer != "allotted")
    overlapping = "SELECT count(*) FROM trace.batch a JOIN trace.batch b ON a.id < b.id AND a.counters && b.counters"
    assert connection.execute(overlapping).fetchall() == [(0,)]
    nxt, _ = allot(connection, KEYS, order(5))
    assert nxt.first in {1100, 1150, 1200, 1250}


def test_the_database_itself_refuses_an_overlap_and_takes_the_same_counters_of_another_product(
    database: TestDatabase, connection: Connection
) -> None:
    allot(connection, KEYS, order(100, start=50))
    insert = (
        "INSERT INTO trace.batch (brand, gtin, epoch, counters, lot, produced_on)"
        " VALUES ('acme', %s, 1, '[149,150)', 'X', current_date)"
    )
    with psycopg.connect(database.owner_dsn) as owner:
        owner.execute(insert, (OTHER,))
        with pytest.raises(errors.ExclusionViolation):
            owner.execute(insert, (GTIN,))


def test_what_is_printed_is_no_goods_until_it_is_commissioned(connection: Connection) -> None:
    batch, codec = allot(connection, KEYS, order(10))
    serials = [each.decode() for each in codec.issue(GTIN, 0, 10).tolist()]
    assert set(states(connection, serials)) == {CodeState.NOT_COMMISSIONED}
    assert scrap(connection, KEYS, batch, ((2, 3),), "torn") == 2
    assert scrap(connection, KEYS, batch, ((3, 4),), "torn too") == 1
    assert commission(connection, BRAND, batch.id, unprinted=((8, 9),)) == 5
    out = {2, 3, 4, 8, 9}
    assert states(connection, serials) == [
        CodeState.UNKNOWN if counter in out else CodeState.GENUINE for counter in range(10)
    ]
    with pytest.raises(BatchError, match="was commissioned at"):
        commission(connection, BRAND, batch.id)
    history = connection.execute("SELECT reason, counters::text FROM trace.batch_exclusion ORDER BY id").fetchall()
    assert history == [("torn", "{[2,4)}"), ("torn too", "{[4,5)}"), ("not printed", "{[8,10)}")]
    assert find(connection, BRAND, batch.id).excluded == ((2, 4), (8, 9))


def test_an_item_that_custody_has_seen_is_no_spare_label(database: TestDatabase, connection: Connection) -> None:
    batch, codec = allot(connection, KEYS, order(10))
    commission(connection, BRAND, batch.id)
    unit = item_key(GTIN, codec.issue(GTIN, 4, 1)[0].decode())
    with psycopg.connect(database.owner_dsn) as owner:
        owner.execute("INSERT INTO trace.site (id, kind, name_zh, name_en) VALUES ('s', 'factory', 'S', 'S')")
        owner.execute(
            "INSERT INTO trace.custody_event (brand, unit, biz_step, site, occurred_at, device, boot, seq)"
            " VALUES ('acme', %s, 'packing', 's', now(), 'd', gen_random_uuid(), 1)",
            (unit,),
        )
    with pytest.raises(BatchError, match="custody has seen"):
        scrap(connection, KEYS, batch, ((0, 9),), "torn")
    assert scrap(connection, KEYS, batch, ((5, 9),), "torn") == 5


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (Order("rival", GTIN, 1, "L"), "no product"),
        (Order(BRAND, "09506000134376", 1, "L"), "no product"),
        (Order(BRAND, GTIN, 1, "L", epoch=7), "no code key of epoch 7"),
        (Order(BRAND, GTIN, 1, "有"), "a lot has 1 to 20"),
        (Order(BRAND, GTIN, 1, "L" * 21), "a lot has 1 to 20"),
        (Order(BRAND, GTIN, 1, "L", date(2026, 3, 2), date(2026, 3, 1)), "expire before"),
        (Order(BRAND, GTIN, 2, "L", start=2**40 - 1), "counters end"),
    ],
)
def test_a_batch_that_cannot_be_is_refused_with_its_reason(connection: Connection, wanted: Order, said: str) -> None:
    with pytest.raises(BatchError, match=said), connection.transaction():
        allot(connection, KEYS, wanted)
    assert count_of(connection, "batch") == 0


def test_counters_outside_a_batch_are_not_scrapped(connection: Connection) -> None:
    batch, _ = allot(connection, KEYS, order(10, start=5))
    for span in ((4, 5), (14, 15), (9, 8)):
        with pytest.raises(BatchError, match="not within"):
            scrap(connection, KEYS, batch, (span,), "torn")


def test_the_service_may_neither_move_a_batch_nor_touch_a_key(connection: Connection) -> None:
    allot(connection, KEYS, order(10))
    for statement in (
        "UPDATE trace.batch SET counters = '[0,99)'",
        "UPDATE trace.batch SET lot = 'other'",
        "UPDATE trace.master_key SET state = 'killed'",
        "DELETE FROM trace.batch_exclusion",
        "UPDATE trace.batch_exclusion SET reason = 'x'",
    ):
        with pytest.raises(errors.InsufficientPrivilege):
            connection.execute(statement)  # type: ignore[arg-type]


def test_issue_commission_scrap_and_verify_work_together(
    database: TestDatabase, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = run(
        database, monkeypatch, "issue", "--gtin", GTIN, "--count", "5", "--lot", "L42", "--produced", "2026-03-02",
        "--expires", "2027-03-01",
    )  # fmt: skip
    assert made.exit_code == 0, made.stderr
    assert "batch 1: counters 0 to 4 of epoch 1" in made.stderr
    serials = made.stdout.split()
    rows = connection.execute("SELECT lot, produced_on, expires_on, commissioned_at FROM trace.batch").fetchall()
    assert rows == [("L42", date(2026, 3, 2), date(2027, 3, 1), None)]

    scrapped = run(database, monkeypatch, "scrap", "--reason", "torn", lines=label_uri(HOST, GTIN, serials[2]) + "\n")
    assert scrapped.exit_code == 0, scrapped.stderr
    done = run(database, monkeypatch, "commission", "--batch", "1", "--unprinted", "4", "--json")
    assert json.loads(done.stdout) == {"batch": 1, "commissioned": 3}

    answers = run(database, monkeypatch, "verify", lines="\n".join(f"{GTIN} {serial}" for serial in serials))
    found = [json.loads(line) for line in answers.stdout.splitlines()]
    assert [(each["valid"], each["counter"], each["batch"]) for each in found] == [
        (True, 0, "1"),
        (True, 1, "1"),
        (False, None, None),
        (True, 3, "1"),
        (False, None, None),
    ]


def test_batches_go_along_to_where_there_is_no_database(
    database: TestDatabase, connection: Connection, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first, codec = allot(connection, KEYS, order(5))
    scrap(connection, KEYS, first, ((1, 2),), "torn")
    commission(connection, BRAND, first.id)
    allot(connection, KEYS, order(5))
    shown = run(database, monkeypatch, "batches").stdout
    assert "counters 0 to 4, 2 out  lot L1  commissioned" in shown
    assert "counters 5 to 9, 0 out  lot L1  printed" in shown
    (listed, master) = tmp_path / "batches.jsonl", tmp_path / "master"
    listed.write_text(run(database, monkeypatch, "batches", "--json").stdout)
    ((wrapped,),) = connection.execute("SELECT wrapped FROM trace.master_key").fetchall()
    master.write_bytes(KEYS.unwrap(wrapped))
    monkeypatch.delenv("TRACE_DATABASE_URL")
    serials = "\n".join(each.decode() for each in codec.issue(GTIN, 0, 10).tolist())
    arguments = ["codes", "verify", "--tenant", BRAND, "--master-file", str(master), "--batches", str(listed)]
    answers = CliRunner().invoke(main, arguments, input=serials)
    found = [json.loads(line)["batch"] for line in answers.stdout.splitlines()]
    assert found == ["1", None, None, "1", "1", None, None, None, None, None]


def test_scrapping_is_all_or_nothing(
    database: TestDatabase, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, codec = allot(connection, KEYS, order(5))
    good = label_uri(HOST, GTIN, codec.issue(GTIN, 0, 1)[0].decode())
    forged = label_uri(HOST, GTIN, Tc20(bytes(32), BRAND, 1).issue(GTIN, 1))
    result = run(database, monkeypatch, "scrap", "--reason", "torn", lines=f"{good}\n{forged}\n")
    assert result.exit_code == 2
    assert "line 2" in result.stderr
    assert count_of(connection, "batch_exclusion") == 0


def test_a_new_epoch_issues_and_old_ones_verify_until_one_is_killed(
    database: TestDatabase, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, old = allot(connection, KEYS, order(3))
    commission(connection, BRAND, first.id)
    rotated = run(database, monkeypatch, "keys", "rotate", "--profile", "sm4")
    assert (rotated.exit_code, rotated.stderr) == (0, "")
    second, new = allot(connection, KEYS, order(3))
    commission(connection, BRAND, second.id)
    assert (second.epoch, second.first) == (2, 3)
    serials = [old.issue(GTIN, 0, 1)[0].decode(), new.issue(GTIN, 3, 1)[0].decode()]
    assert states(connection, serials) == [CodeState.GENUINE, CodeState.GENUINE]
    with pytest.raises(BatchError, match="only verified"):
        allot(connection, KEYS, Order(BRAND, GTIN, 1, "L", epoch=1))

    killed = run(database, monkeypatch, "keys", "kill", "--epoch", "1", "--reason", "stolen", "--yes")
    assert killed.exit_code == 0, killed.stderr
    assert states(connection, serials) == [CodeState.UNKNOWN, CodeState.GENUINE]
    again = run(database, monkeypatch, "keys", "kill", "--epoch", "1", "--reason", "stolen", "--yes")
    assert again.exit_code == 2
    listed = run(database, monkeypatch, "keys", "list", "--json")
    found = [json.loads(line) for line in listed.stdout.splitlines()]
    assert [(each["epoch"], each["state"], each["profile"], each["issued"]) for each in found] == [
        (1, "killed", "aes", 3),
        (2, "active", "sm4", 3),
    ]
    masters = connection.execute("SELECT wrapped FROM trace.master_key").fetchall()
    assert not any(KEYS.unwrap(row.wrapped).hex() in listed.stdout for row in masters)
    with psycopg.connect(database.owner_dsn) as owner, pytest.raises(errors.RaiseException, match="does not come back"):
        owner.execute("UPDATE trace.master_key SET state = 'active' WHERE epoch = 1")


def test_codes_of_a_killed_epoch_that_custody_knew_verify_with_less_assurance(
    database: TestDatabase, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch, codec = allot(connection, KEYS, order(3))
    commission(connection, BRAND, batch.id)
    serials = [each.decode() for each in codec.issue(GTIN, 0, 3).tolist()]
    with psycopg.connect(database.owner_dsn) as owner:
        owner.execute("INSERT INTO trace.site (id, kind, name_zh, name_en) VALUES ('s', 'factory', 'S', 'S')")
        event = (
            "INSERT INTO trace.custody_event (brand, unit, biz_step, site, occurred_at, recorded_at, device, boot, seq)"
            " VALUES ('acme', %s, 'packing', 's', now(), now() + %s::interval, 'd', gen_random_uuid(), 1)"
        )
        owner.execute(event, (item_key(GTIN, serials[0]), "0 s"))
        # Whoever stole the key makes a code known afterwards: too late.
        owner.execute(event, (item_key(GTIN, serials[1]), "1 hour"))
    run(database, monkeypatch, "keys", "kill", "--epoch", "1", "--reason", "stolen", "--yes")
    lines = "\n".join(f"{GTIN} {serial}" for serial in serials)
    found = [json.loads(line) for line in run(database, monkeypatch, "verify", lines=lines).stdout.splitlines()]
    assert [each["valid"] for each in found] == [True, False, False]
    assert found[0]["assurance"] == "reduced"


def test_looking_a_code_up_takes_no_longer_with_many_batches(connection: Connection, database: TestDatabase) -> None:
    """By the plan, not by the clock: one index look-up a code, whatever the number of batches."""
    with psycopg.connect(database.owner_dsn) as owner:
        owner.execute(
            "INSERT INTO trace.batch (brand, gtin, epoch, counters, lot, produced_on, commissioned_at)"
            " SELECT 'acme', %s, 1, int8range(n * 10, n * 10 + 10), 'L', current_date, now()"
            " FROM generate_series(0, 4999) AS n",
            (GTIN,),
        )
        owner.execute("ANALYZE trace.batch")
    codec = Tc20(KEYS.unwrap(connection.execute("SELECT wrapped FROM trace.master_key").fetchone()[0]), BRAND, 1)  # type: ignore[index]
    serials = [codec.issue(GTIN, counter) for counter in (0, 25_005, 49_999, 50_000)]
    assert states(connection, serials) == [CodeState.GENUINE] * 3 + [CodeState.UNKNOWN]
    plan = connection.execute(
        "EXPLAIN SELECT FROM trace.batch WHERE gtin = '09506000134352' AND lower(counters) <= 25005"
        " ORDER BY lower(counters) DESC LIMIT 1"
    ).fetchall()
    assert "batch_start" in str(plan)
