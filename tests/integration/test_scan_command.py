"""`codefence scan` as a person or a script calls it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import zxingcpp
from PIL import Image
from zxingcpp import BarcodeFormat


def save(path: Path, text: str, kind: BarcodeFormat = BarcodeFormat.QRCode, **options: object) -> None:
    symbol = zxingcpp.create_barcode(text, kind, **options)
    Image.fromarray(np.array(symbol.to_image(scale=4), dtype=np.uint8)).save(path)


def scan(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from cli.main import main; main()", "scan", *map(str, arguments)]
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8"}
    return subprocess.run(command, capture_output=True, encoding="utf-8", timeout=300, check=False, env=environment)


def test_json_has_one_line_a_file_in_the_order_named(tmp_path: Path) -> None:
    (tmp_path / "深圳仓" / "b").mkdir(parents=True)
    save(tmp_path / "深圳仓" / "b" / "箱.png", "码界")
    save(tmp_path / "深圳仓" / "a.webp", "(01)09506000134352(21)A1", BarcodeFormat.DataMatrix, gs1=True)
    save(tmp_path / "first.gif", "9780201379624", BarcodeFormat.EAN13)
    (tmp_path / "深圳仓" / "index.csv").write_text("not a picture")
    done = scan(tmp_path / "first.gif", tmp_path / "深圳仓", "--json")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0
    assert [Path(line["file"]).name for line in lines] == ["first.gif", "a.webp", "箱.png"]
    assert [line["codes"][0]["text"] for line in lines] == ["9780201379624", "010950600013435221A1", "码界"]
    assert [line["codes"][0]["symbology"] for line in lines] == ["EAN13", "DataMatrix", "QRCode"]
    assert [line["codes"][0]["aim"] for line in lines] == ["]E0", "]d2", "]Q1"]
    assert all(np.shape(line["codes"][0]["corners"]) == (4, 2) and line["ms"] > 0 for line in lines)


def test_files_that_cannot_be_read_are_told_and_the_others_go_on(tmp_path: Path) -> None:
    save(tmp_path / "good.png", "GOOD")
    (tmp_path / "cut.png").write_bytes((tmp_path / "good.png").read_bytes()[:60])
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.png").write_text("hello")
    os.mkfifo(tmp_path / "pipe.png")
    names = ["cut.png", "empty.jpg", "text.png", "pipe.png", "absent.png", "good.png"]
    done = scan("--json", *(tmp_path / name for name in names))
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 1
    assert [line.get("error", {}).get("code") for line in lines] == [*["IMAGE_UNREADABLE"] * 4, "IMAGE_MISSING", None]
    assert all(line["codes"] == [] and line["error"]["message"] and line["error"]["advice"] for line in lines[:-1])
    assert lines[-1]["codes"][0]["text"] == "GOOD"
    assert done.stderr == ""


def test_a_decompression_bomb_costs_no_memory(tmp_path: Path) -> None:
    Image.new("1", (12_000, 12_000)).save(tmp_path / "bomb.png")
    script = (
        "import resource, sys\n"
        "from edge.scan import scan_file\n"
        "from pathlib import Path\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "result = scan_file(Path(sys.argv[1]))\n"
        "print(result.error.code, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "bomb.png")]
    code, growth = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True).stdout.split()
    assert code == "IMAGE_TOO_LARGE"
    assert int(growth) < 50_000


def test_people_get_a_table_in_which_a_code_cannot_steer_the_terminal(tmp_path: Path) -> None:
    save(tmp_path / "gs1.png", "(01)09506000134352(21)A1(10)B", BarcodeFormat.Code128, gs1=True)
    save(tmp_path / "escape.png", "\x1b[31mred")
    done = scan(tmp_path / "gs1.png", tmp_path / "escape.png")
    assert "Code128      010950600013435221A1<GS>10B" in done.stdout
    assert "<1B>[31mred" in done.stdout
    assert "\x1b" not in done.stdout


@pytest.mark.parametrize("name", ["photo\n.png", b"caf\xe9.png".decode("utf-8", "surrogateescape")])
def test_odd_file_names_stay_one_valid_line(tmp_path: Path, name: str) -> None:
    save(tmp_path / "plain.png", "ODD")
    (tmp_path / "plain.png").rename(tmp_path / name)
    (line,) = scan(tmp_path, "--json").stdout.splitlines()
    assert json.loads(line)["codes"][0]["text"] == "ODD"


def test_the_examples_and_exit_codes_are_in_the_help() -> None:
    done = scan("--help")
    assert "codefence scan label.jpg" in done.stdout
    assert "Exit codes" in done.stdout
    assert scan().returncode == 2
