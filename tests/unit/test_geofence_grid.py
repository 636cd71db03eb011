"""The grid gives GEOS's answers: everywhere, and above all where floating point is at its limits."""

from pathlib import Path

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from geofence.errors import CoordinateError, MapFormatError, MapUnavailableError
from geofence.grid import Grid, build_grid, load_grid, save_grid
from geofence.grid.edges import edges_of
from geofence.grid.frame import frame_for, pieces_of
from geofence.grid.single import PointLookup

# Few distinct coordinates: points meet vertices, edges and the cells' own lines again and again.
lattice = st.integers(-12, 12).map(lambda number: number / 4)
corner = st.tuples(lattice, lattice)
free = st.tuples(st.floats(-3, 3, width=32), st.floats(-3, 3, width=32))


@st.composite
def shapes(draw: st.DrawFn) -> shapely.Geometry:
    hull = shapely.MultiPoint(draw(st.lists(corner, min_size=3, max_size=8))).convex_hull
    holes = [shapely.box(x, y, x + 0.5, y + 0.5) for x, y in draw(st.lists(corner, max_size=2))]
    return shapely.difference(hull.buffer(0), shapely.union_all(holes))


def areas(found: list[shapely.Geometry]) -> NDArray[np.object_]:
    return np.array([each for each in found if each.area > 0 and "Polygon" in each.geom_type], dtype=object)


def by_geos(polygons: NDArray[np.object_], lon: float, lat: float) -> list[int]:
    return np.flatnonzero(shapely.intersects_xy(polygons, lon, lat)).tolist()


@settings(max_examples=150, deadline=None)
@given(
    st.lists(shapes(), min_size=1, max_size=5),
    st.lists(corner | free, min_size=1, max_size=30),
    st.sampled_from([0.05, None]),
)
def test_overlapping_shapes_with_holes_are_judged_as_geos_judges_them(
    drawn: list[shapely.Geometry], places: list[tuple[float, float]], side: float | None
) -> None:
    polygons = areas(drawn)
    if not len(polygons):
        return
    grid = build_grid(polygons, side=side)
    places += [tuple(each) for each in shapely.get_coordinates(polygons).tolist()]
    middles = shapely.get_coordinates(polygons)
    places += [tuple(each) for each in ((middles[1:] + middles[:-1]) / 2).tolist()]
    lon, lat = np.array(places).T
    single = PointLookup(grid)
    for x, y, found in zip(lon.tolist(), lat.tolist(), grid.locate(lon, lat).tolist(), strict=True):
        expected = by_geos(polygons, x, y)
        assert grid.sets.of(found).tolist() == expected
        assert grid.sets.of(single.locate(x, y)).tolist() == expected


def test_neighbours_share_their_border_and_a_gap_belongs_to_nobody() -> None:
    grid = build_grid(np.array([shapely.box(0, 0, 1, 1), shapely.box(1, 0, 2, 1), shapely.box(3, 0, 4, 1)]))
    sets = grid.locate([0.5, 1.0, 2.5, 3.5, 1.0], [0.5, 0.5, 0.5, 0.5, 2.0])
    assert [grid.sets.of(each).tolist() for each in sets] == [[0], [0, 1], [], [2], []]
    assert grid.sets.first()[sets].tolist() == [0, 0, -1, 2, -1]
    assert grid.sets.holding(1)[sets].tolist() == [False, True, False, False, False]


def random_overlaps(count: int) -> NDArray[np.object_]:
    random = np.random.default_rng(count)
    centres = shapely.points(random.uniform(-5, 5, (count, 2)))
    return shapely.buffer(centres, random.uniform(0.1, 2.0, count))


def test_a_stored_grid_gives_the_same_answers(tmp_path: Path) -> None:
    polygons = random_overlaps(60)
    grid = build_grid(polygons)
    save_grid(grid, tmp_path / "index")
    again = load_grid(tmp_path / "index")
    points = np.random.default_rng(1).uniform(-7, 7, (20_000, 2))
    points[:500] = shapely.get_coordinates(polygons)[:500]
    first, second = grid.locate(*points.T), again.locate(*points.T)
    assert all((grid.sets.of(a) == again.sets.of(b)).all() for a, b in zip(first, second, strict=True))
    assert [again.sets.of(each).tolist() for each in second[:800]] == [
        by_geos(polygons, *each) for each in points[:800]
    ]


def test_an_index_is_never_overwritten_and_a_torn_one_is_refused(tmp_path: Path) -> None:
    grid = build_grid(random_overlaps(3))
    save_grid(grid, tmp_path / "index")
    with pytest.raises(FileExistsError):
        save_grid(grid, tmp_path / "index")
    (tmp_path / "index" / "pairs.npy").write_bytes(b"")
    with pytest.raises(MapFormatError, match="cannot be read"):
        load_grid(tmp_path / "index")
    with pytest.raises(MapUnavailableError):
        load_grid(tmp_path / "none")


def test_long_edges_among_many_short_ones_are_not_cut_without_end() -> None:
    around = np.linspace(0, 2 * np.pi, 4000, endpoint=False)
    fine = shapely.polygons(0.1 * np.column_stack([np.cos(around), np.sin(around)]))
    wide = [shapely.Polygon([(-170, -80 + turn / 10), (170, -60 + turn / 10), (0, 80)]) for turn in range(150)]
    edges = edges_of(np.array([fine, *wide], dtype=object))
    pieces, _ = pieces_of(frame_for(edges), edges.ends)
    assert len(pieces) <= 1_000_000 + len(edges.ends)


def test_a_self_crossing_polygon_is_repaired_and_then_indexed() -> None:
    bow_tie = shapely.Polygon([(0, 0), (2, 2), (2, 0), (0, 2)])
    grid = build_grid(np.array([bow_tie], dtype=object))
    assert [len(grid.sets.of(each)) for each in grid.locate([0.3, 1.0, 1.7], [1.0, 1.6, 1.0])] == [1, 0, 1]


def test_nothing_to_index_covers_nothing() -> None:
    grid: Grid = build_grid(np.array([], dtype=object))
    assert grid.locate([0.0, 170.0], [0.0, -89.0]).tolist() == [0, 0]


@pytest.mark.parametrize("place", [(float("nan"), 0.0), (float("inf"), 0.0), (181.0, 0.0), (0.0, -91.0)])
def test_a_position_that_is_none_is_refused(place: tuple[float, float]) -> None:
    grid = build_grid(random_overlaps(2))
    with pytest.raises(CoordinateError):
        grid.locate(*place)
    with pytest.raises(CoordinateError):
        PointLookup(grid).locate(*place)
