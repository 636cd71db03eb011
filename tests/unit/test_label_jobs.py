"""What is printed in which order: serials, counters and lines, jobs that are cut and resumed, and the command."""

import csv
import io
import stat
from datetime import date
from pathlib import Path

import pypdfium2
import pytest
from click.testing import CliRunner, Result
from PIL import Image
from test_labels import GTIN, LINK, SERIAL, SIZES, SSCC, rendered

from cli.main import main
from contracts.gs1 import parse
from contracts.tc20 import Tc20
from contracts.tc20_bulk import BulkTc20
from edge.decode import read_codes
from trace_service.labels.model import Kind, LabelError
from trace_service.labels.sources import Items, Lines, Units

MASTER = bytes(range(32))
HOST = "id.example.com"


def test_items_carry_their_counters_serials_in_order_and_leave_out_the_scrapped() -> None:
    codec, scalar = BulkTc20(MASTER, "acme", 1), Tc20(MASTER, "acme", 1)
    source = Items(codec, "acme", GTIN, Kind.QR, HOST, excluded=((3, 4),))
    made = [each.data for each in source.labels(0, 6)]
    wanted = [f"HTTPS://ID.EXAMPLE.COM/01/{GTIN}/21/{scalar.issue(GTIN, counter)}" for counter in (0, 1, 2, 5)]
    assert made == wanted
    matrix = Items(codec, "acme", GTIN, Kind.DATAMATRIX, HOST, "L-7", date(2027, 3, 1))
    assert next(matrix.labels(1, 1)).data == f"(01){GTIN}(17)270301(21){SERIAL}(10)L-7"


def test_running_ssccs_have_check_digits_and_end_where_digits_end() -> None:
    source = Units("09506000", Kind.GS1_128, HOST)
    first, second = source.labels(1, 2)
    assert first.data == f"(00){SSCC}"
    assert parse(second.data).key == "/00/095060000000000022"
    with pytest.raises(LabelError, match="room for"):
        next(source.labels(999_999_999, 2))


def test_lines_are_taken_in_any_form_and_a_wrong_one_is_named() -> None:
    texts = [SSCC, f"(00){SSCC}", LINK, "", GTIN]
    made = [each.data for each in Lines(texts, Kind.QR, HOST).labels(0, 10)]
    host = "HTTPS://ID.EXAMPLE.COM"
    assert made == [f"{host}/00/{SSCC}", f"{host}/00/{SSCC}", LINK, f"{host}/01/{GTIN}"]
    with pytest.raises(LabelError, match="line 2"):
        list(Lines([SSCC, "095060000000000016"], Kind.QR, HOST).labels(0, 10))
    with pytest.raises(LabelError, match="no GTIN alone"):
        list(Lines([SSCC], Kind.ITF14, HOST).labels(0, 10))


@pytest.fixture
def master(tmp_path: Path) -> Path:
    path = tmp_path / "master"
    path.write_bytes(MASTER)
    path.chmod(stat.S_IRUSR)
    return path


def command(master: Path, out: Path | str, *arguments: str, start: int = 0, count: int = 25) -> Result:
    wanted = [
        "labels", "items", "--tenant", "acme", "--gtin", GTIN, "--epoch", "1", "--start", str(start),
        "--count", str(count), "--master-file", str(master), "--out", str(out), "--part", "10", *arguments,
    ]  # fmt: skip
    return CliRunner().invoke(main, wanted)


