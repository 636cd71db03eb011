"""Batches are judged as GEOS, brute force and a cloud of points judge each scan, and as one scan at a time."""

from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from geofence.evidence import CellEvidence, Evidence, GpsEvidence, IpCityEvidence, Platform, SiteEvidence
from geofence.finding import Finding, Policy, ReasonCode, Verdict
from geofence.geometry.metric import metres_per_degree, nearest_segment_m
from geofence.grid.counties import open_index
from geofence.grid.drawings import STEP_DEGREES
from geofence.maps.atom_map import AtomMap
from geofence.maps.atoms import AtomRecord, Level
from geofence.territory import Query, TerritoryBook, TerritoryVersion
from geofence.verdicts.check import check, check_many

START = datetime(2025, 1, 1, tzinfo=UTC)
SIDE, WEST, SOUTH = 0.02, 120.0, 30.0
# How far a flat metric bends an edge of ten kilometres, which depends on where along it the edge is cut.
BEND_M = 0.5
COUNTIES = {f"c{column}{row}": (column, row) for column, row in product(range(4), range(4)) if (column, row) != (2, 2)}


def ragged() -> AtomMap:
    """Fifteen counties of two by two kilometres with bent borders around a lake that belongs to nobody."""

    def corner(column: int, row: int) -> tuple[float, float]:
        bend = np.random.default_rng(100 * column + row).uniform(-0.3, 0.3, 2)
        return WEST + (column + bend[0]) * SIDE, SOUTH + (row + bend[1]) * SIDE

    def county(column: int, row: int) -> shapely.Polygon:
        return shapely.Polygon([corner(column + x, row + y) for x, y in ((0, 0), (1, 0), (1, 1), (0, 1))])

    records = [AtomRecord(code, code, code, Level.COUNTY, "P") for code in COUNTIES]
    shapes = [county(*place) for place in COUNTIES.values()]
    province = [AtomRecord("P", "P", "P", Level.PROVINCE, None)]
    whole = np.array([shapely.union_all(shapes)], dtype=object)
    return AtomMap(
        "ragged",
        {Level.PROVINCE: province, Level.COUNTY: records},
        lambda level: whole if level is Level.PROVINCE else np.array(shapes, dtype=object),
    )


ATOMS = ragged()
SHAPES = ATOMS.layer(Level.COUNTY).geometries
lattice = st.tuples(st.integers(-2, 18), st.integers(-2, 18)).map(
    lambda at: (WEST + at[0] * SIDE / 4, SOUTH + at[1] * SIDE / 4)
)
vertices = st.sampled_from([tuple(each) for each in shapely.get_coordinates(SHAPES).tolist()])
places = st.one_of(lattice, vertices)
accuracies = st.sampled_from([0.0, 5.0, 100.0, 500.0])


@st.composite
def polygons(draw: st.DrawFn) -> shapely.Geometry | None:
    corners = draw(st.lists(lattice, min_size=3, max_size=6))
    hull = shapely.MultiPoint(corners).convex_hull
    hole = shapely.box(*(np.array(corners[0]) - 0.001), *(np.array(corners[0]) + 0.001))
    drawn = shapely.difference(hull, hole)
    return drawn if drawn.area > 0 and drawn.geom_type in ("Polygon", "MultiPolygon") else None


@st.composite
def versions(draw: st.DrawFn) -> TerritoryVersion:
    starts = draw(st.integers(0, 3))
    return TerritoryVersion(
        dealer=draw(st.sampled_from("ABC")),
        adcodes=tuple(draw(st.sets(st.sampled_from([*COUNTIES, "P"]), max_size=5))),
        valid_from=START + timedelta(days=starts),
        valid_to=draw(st.sampled_from([None, START + timedelta(days=starts + 2)])),
        recorded_at=START + timedelta(days=draw(st.integers(0, 3))),
        channel=draw(st.sampled_from(["retail", "retail", "online"])),
        product_line=draw(st.sampled_from([None, None, "tea"])),
        polygon=draw(st.none() | polygons()),
    )


