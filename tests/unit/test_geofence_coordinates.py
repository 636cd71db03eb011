"""The shifted systems against published values, their inverses, and what is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geofence.coordinates import BoolArray, Crs, FloatArray, convert, to_wgs84
from geofence.errors import CoordinateError
from geofence.geometry.metric import nearest_segment_m, offsets_m

METRES_PER_DEGREE = 111_320.0


class Everywhere:
    """A region that shifts every point, so that the formulas can be tested alone."""

    def contains_many(self, lons: FloatArray, lats: FloatArray) -> BoolArray:
        return np.ones(len(np.broadcast_arrays(lons, lats)[0]), dtype=np.bool_)


class Nowhere:
    def contains_many(self, lons: FloatArray, lats: FloatArray) -> BoolArray:
        return np.zeros(len(np.broadcast_arrays(lons, lats)[0]), dtype=np.bool_)


mainland_lon = st.floats(73.5, 135.0)
mainland_lat = st.floats(18.2, 53.5)


def test_gcj02_of_the_tiananmen_gate_is_the_published_value() -> None:
    lon, lat = convert(116.397428, 39.90923, (Crs.WGS84, Crs.GCJ02), Everywhere())
    assert lon[0] == pytest.approx(116.40367, abs=2e-5)
    assert lat[0] == pytest.approx(39.91063, abs=2e-5)


def test_bd09_of_a_gcj02_point_is_the_published_value() -> None:
    lon, lat = convert(116.404, 39.915, (Crs.GCJ02, Crs.BD09), Everywhere())
    assert lon[0] == pytest.approx(116.41036949371029, abs=1e-9)
    assert lat[0] == pytest.approx(39.92133699351022, abs=1e-9)


@given(mainland_lon, mainland_lat, st.sampled_from([Crs.GCJ02, Crs.BD09]))
def test_there_and_back_is_exact_to_a_tenth_of_a_millimetre(lon: float, lat: float, crs: Crs) -> None:
    there = convert(lon, lat, (Crs.WGS84, crs), Everywhere())
    back = to_wgs84(*there, crs, Everywhere())
    assert abs(back[0][0] - lon) < 1e-9
    assert abs(back[1][0] - lat) < 1e-9


@given(mainland_lon, mainland_lat)
def test_the_shift_is_never_large(lon: float, lat: float) -> None:
    there = convert(lon, lat, (Crs.WGS84, Crs.GCJ02), Everywhere())
    east, north = offsets_m((lon, lat), *there)
    assert np.hypot(east, north)[0] < 1000


def test_outside_the_mainland_nothing_moves() -> None:
    lons, lats = [126.97, 180.0, -180.0], [37.56, 90.0, -90.0]
    for path in ((Crs.WGS84, Crs.GCJ02), (Crs.GCJ02, Crs.WGS84)):
        lon, lat = convert(lons, lats, path, Nowhere())
        assert lon.tolist() == lons
        assert lat.tolist() == lats


@pytest.mark.parametrize(
    ("lon", "lat", "said"),
    [
        ([100.0, float("nan")], [30.0, 30.0], "longitude of point 1 is nan"),
        ([100.0], [float("inf")], "latitude of point 0 is inf"),
        ([30.0], [100.0], "latitude of point 0 is 100.0, beyond ±90°"),
        ([200.0], [30.0], "longitude of point 0 is 200.0, beyond ±180°"),
        ([100.0, 101.0], [30.0], "shape"),
    ],
)
def test_impossible_positions_are_refused_by_name(lon: list[float], lat: list[float], said: str) -> None:
    with pytest.raises(CoordinateError, match=said) as caught:
        convert(lon, lat, (Crs.WGS84, Crs.GCJ02), Everywhere())
    assert caught.value.code == "geofence_coordinate"
    assert caught.value.advice


@pytest.mark.parametrize(
    ("origin", "target", "metres"),
    [
        ((121.4737, 31.2304), (121.4837, 31.2304), 953.0),  # along a parallel: WGS-84 geodesics
        ((116.3913, 39.9075), (121.4737, 31.2304), 1_066_700.0),
        ((100.0, 0.0), (100.0, 1.0), 110_574.4),
        ((179.9, 0.0), (-179.9, 0.0), 22_263.9),
    ],
)
def test_metres_agree_with_geodesics(origin: tuple[float, float], target: tuple[float, float], metres: float) -> None:
    east, north = offsets_m(origin, np.array([target[0]]), np.array([target[1]]))
    assert np.hypot(east, north)[0] == pytest.approx(metres, rel=2e-3)


def test_distance_to_a_segment_is_taken_to_its_middle_not_only_to_its_ends() -> None:
    east_west = np.array([[99.0, 0.01, 101.0, 0.01]])
    assert nearest_segment_m((100.0, 0.0), east_west) == pytest.approx(1105.7, rel=1e-3)
    assert nearest_segment_m((100.0, 0.0), np.empty((0, 4))) == float("inf")
