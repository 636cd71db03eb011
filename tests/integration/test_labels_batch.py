"""Labels of a batch in the database: name, lot and dates of the product, none that was scrapped; all are read back."""

import base64
import csv
import io
import json
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner, Result
from conftest import TestDatabase
from trace_market import KEYS

from cli.main import main
from edge.decode import load_image, read_codes

GTIN = "09506000134352"


@pytest.fixture(autouse=True)
def acme(database: TestDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    with psycopg.connect(database.owner_dsn) as owner:
        owner.execute("INSERT INTO trace.brand (id, name_zh, name_en) VALUES ('acme', 'A', 'A')")
        owner.execute(
            "INSERT INTO trace.product (gtin, brand, name_zh, name_en, items_per_case, unit_price, unit_weight_g)"
            " VALUES (%s, 'acme', '苏打水', 'Soda', 6, 1, 1)",
            (GTIN,),
        )
        owner.execute("INSERT INTO trace.master_key (brand, epoch, wrapped) VALUES ('acme', 1, %s)", (KEYS.fresh(),))
    monkeypatch.setenv("TRACE_DATABASE_URL", database.trace_dsn)
    monkeypatch.setenv("TRACE_KEY_ENCRYPTION_KEY", base64.b64encode(bytes(range(32))).decode())


def codefence(*arguments: str, lines: str = "") -> Result:
    result = CliRunner().invoke(main, arguments, input=lines)
    assert result.exit_code == 0, result.stderr
    return result


def test_a_batch_is_printed_without_its_scrapped_labels_and_every_label_verifies(tmp_path: Path) -> None:
    issued = codefence(
        "codes", "issue", "--tenant", "acme", "--gtin", GTIN, "--count", "12", "--lot", "L-7",
        "--produced", "2026-03-01", "--expires", "2027-03-01",
    ).stdout.split()  # fmt: skip
    codefence("codes", "scrap", "--tenant", "acme", "--batch", "1", "--counters", "3-4", "--reason", "torn")
    out = tmp_path / "labels"
    # A picture of the product's Chinese name would need a font that not every machine has.
    plain = ["--tenant", "acme", "--batch", "1", "--name", "Soda"]
    said = codefence("labels", "batch", *plain, "--symbol", "datamatrix", "--out", str(out))
    assert "10 labels, 1 part" in said.stderr
    read = [read_codes(load_image(path.read_bytes())) for path in sorted(out.glob("0*/*.png"))]
    texts = [code.text for codes in read for code in codes]
    assert sorted(texts) == sorted(
        f"01{GTIN}1727030121{serial}\x1d10L-7" for number, serial in enumerate(issued) if number not in {3, 4}
    )
    assert "commissioned" not in said.stderr
    codefence("codes", "commission", "--tenant", "acme", "--batch", "1")
    answers = codefence("codes", "verify", "--tenant", "acme", lines="\n".join(f"]d2{text}" for text in texts))
    assert all(json.loads(line)["batch"] == "1" for line in answers.stdout.splitlines())
    again = codefence("labels", "batch", *plain, "--out", str(tmp_path / "more"))
    assert "taken for a copy" in again.stderr

    table = codefence("labels", "batch", "--tenant", "acme", "--batch", "1", "--counters", "2-5", "--format", "csv",
                      "--out", "-").stdout  # fmt: skip
    rows = list(csv.DictReader(io.StringIO(table)))
    assert [row["serial"] for row in rows] == [issued[2], issued[5]]
    assert {(row["name"], row["lot"], row["produced"], row["expires"]) for row in rows} == {
        ("苏打水", "L-7", "2026-03-01", "2027-03-01")
    }
    (batch,) = [
        json.loads(line) for line in codefence("codes", "batches", "--tenant", "acme", "--json").stdout.splitlines()
    ]
    assert (batch["start"], batch["count"], batch["excluded"], batch["lot"]) == (0, 12, [[3, 4]], "L-7")


def test_no_sscc_is_given_out_twice_however_it_is_asked_for(tmp_path: Path) -> None:
    def ask(out: str, *arguments: str) -> list[str]:
        wanted = ["labels", "units", "--tenant", "acme", "--format", "csv", "--out", str(tmp_path / out), *arguments]
        result = CliRunner().invoke(main, wanted)
        if result.exit_code != 0:
            assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
            assert not (tmp_path / out).exists()
            return [result.stderr]
        (table,) = (tmp_path / out).glob("*.csv")
        return [row["sscc"] for row in csv.DictReader(io.StringIO(table.read_text("utf-8")))]

    first = ask("a", "--prefix", "06901234", "--count", "3")
    assert first == ["069012340000000009", "069012340000000016", "069012340000000023"]
    assert ask("b", "--prefix", "06901234", "--count", "2") == ["069012340000000030", "069012340000000047"]
    assert "next free number is 5" in ask("c", "--prefix", "06901234", "--start", "4", "--count", "2")[0]
    # A longer company prefix that begins alike names the same units.
    assert "given out before" in ask("d", "--prefix", "0690123400000", "--start", "0", "--count", "1")[0]
    assert ask("e", "--prefix", "16901234", "--count", "1") == ["169012340000000006"]
    assert "room for" in ask("f", "--prefix", "06901234", "--start", "999999999", "--count", "2")[0]
    again = codefence(
        "labels", "units", "--prefix", "06901234", "--start", "0", "--count", "3", "--format", "csv", "--out", "-"
    )
    assert [row["sscc"] for row in csv.DictReader(io.StringIO(again.stdout))] == first


def test_counters_outside_the_batch_and_batches_of_others_are_refused(tmp_path: Path) -> None:
    codefence("codes", "issue", "--tenant", "acme", "--gtin", GTIN, "--count", "5", "--lot", "L")
    for arguments, reason in (
        (["--tenant", "acme", "--batch", "1", "--counters", "4-5"], "counters 0 to 4"),
        (["--tenant", "rival", "--batch", "1"], "rival has no batch 1"),
    ):
        refused = CliRunner().invoke(main, ["labels", "batch", *arguments, "--out", str(tmp_path / "x")])
        assert (refused.exit_code, refused.stdout) == (2, "")
        assert reason in refused.stderr
    assert not (tmp_path / "x").exists()
