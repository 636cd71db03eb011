"""The two commands that turn tables of positions into answers."""

import csv
import io
import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli.main import main
from geofence.coordinates import Crs, convert
from geofence.maps import load_installed_map


def square(west: float, south: float, side: float = 1.0) -> list[list[list[float]]]:
    east, north = west + side, south + side
    return [[[west, south], [east, south], [east, north], [west, north], [west, south]]]


def territories(tmp_path: Path, **shapes: object) -> str:
    features = [
        {"type": "Feature", "id": name, "properties": {}, "geometry": {"type": "Polygon", "coordinates": shape}}
        for name, shape in shapes.items()
    ]
    path = tmp_path / "territories.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return os.fspath(path)


def run(*arguments: str, given: str = "") -> Result:
    return CliRunner().invoke(main, [*arguments], input=given)


def rows(result: Result) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(result.stdout)))


def check(path: str, points: str, *more: str) -> Result:
    return run("geofence", "check", "--territories", path, "--points", "-", *more, given=points)


def test_every_territory_that_covers_a_point_is_named_and_borders_belong(tmp_path: Path) -> None:
    path = territories(tmp_path, west=square(104, 30), east=square(105, 30), wide=square(104, 30, 2))
    result = check(path, "id,lon,lat\na,104.5,30.5\nb,105,30.5\nc,105.5,31.5\nd,90,0\n")
    assert result.exit_code == 0, result.output
    assert [(row["id"], row["inside"], row["error"]) for row in rows(result)] == [
        ("a", "west;wide", ""),
        ("b", "west;east;wide", ""),
        ("c", "wide", ""),
        ("d", "", ""),
    ]


def test_an_uncertain_position_gets_probability_and_distance(tmp_path: Path) -> None:
    path = territories(tmp_path, D=square(104, 30))
    points = "lon,lat,accuracy_m\n104.5,30.5,50\n105.0,30.5,500\n105.01,30.5,10\n"
    found = rows(check(path, points, "--for", "D"))
    assert [row["verdict"] for row in found] == ["inside", "uncertain", "outside"]
    assert float(found[1]["p_inside"]) == pytest.approx(0.5, abs=0.02)
    assert float(found[1]["signed_distance_m"]) == pytest.approx(0, abs=0.1)
    # A hundredth of a degree of longitude at 30.5 degrees north, on the ellipsoid.
    assert float(found[2]["signed_distance_m"]) == pytest.approx(959.9, abs=1)


def test_a_bad_row_is_named_and_the_others_are_judged(tmp_path: Path) -> None:
    path = territories(tmp_path, D=square(104, 30))
    result = check(
        path, "lon,lat,accuracy_m\nnan,30,1\n30.5,104.5,1\nx,1,1\n104.5,30.5,-3\n104.5,30.5,3\n", "--for", "D"
    )
    assert result.exit_code == 1
    found = rows(result)
    assert [bool(row["error"]) for row in found] == [True, True, True, True, False]
    assert "longitude comes first" in found[1]["error"]
    assert found[4]["verdict"] == "inside"


@pytest.mark.parametrize(
    ("shape", "reason"),
    [
        ([[[0, 0], [2, 2], [2, 0], [0, 2], [0, 0]]], "crosses itself"),
        ([[[30, 104], [31, 104], [31, 105], [30, 104]]], "axes are swapped"),
        ([[[0, 0], [1, 1], [0, 0], [0, 0]]], "crosses itself|empty"),
        ([], "empty"),
        ([[[0, 0], ["x", 1], [1, 1], [0, 0]]], "no readable geometry"),
    ],
)
def test_a_territory_that_cannot_be_used_is_refused_by_name(tmp_path: Path, shape: object, reason: str) -> None:
    result = check(territories(tmp_path, fine=square(0, 0), broken=shape), "lon,lat\n0,0\n", "--for", "fine")
    assert result.exit_code == 1
    assert "feature 1 (broken)" in result.output
    assert any(each in result.output for each in reason.split("|"))


def test_a_territory_across_the_antimeridian_is_one_area(tmp_path: Path) -> None:
    path = territories(tmp_path, pacific=square(179, -1, 2))
    found = rows(check(path, "lon,lat\n179.5,0\n-179.5,0\n-178.9,0\n180,0\n", "--for", "pacific"))
    assert [row["inside"] for row in found] == ["pacific", "pacific", "", "pacific"]
    assert float(found[3]["signed_distance_m"]) < -100_000


def test_an_unknown_id_and_a_missing_column_are_told_apart(tmp_path: Path) -> None:
    path = territories(tmp_path, D=square(0, 0))
    assert "no feature has the id 'E'" in check(path, "lon,lat\n0,0\n", "--for", "E").output
    assert "no column lat" in check(path, "lon,latitude\n0,0\n").output


@pytest.mark.parametrize("radius", ["-1", "nan", "inf", "1e9", "wide"])
def test_a_radius_that_no_device_reports_accuses_nobody(tmp_path: Path, radius: str) -> None:
    path = territories(tmp_path, D=square(0, 0))
    (found,) = rows(check(path, f"lon,lat,accuracy_m\n0.5,0.5,{radius}\n", "--for", "D"))
    assert (found["inside"], found["verdict"]) == ("D", "")
    assert "accuracy_m must be a number of metres" in found["error"]


