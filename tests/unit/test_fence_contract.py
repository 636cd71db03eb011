"""The signed fence: what is written is read within its rounding, and nothing else is trusted."""

import math

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from contracts import fence as wire
from contracts.fence import FenceError, FenceHead, FenceSignatureError, Part, Shape
from geofence.trips.plane import distance_m

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
POINTS = st.lists(
    st.tuples(st.floats(-180, 180, allow_nan=False), st.floats(-90, 90, allow_nan=False)), min_size=1, max_size=60
)


def head(points: int) -> FenceHead:
    shapes = (Shape(id="a", part=Part.AREA, size_m=100.0, points=points),)
    return FenceHead(audience="site:dc", version=3, issued_at=1, expires_at=2, key="k", source="s", shapes=shapes)


@given(POINTS)
def test_points_come_back_within_the_stated_rounding(points: list[tuple[float, float]]) -> None:
    found, back = wire.verify(wire.write(head(len(points)), points, KEY), KEY.public_key())
    assert found == head(len(points))
    for given_point, got in zip(points, back, strict=True):
        assert abs(given_point[0] - got[0]) <= 0.5e-6 + 1e-12
        if abs(given_point[1]) < 89:
            assert distance_m(given_point, got) <= wire.ROUNDING_M


@given(st.integers(0, 10**6), st.integers(1, 255))
def test_any_changed_byte_is_noticed(place: int, change: int) -> None:
    data = bytearray(wire.write(head(3), [(104.0, 30.0), (104.1, 30.0), (104.1, 30.1)], KEY))
    data[place % len(data)] ^= change
    with pytest.raises(FenceError):
        wire.verify(bytes(data), KEY.public_key())


@given(st.binary(max_size=400))
def test_whatever_lies_there_is_refused_with_a_reason(data: bytes) -> None:
    for content in (data, wire.MAGIC + data):
        with pytest.raises(FenceError):
            wire.verify(content, KEY.public_key())
        with pytest.raises(FenceError):
            wire.read(content)


@pytest.mark.parametrize("cut", [1, 5, 64, 70])
def test_a_fence_cut_short_and_signed_by_another_is_refused(cut: int) -> None:
    data = wire.write(head(2), [(104.0, 30.0), (104.1, 30.0)], KEY)
    with pytest.raises(FenceError):
        wire.verify(data[:-cut], KEY.public_key())
    with pytest.raises(FenceSignatureError):
        wire.verify(data, Ed25519PrivateKey.generate().public_key())


def test_more_points_than_the_head_says_are_no_fence() -> None:
    with pytest.raises(FenceError):
        wire.write(head(1), [(104.0, 30.0), (104.1, 30.0)], KEY)


def test_a_vertex_takes_about_four_bytes() -> None:
    circle = [(104 + 0.1 * math.cos(t / 500), 30 + 0.1 * math.sin(t / 500)) for t in range(3000)]
    size = len(wire.write(head(3000), circle, KEY))
    assert size < 3000 * 4.2 + 400