evidences: st.SearchStrategy[Evidence | None] = st.one_of(
    st.builds(lambda place, metres: GpsEvidence(*place, metres, Platform.ANDROID), places, accuracies),
    st.builds(lambda place: SiteEvidence("S", *place), places),
    st.builds(lambda place, metres: CellEvidence(*place, metres), places, st.sampled_from([300.0, 3000.0])),
    st.builds(IpCityEvidence, st.sampled_from(["P", "c00", "nowhere"])),
    st.none(),
)
queries = st.builds(
    lambda dealer, valid, known, line: Query(
        dealer, START + timedelta(days=valid), START + timedelta(days=known), product_line=line
    ),
    st.sampled_from("ABCD"),
    st.integers(0, 5),
    st.integers(0, 5),
    st.sampled_from([None, "tea"]),
)


def held(version: TerritoryVersion) -> shapely.Geometry:
    codes = {code for each in version.adcodes for code in ATOMS.counties_of(each)}
    shapes = [shape for shape, code in zip(SHAPES, COUNTIES, strict=True) if code in codes]
    return shapely.union_all([*shapes, *([version.polygon] if version.polygon else [])])


def covered(version: TerritoryVersion, lon: float, lat: float) -> bool:
    codes = {code for each in version.adcodes for code in ATOMS.counties_of(each)}
    shapes = [shape for shape, code in zip(SHAPES, COUNTIES, strict=True) if code in codes]
    return any(shapely.intersects_xy(each, lon, lat) for each in [*shapes, version.polygon] if each is not None)


def distance(version: TerritoryVersion, lon: float, lat: float) -> float:
    edges = shapely.boundary(shapely.segmentize(held(version), STEP_DEGREES))
    lines = [shapely.get_coordinates(each) for each in shapely.get_parts(edges)]
    segments = [np.concatenate([line[:-1], line[1:]], axis=1) for line in lines]
    return nearest_segment_m((lon, lat), np.concatenate([np.empty((0, 4)), *segments]))


@settings(max_examples=80, deadline=None)
@given(st.lists(versions(), max_size=7), st.lists(st.tuples(queries, evidences), min_size=1, max_size=12))
def test_a_batch_is_judged_as_one_by_one_and_as_brute_force(
    drawn: list[TerritoryVersion], scans: list[tuple[Query, Evidence | None]]
) -> None:
    book = TerritoryBook(ATOMS, drawn)
    found = check_many(book, scans)
    for (query, evidence), finding in zip(scans, found, strict=True):
        if not isinstance(evidence, IpCityEvidence):
            assert finding == check(book, query, evidence)
        assert finding.territory_version is book.in_force(query)
        if finding.place is not None:
            compare(book, query, finding)


def compare(book: TerritoryBook, query: Query, finding: Finding) -> None:
    assert finding.place is not None
    lon, lat = finding.place.lon, finding.place.lat
    in_force = book.all_in_force(query)
    assert finding.legal_dealers == tuple(each.dealer for each in in_force if covered(each, lon, lat))
    metres = {each.dealer: distance(each, lon, lat) for each in in_force if not held(each).is_empty}
    if not finding.legal_dealers:
        nearest = finding.nearest_legal
        assert (nearest is None) == (not metres)
        if nearest is not None:
            assert nearest.metres == pytest.approx(min(metres.values()), rel=1e-4, abs=BEND_M)
            assert metres[nearest.dealer] == pytest.approx(nearest.metres, rel=1e-4, abs=BEND_M)
    version = finding.territory_version
    if version is None:
        assert (finding.verdict, finding.p_inside) == (Verdict.UNCERTAIN, None)
        return
    inside = covered(version, lon, lat)
    assert finding.signed_distance_m is not None
    assert abs(finding.signed_distance_m) == pytest.approx(metres.get(query.dealer, float("inf")), rel=1e-4, abs=BEND_M)
    assert (finding.signed_distance_m <= 0) == inside or abs(finding.signed_distance_m) < BEND_M
    if finding.sigma_m == 0 and not finding.place.radius_m:
        assert finding.p_inside == float(inside)