def test_a_picture_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    more = ("--for", "D", "--at", "0,0", "--svg", str(tmp_path / "none" / "why.svg"))
    result = run("geofence", "explain", "--territories", territories(tmp_path, D=square(0, 0)), *more)
    assert (result.exit_code, "cannot write" in result.output) == (1, True)


@pytest.mark.parametrize(
    ("crs", "refused"),
    [
        ({"type": "name", "properties": None}, True),
        ({"type": "name", "properties": {"name": "EPSG:43260"}}, True),
        ({"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::3857"}}, True),
        ({"type": "name", "properties": {"name": "urn:ogc:def:crs:OGC:1.3:CRS84"}}, False),
        (None, False),
    ],
)
def test_a_reference_system_is_known_or_refused(tmp_path: Path, crs: object, *, refused: bool) -> None:
    path = territories(tmp_path, D=square(0, 0))
    Path(path).write_text(json.dumps(json.loads(Path(path).read_text()) | {"crs": crs}))
    result = check(path, "lon,lat\n0.5,0.5\n")
    assert ("unknown reference system" in result.output, result.exit_code) == (refused, int(refused))


def test_an_id_of_null_leaves_it_to_the_properties(tmp_path: Path) -> None:
    path = territories(tmp_path, D=square(0, 0))
    document = json.loads(Path(path).read_text())
    document["features"][0] |= {"id": None, "properties": {"id": 7}}
    Path(path).write_text(json.dumps(document))
    assert rows(check(path, "lon,lat\n0.5,0.5\n"))[0]["inside"] == "7"


def test_a_pole_is_a_place_like_any_other(tmp_path: Path) -> None:
    cap = [[[-180, 85], [180, 85], [180, 90], [-180, 90], [-180, 85]]]
    found = rows(check(territories(tmp_path, cap=cap), "lon,lat,accuracy_m\n0,90,50\n33,89,50\n", "--for", "cap"))
    assert [(row["inside"], row["verdict"]) for row in found] == [("cap", "inside"), ("cap", "inside")]
    # Five degrees and four to the southern edge: the pole is no border.
    assert [float(row["signed_distance_m"]) for row in found] == pytest.approx([-558_460, -446_760], rel=1e-3)


def test_a_table_with_a_nameless_column_keeps_it_and_one_with_a_name_twice_is_refused(tmp_path: Path) -> None:
    path = territories(tmp_path, D=square(0, 0))
    assert check(path, ",lon,lat\n17,0.5,0.5\n").stdout.splitlines()[1] == "17,0.5,0.5,D,"
    twice = check(path, "lon,lat,lon\n0.5,0.5,9\n")
    assert (twice.exit_code, twice.stdout) == (1, "")
    assert "'lon' twice" in twice.output


@pytest.mark.parametrize("heading", [b"\xb5\xda,lon,lat\n", b"x" * 200_000 + b",lon,lat\n"])
def test_a_heading_that_cannot_be_read_is_one_clear_line(tmp_path: Path, heading: bytes) -> None:
    points = tmp_path / "points.csv"
    points.write_bytes(heading + b"1,0.5,0.5\n")
    result = run("geofence", "check", "--territories", territories(tmp_path, D=square(0, 0)), "--points", str(points))
    assert result.exit_code == 1
    assert "is no CSV in UTF-8" in result.output


CITIES = "name,lon,lat\nBeijing,116.397,39.908\nHong Kong,114.169,22.319\nSeoul,126.978,37.566\nHanoi,105.854,21.028\n"


def test_conversion_shifts_the_mainland_alone_and_comes_back() -> None:
    shifted = run("coords", "convert", "--from", "wgs84", "--to", "gcj02", given=CITIES)
    assert shifted.exit_code == 0, shifted.output
    moved = {row["name"]: (row["lon"], row["lat"]) for row in rows(shifted)}
    assert moved["Seoul"] == ("126.978000000", "37.566000000")
    assert moved["Hanoi"] == ("105.854000000", "21.028000000")
    assert moved["Hong Kong"] == ("114.169000000", "22.319000000")
    mainland = load_installed_map().mainland()
    lon, lat = convert(116.397, 39.908, (Crs.WGS84, Crs.GCJ02), mainland)
    assert moved["Beijing"] == (f"{lon[0]:.9f}", f"{lat[0]:.9f}")
    back = run("coords", "convert", "--from", "gcj02", "--to", "wgs84", given=shifted.stdout)
    for row, (x, y) in zip(rows(back), [(116.397, 39.908), (114.169, 22.319)], strict=False):
        assert float(row["lon"]) == pytest.approx(x, abs=1e-8)
        assert float(row["lat"]) == pytest.approx(y, abs=1e-8)


def test_a_table_of_a_spreadsheet_is_read_with_its_mark_quotes_and_line_ends() -> None:
    given = '\ufeff"lon","lat","名称"\r\n"126.978","37.566","首尔"\r\n'
    result = run("coords", "convert", "--from", "wgs84", "--to", "gcj02", given=given)
    assert result.exit_code == 0, result.output
    assert rows(result) == [{"lon": "126.978000000", "lat": "37.566000000", "名称": "首尔", "error": ""}]


def test_a_position_that_cannot_be_converted_keeps_its_row() -> None:
    result = run(
        "coords", "convert", "--from", "bd09", "--to", "wgs84", given="lon,lat,note\n,,empty\n116.4,39.9,fine\n"
    )
    assert result.exit_code == 1
    assert [(row["note"], bool(row["error"])) for row in rows(result)] == [("empty", True), ("fine", False)]