def test_a_job_that_was_cut_resumes_with_the_part_that_was_at_work(master: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = command(master, out, "--format", "zpl")
    assert (first.exit_code, first.stdout) == (0, "")
    names = [f"{low:013}-{high:013}.zpl" for low, high in ((0, 9), (10, 19), (20, 24))]
    assert sorted(path.name for path in out.iterdir()) == [*names, "job.json"]
    whole = [(out / name).read_bytes() for name in names]
    # The second part was cut in the middle.
    (out / names[1]).rename(out / f".{names[1]}.part")
    (out / f".{names[1]}.part").write_bytes(whole[1][:100])
    kept = (out / names[0]).stat().st_mtime_ns
    again = command(master, out, "--format", "zpl")
    assert "10 labels, 1 part, 2 parts already there" in again.stderr
    assert [(out / name).read_bytes() for name in names] == whole
    assert (out / names[0]).stat().st_mtime_ns == kept
    assert sorted(path.name for path in out.iterdir()) == [*names, "job.json"]


def test_labels_of_two_jobs_are_never_mixed_in_one_folder(master: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert command(master, out, "--format", "csv").exit_code == 0
    for other in (["--format", "zpl"], ["--format", "csv", "--name", "Cola"], ["--format", "csv", "--host", "a.b"]):
        refused = command(master, out, *other)
        assert refused.exit_code == 2
        assert "another job" in refused.stderr
        assert refused.stderr.count("\n") == 1
    note = (out / "job.json").read_text()
    assert MASTER.hex() not in note
    assert Tc20(MASTER, "acme", 1).issue(GTIN, 0) not in note


def test_labels_with_another_logo_are_another_job(master: Path, tmp_path: Path) -> None:
    template, logo = tmp_path / "label.toml", tmp_path / "logo.png"
    template.write_text(SIZES.replace("x_mm=1, y_mm=1", "x_mm=3, y_mm=2") + '[logo]\nfile = "logo.png"\n'
                        "x_mm = 30\ny_mm = 2\nwidth_mm = 5\n")  # fmt: skip
    Image.new("L", (40, 20), 0).save(logo)
    assert command(master, tmp_path / "out", "--template", str(template)).exit_code == 0
    Image.new("L", (20, 20), 0).save(logo)
    refused = command(master, tmp_path / "out", "--template", str(template), count=35)
    assert (refused.exit_code, refused.stderr.count("\n")) == (2, 1)
    logo.unlink()
    refused = command(master, tmp_path / "fresh", "--template", str(template))
    assert "the logo" in refused.stderr
    assert not (tmp_path / "fresh").exists()


def test_a_line_that_stands_twice_is_printed_twice(tmp_path: Path) -> None:
    arguments = ["labels", "lines", "--symbol", "gs1-128", "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(main, arguments, input=f"{SSCC}\n\n{SSCC}\n")
    assert (result.exit_code, result.stderr) == (0, "2 labels, 1 part\n")
    assert len(list((tmp_path / "out").glob("0*/*.png"))) == 2
    small = CliRunner().invoke(
        main, [*arguments[:-1], str(tmp_path / "small"), "--part", "1"], input=f"{SSCC}\n\n{SSCC}\n"
    )
    assert small.stderr == "2 labels, 2 parts\n"
    again = CliRunner().invoke(main, [*arguments[:-1], str(tmp_path / "small"), "--part", "1"], input=f"{SSCC}\n" * 3)
    assert again.stderr == "1 label, 1 part, 2 parts already there\n"


def test_a_stream_holds_every_label_once(master: Path) -> None:
    result = command(master, "-", "--format", "csv", "--lot", "L42")
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    scalar = Tc20(MASTER, "acme", 1)
    assert [row["serial"] for row in rows] == [scalar.issue(GTIN, counter) for counter in range(25)]
    assert rows[3] == {
        "data": f"HTTPS://ID.CODEFENCE.EXAMPLE/01/{GTIN}/21/{scalar.issue(GTIN, 3)}", "name": "", "gtin": GTIN,
        "serial": scalar.issue(GTIN, 3), "sscc": "", "counter": "3", "lot": "L42", "produced": "", "expires": "",
    }  # fmt: skip
    refused = command(master, "-", "--format", "csv", "--lot", "=1+1")
    assert refused.exit_code == 2
    assert "formula" in refused.stderr
    refused = command(master, "-", "--format", "zpl", "--symbol", "datamatrix", "--lot", "批次")
    assert refused.exit_code == 2
    assert refused.stderr.count("\n") == 1


def test_a_full_disk_costs_one_line(master: Path) -> None:
    # Everything that is written there fails as on a full disk, but no folder can be made.
    result = command(master, Path("/dev/full/labels"))
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert "cannot be written" in result.stderr


def test_a_sheet_holds_as_many_labels_as_fit_and_all_are_read(master: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert command(master, out, "--format", "pdf", "--part", "100", count=40).exit_code == 0
    scalar = Tc20(MASTER, "acme", 1)
    found: list[str] = []
    with pypdfium2.PdfDocument(out / f"{0:013}-{39:013}.pdf") as document:
        assert len(document) == 2
        for page in range(2):
            found += [code.text.rsplit("/", 1)[1] for code in read_codes(rendered(document, page), expected=40)]
    assert sorted(found) == sorted(scalar.issue(GTIN, counter) for counter in range(40))


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["labels", "units", "--prefix", "12", "--start", "0", "--count", "1", "--out", "x"], "5 to 13 digits"),
        (["labels", "cases", "--gtin", "19506000134350", "--count", "1", "--out", "x"], "check digit is 9"),
        (["labels", "lines", "--format", "png", "--out", "-"], "choose a folder"),
        (["labels", "lines", "--host", "no host", "--out", "x"], "no host name"),
        (["labels", "lines", "--template", "none.toml", "--out", "x"], "cannot be read"),
    ],
)
def test_wrong_usage_of_labels_costs_one_line(arguments: list[str], reason: str) -> None:
    result = CliRunner().invoke(main, arguments, input="")
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert reason in result.stderr
