"""What an explanation says is what was found, for every kind of evidence, and its picture shows it."""

import csv
import json
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import shapely
from click.testing import CliRunner, Result

from cli.geography.geofence import geofence
from geofence.coordinates import Crs
from geofence.evidence import CellEvidence, Evidence, GpsEvidence, IpCityEvidence, Platform, SiteEvidence
from geofence.explain import StepCode, explain
from geofence.maps.atom_map import AtomMap
from geofence.maps.atoms import AtomRecord, Level
from geofence.territory import Query, TerritoryBook, TerritoryVersion
from geofence.verdicts.check import check

START = datetime(2025, 1, 1, tzinfo=UTC)
SQUARE = shapely.box(104.0, 30.0, 104.1, 30.1)
EVERYTHING = [StepCode.EVIDENCE, StepCode.ERROR, StepCode.COUNTY, StepCode.TERRITORY, StepCode.BORDER,
              StepCode.PROBABILITY, StepCode.VERDICT, StepCode.OTHERS]  # fmt: skip


@pytest.fixture
def book() -> TerritoryBook:
    record = AtomRecord("510000", "P", "P", Level.COUNTY, None)
    atoms = AtomMap("square", {Level.COUNTY: [record]}, lambda _: np.array([SQUARE], dtype=object))
    return TerritoryBook(
        atoms, [TerritoryVersion(dealer="A", adcodes=("510000",), valid_from=START, recorded_at=START)]
    )


@pytest.mark.parametrize(
    ("evidence", "steps"),
    [
        (GpsEvidence(104.1, 30.05, 100.0, Platform.IOS), EVERYTHING),
        (GpsEvidence(104.1, 30.05, 100.0, Platform.IOS, None), EVERYTHING),
        (SiteEvidence("S", 104.05, 30.05), EVERYTHING),
        (CellEvidence(104.1, 30.05, 800.0), EVERYTHING),
        (
            IpCityEvidence("510000"),
            [StepCode.EVIDENCE, StepCode.COUNTY, StepCode.TERRITORY, StepCode.PROBABILITY, StepCode.VERDICT],
        ),
        (None, [StepCode.EVIDENCE, StepCode.COUNTY, StepCode.TERRITORY, StepCode.VERDICT]),
    ],
)
def test_every_kind_of_evidence_is_explained_with_its_numbers(
    book: TerritoryBook, evidence: Evidence | None, steps: list[StepCode]
) -> None:
    finding = check(book, Query("A", START, START), evidence)
    found = {each.code: each.values for each in explain(finding)}
    assert list(found) == steps
    assert found[StepCode.VERDICT]["verdict"] == finding.verdict.value
    if StepCode.ERROR in found and "sigma_m" in found[StepCode.ERROR]:
        parts = [found[StepCode.ERROR][name] for name in ("device_m", "boundary_m", "crs_m")]
        assert np.hypot.reduce(np.array(parts, dtype=float)) == pytest.approx(finding.sigma_m)
    assert json.loads(json.dumps([each.values for each in explain(finding)]))


def test_an_unknown_system_shows_in_the_error(book: TerritoryBook) -> None:
    values = []
    for crs in (Crs.WGS84, None):
        finding = check(book, Query("A", START, START), GpsEvidence(104.05, 30.05, 100.0, Platform.IOS, crs))
        values.append(next(each.values for each in explain(finding) if each.code is StepCode.ERROR))
    assert (values[0]["crs_m"], values[1]["crs_m"]) == (0.0, 429.0)


@pytest.fixture
def drawn(tmp_path: Path) -> Path:
    features = [
        {"type": "Feature", "id": name, "properties": {}, "geometry": json.loads(shapely.to_geojson(shape))}
        for name, shape in (("west", SQUARE), ("east", shapely.box(104.1, 30.0, 104.2, 30.1)))
    ]
    path = tmp_path / "dealers.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


def run(*arguments: object, given: str = "") -> Result:
    return CliRunner().invoke(geofence, [str(each) for each in arguments], input=given)


def test_the_command_agrees_with_the_table_and_draws_it(drawn: Path, tmp_path: Path) -> None:
    picture = tmp_path / "why.svg"
    asked = ("--territories", drawn, "--for", "west")
    told = run("explain", *asked, "--at", "104.1005,30.05", "--accuracy", 150, "--svg", picture, "--json")
    assert told.exit_code == 0
    steps = {each.pop("step"): each for each in json.loads(told.stdout)["steps"]}
    table = run("check", *asked, "--points", "-", given="lon,lat,accuracy_m\n104.1005,30.05,150\n")
    (row,) = csv.DictReader(table.stdout.splitlines())
    assert f"{steps['probability']['p_inside']:.4f}" == row["p_inside"]
    assert steps["verdict"]["verdict"] == row["verdict"] == "uncertain"
    assert f"{steps['border']['signed_distance_m']:.1f}" == row["signed_distance_m"]
    assert steps["others"]["legal_dealers"] == ["east"]
    svg = ET.fromstring(picture.read_text("utf-8"))  # noqa: S314  written a moment ago
    shown = [each for each in svg.iter() if each.get("class") in ("ring", "land", "spot")]
    assert len(shown) == 5
    assert row["p_inside"] in "".join(svg.itertext())
    assert "probability" in run("explain", *asked, "--at", "104.1005,30.05").stdout


@pytest.mark.parametrize(
    ("name", "place", "code", "said"),
    [
        ("north", "104.1,30", 1, "west, east"),
        ("west", "104.1", 2, "LON,LAT"),
        ("west", "104.1,nan", 1, "latitude"),
        ("west", "30,104", 1, "beyond"),
    ],
)
def test_what_cannot_be_explained_says_why(drawn: Path, name: str, place: str, code: int, said: str) -> None:
    found = run("explain", "--territories", drawn, "--for", name, "--at", place)
    assert found.exit_code == code
    assert said in found.output
