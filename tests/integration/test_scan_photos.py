"""The cascade on real photos, and the benchmark command that measures it."""

import json

import pytest
from click.testing import CliRunner

from benchmarks.cli import bench
from benchmarks.frame import DataMissingError, data_folder, names
from edge.decode import load_image, read_codes
from edge.decode.readers import zbar_library


def require_photos() -> None:
    try:
        data_folder("photos")
    except DataMissingError as missing:
        pytest.skip(missing.message)


@pytest.mark.data
def test_every_target_is_met_in_one_run_beside_the_alternatives() -> None:
    require_photos()
    done = CliRunner().invoke(bench, ["scan", "--json"])
    report = json.loads(done.stdout)
    assert report["met"] is True, {key: report["figures"][key] for key in report["targets"]}
    assert done.exit_code == 0
    assert report["figures"]["photos"] > 200
    assert report["machine"]["cores"] >= 1


@pytest.mark.data
@pytest.mark.skipif(zbar_library() is None, reason="libzbar0 is not installed: apt-get install libzbar0")
def test_bars_that_zxing_reads_once_are_accepted_when_zbar_agrees() -> None:
    require_photos()
    (code,) = read_codes(load_image((data_folder("photos") / "ean13-2" / "04.webp").read_bytes()))
    assert code.text == "9780804816632"


@pytest.mark.data
def test_a_misread_with_a_valid_check_digit_is_not_accepted() -> None:
    require_photos()
    codes = read_codes(load_image((data_folder("photos") / "ean13-1" / "35.webp").read_bytes()))
    assert [code.text for code in codes] == ["5030159003930"]


def test_missing_data_is_a_skip_with_a_word(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.setenv("CODEFENCE_DATA", str(tmp_path))
    done = CliRunner().invoke(bench, ["scan"])
    assert done.exit_code == 0
    assert "skipped" in done.stdout
    assert "CODEFENCE_DATA" in done.stdout


def test_benchmarks_are_listed_with_a_line_each_and_unknown_ones_refused() -> None:
    listed = json.loads(CliRunner().invoke(bench, ["--json"]).stdout)
    assert listed == names()
    assert listed["scan"].startswith("Reading codes")
    assert CliRunner().invoke(bench, ["nonsense"]).exit_code == 2
