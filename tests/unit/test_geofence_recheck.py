"""Rechecking finds exactly the scans that judging all of them under both books tells apart."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from geofence.finding import DEFAULT_POLICY
from geofence.geometry.metric import nearest_segment_m
from geofence.maps.atom_map import AtomMap
from geofence.maps.atoms import AtomRecord, Level
from geofence.proposed.clearance import Clearance
from geofence.proposed.recheck import recheck
from geofence.territory import TerritoryBook, TerritoryVersion
from geofence.verdicts.columns import Scans, microseconds
from geofence.verdicts.judging import judge

START = datetime(2025, 1, 1, tzinfo=UTC)
SIDE, ACROSS = 0.05, 4
COUNT = 6_000


def counties(west: float) -> AtomMap:
    """Sixteen counties whose borders bend at random, five kilometres wide."""
    random = np.random.default_rng(3)
    bends = random.uniform(-0.3, 0.3, (ACROSS + 1, ACROSS + 1, 2))

    def corner(column: int, row: int) -> tuple[float, float]:
        x, y = (np.array([column, row]) + bends[column, row]) * SIDE
        return west + x, 30 + y

    shapes, records = [], []
    for column in range(ACROSS):
        for row in range(ACROSS):
            ring = [corner(column + x, row + y) for x, y in ((0, 0), (1, 0), (1, 1), (0, 1))]
            shapes.append(shapely.Polygon(ring))
            code = f"c{column}{row}"
            records.append(AtomRecord(code, code, code, Level.COUNTY, None))
    return AtomMap("bent", {Level.COUNTY: records}, lambda _: np.array(shapes, dtype=object))


ATOMS = counties(100.0)
codes = st.sets(st.sampled_from([each.adcode for each in ATOMS.records(Level.COUNTY)]), max_size=8)
circle = shapely.buffer(shapely.Point(100.1, 30.1), 0.04)


@st.composite
def versions(draw: st.DrawFn) -> TerritoryVersion:
    return TerritoryVersion(
        dealer=draw(st.sampled_from("AB")),
        adcodes=tuple(draw(codes)),
        valid_from=START + timedelta(days=draw(st.integers(0, 3))),
        recorded_at=START + timedelta(days=draw(st.integers(0, 3))),
        polygon=draw(st.sampled_from([None, None, circle])),
    )


def scans(seed: int) -> Scans:
    random = np.random.default_rng(seed)
    day = 86_400_000_000
    even = np.where(random.random(COUNT) < 0.02, random.uniform(100, 9_000, COUNT), 0.0)
    return Scans(
        (("A", "retail", None), ("B", "retail", "tea"), ("C", "retail", None)),
        random.integers(0, 3, COUNT),
        microseconds(START) + random.integers(0, 5 * day, COUNT),
        microseconds(START) + random.integers(0, 5 * day, COUNT),
        random.uniform(100 - SIDE, 100 + (ACROSS + 1) * SIDE, COUNT),
        random.uniform(30 - SIDE, 30 + (ACROSS + 1) * SIDE, COUNT),
        np.where(even > 0, 0.0, random.choice([0.0, 138.0, 300.0, 2_000.0], COUNT)),
        even,
    )


@settings(max_examples=25, deadline=None)
@given(st.lists(versions(), max_size=3), st.lists(versions(), min_size=1, max_size=2), st.integers(0, 99))
def test_what_changes_is_what_judging_twice_tells_apart(
    old: list[TerritoryVersion], new: list[TerritoryVersion], seed: int
) -> None:
    before = TerritoryBook(ATOMS, old)
    after = before.with_versions(*new)
    some = scans(seed)
    was, now = (judge(book, some, DEFAULT_POLICY).verdict for book in (before, after))
    changes = recheck(before, after, some)
    expected = np.flatnonzero(was != now)
    assert changes.rows.tolist() == expected.tolist()
    assert changes.before.tolist() == was[expected].tolist()
    assert changes.after.tolist() == now[expected].tolist()


def test_a_statement_that_is_made_again_replaces_the_one_between() -> None:
    none, held = (
        TerritoryVersion(dealer="A", adcodes=codes, valid_from=START, recorded_at=START) for codes in ((), ("c00",))
    )
    before = TerritoryBook(ATOMS, [none, held])
    after = before.with_versions(none)
    some = scans(0)
    was, now = (judge(book, some, DEFAULT_POLICY).verdict for book in (before, after))
    expected = np.flatnonzero(was != now)
    assert len(expected)
    assert recheck(before, after, some).rows.tolist() == expected.tolist()


def test_hardly_any_scan_is_judged_again() -> None:
    before = TerritoryBook(
        ATOMS, [TerritoryVersion(dealer="A", adcodes=("c00", "c01"), valid_from=START, recorded_at=START)]
    )
    after = before.with_versions(
        TerritoryVersion(dealer="A", adcodes=("c00",), valid_from=START, recorded_at=START + timedelta(days=1))
    )
    some = scans(1)
    precise = some.taken(np.flatnonzero((some.sigma_m < 150) & (some.even_m == 0) & (some.seller == 0)))
    many = precise.taken(np.repeat(np.arange(len(precise)), 4))
    changes = recheck(before, after, many)
    assert len(changes.rows)
    assert changes.judged < len(many) / 4


@pytest.mark.parametrize("west", [100.0, 179.9, -180.0])
def test_clearance_promises_only_what_holds(west: float) -> None:
    random = np.random.default_rng(7)
    starts = random.uniform((west, 60.0), (west + 0.09, 60.2), (20, 2))
    edges = np.concatenate([starts, starts + random.uniform(-0.01, 0.01, (20, 2))], axis=1)
    edges[:, [0, 2]] = edges[:, [0, 2]].clip(-180.0, 180.0)
    lon = (random.uniform(west - 0.1, west + 0.2, 500) + 180.0) % 360.0 - 180.0
    lat, reach = random.uniform(59.9, 60.3, 500), random.uniform(0.0, 4_000.0, 500)
    reached = Clearance(edges).reached(lon, lat, reach)
    near = [nearest_segment_m(place, edges) <= metres for *place, metres in zip(lon, lat, reach, strict=True)]
    assert not (np.array(near) & ~reached).any()
    if abs(west) < 179:
        assert not reached.all()