def cloud(finding: Finding, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return points of equal probability: a sunflower's, whose radius follows the distribution's."""
    assert finding.place is not None
    share = (np.arange(count) + 0.5) / count
    even = finding.place.radius_m
    radius = even * np.sqrt(share) if even else finding.place.sigma_m * np.sqrt(-2 * np.log1p(-share))
    angle = np.arange(count) * np.pi * (3 - np.sqrt(5))
    east, north = metres_per_degree(np.array(finding.place.lat))
    return finding.place.lon + radius * np.cos(angle) / east, finding.place.lat + radius * np.sin(angle) / north


@settings(max_examples=80, deadline=None)
@given(versions(), places, st.sampled_from([0.0, 60.0, 400.0, 2000.0]), st.sampled_from(["phone", "base station"]))
def test_a_probability_is_the_share_of_a_cloud_of_points(
    version: TerritoryVersion, place: tuple[float, float], accuracy: float, source: str
) -> None:
    book = TerritoryBook(ATOMS, [version])
    query = Query(version.dealer, version.valid_from, version.recorded_at, version.channel, version.product_line)
    phone = source == "phone"
    evidence = GpsEvidence(*place, accuracy, Platform.IOS) if phone else CellEvidence(*place, accuracy + 50)
    finding = check(book, query, evidence)
    lons, lats = cloud(finding, 20_000)
    area, land = held(version), shapely.union_all(SHAPES)
    shapely.prepare([area, land])
    inside = shapely.intersects_xy(area, lons, lats)
    weight = np.ones(len(lons)) if version.polygon else np.where(shapely.intersects_xy(land, lons, lats), 1.0, 0.1)
    assert finding.p_inside == pytest.approx(float(weight[inside].sum() / weight.sum()), abs=0.005)


@pytest.mark.parametrize(
    ("shape", "place", "expected"),
    [
        ("corner", (0.0, 0.0), 0.25),
        ("sliver", (0.0, 0.0), 0.0),
        ("hole", (0.0, 0.0), 1 - 0.6827**2),
        ("edge", (0.0, 0.0), 0.5),
    ],
)
def test_shapes_whose_share_is_known(shape: str, place: tuple[float, float], expected: float) -> None:
    east, north = (float(each) for each in metres_per_degree(np.array(30.0)))
    unit = ATOMS.boundary_sigma_m

    def box(west: float, south: float, right: float, up: float) -> shapely.Polygon:
        x, y = unit / east, unit / north
        return shapely.box(100 + west * x, 30 + south * y, 100 + right * x, 30 + up * y)

    shapes = {
        "corner": box(0, 0, 50, 50),
        "sliver": box(-50, -1e-4, 50, 1e-4),
        "hole": shapely.difference(box(-50, -50, 50, 50), box(-1, -1, 1, 1)),
        "edge": box(-50, 0, 50, 50),
    }
    version = TerritoryVersion(dealer="A", adcodes=(), valid_from=START, recorded_at=START, polygon=shapes[shape])
    evidence = GpsEvidence(100 + place[0], 30 + place[1], 0.0, Platform.WEB)
    finding = check(TerritoryBook(ATOMS, [version]), Query("A", START, START), evidence)
    assert finding.p_inside == pytest.approx(expected, abs=0.002)


def test_the_index_of_counties_changes_no_answer(tmp_path: Path) -> None:
    random = np.random.default_rng(5)
    book = TerritoryBook(
        ATOMS, [TerritoryVersion(dealer="A", adcodes=("c00", "c11", "c12"), valid_from=START, recorded_at=START)]
    )
    spots = random.uniform((WEST - SIDE, SOUTH - SIDE), (WEST + 5 * SIDE, SOUTH + 5 * SIDE), (2000, 2)).tolist()
    query = Query("A", START, START)
    scans = [(query, GpsEvidence(*each, 30.0, Platform.WEB)) for each in spots]
    scans += [(query, SiteEvidence("S", *each)) for each in shapely.get_coordinates(SHAPES).tolist()]
    plain = check_many(book, scans)
    indexed = ragged()
    steps: list[str] = []
    open_index(indexed, tmp_path / "index", steps.append)
    assert steps
    assert check_many(TerritoryBook(indexed, book.versions), scans) == plain
    again = ragged()
    open_index(again, tmp_path / "index", lambda _: pytest.fail("it is there already"))
    assert check_many(TerritoryBook(again, book.versions), scans) == plain


def test_a_torn_index_of_counties_is_made_anew(tmp_path: Path) -> None:
    open_index(ragged(), tmp_path)
    (torn,) = tmp_path.glob("counties-*/fine.npy")
    torn.write_bytes(b"")
    atoms = ragged()
    open_index(atoms, tmp_path)
    assert torn.stat().st_size
    assert list(atoms.covering(np.array([WEST + SIDE / 2]), np.array([SOUTH + SIDE / 2]))[0])


def test_a_base_station_accuses_only_where_it_reaches_nothing_of_the_territory() -> None:
    version = TerritoryVersion(dealer="A", adcodes=("c00",), valid_from=START, recorded_at=START)
    book, query = TerritoryBook(ATOMS, [version]), Query("A", START, START)
    far = (WEST + 2.6 * SIDE, SOUTH + 0.5 * SIDE)
    assert check(book, query, CellEvidence(*far, 1000.0)).verdict is Verdict.OUTSIDE
    touching = check(book, query, CellEvidence(*far, 3150.0))
    assert touching.p_inside is not None
    assert 0 < touching.p_inside < 0.05
    assert touching.verdict is Verdict.UNCERTAIN
    assert touching.reasons[0].code is ReasonCode.CELL_ONLY


def test_thresholds_of_a_brand_move_the_verdict_and_nothing_else() -> None:
    version = TerritoryVersion(dealer="A", adcodes=("P",), valid_from=START, recorded_at=START)
    book, query = TerritoryBook(ATOMS, [version]), Query("A", START, START)
    edge = min(shapely.get_coordinates(shapely.union_all(SHAPES)).tolist())
    evidence = GpsEvidence(edge[0] - 0.001, edge[1], 20.0, Platform.WEB)
    strict, mild = (check(book, query, evidence, Policy(0.9, outside)) for outside in (0.05, 0.8))
    assert strict.p_inside == mild.p_inside
    assert (strict.verdict, mild.verdict) == (Verdict.UNCERTAIN, Verdict.OUTSIDE)


def test_an_unknown_division_spoils_no_batch() -> None:
    book = TerritoryBook(ATOMS, [])
    bad, good = check_many(
        book, [(Query("A", START, START), IpCityEvidence("x")), (Query("A", START, START), IpCityEvidence("P"))]
    )
    assert [each.code for each in bad.reasons] == [ReasonCode.UNKNOWN_DIVISION]
    assert good.owner_atom == "P"


def test_many_points_in_drawn_territories_are_judged_as_few_are() -> None:
    lake = shapely.buffer(shapely.Point(WEST + 1.5 * SIDE, SOUTH + 1.5 * SIDE), SIDE)
    versions = [
        TerritoryVersion(dealer=dealer, adcodes=("c00",), valid_from=START, recorded_at=START, polygon=shape)
        for dealer, shape in (("A", lake), ("B", shapely.box(WEST, SOUTH, WEST + SIDE, SOUTH + 2 * SIDE)))
    ]
    random = np.random.default_rng(9)
    spots = random.uniform((WEST - SIDE, SOUTH - SIDE), (WEST + 5 * SIDE, SOUTH + 5 * SIDE), (12_000, 2))
    corners = shapely.get_coordinates(lake)
    spots[: len(corners)] = corners
    scans: list[tuple[Query, Evidence | None]] = [
        (Query("AB"[number % 2], START, START), SiteEvidence("S", *each)) for number, each in enumerate(spots.tolist())
    ]
    book = TerritoryBook(ATOMS, versions)
    first = check_many(book, scans[:600])
    check_many(book, scans)
    assert check_many(book, scans[:600]) == first
