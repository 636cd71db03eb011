"""What a report says of proposals: contradictions, overlaps, gaps, children beyond their parents, moment by moment."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from geofence.maps.atom_map import AtomMap
from geofence.maps.atoms import AtomRecord, Level
from geofence.proposed.areas import Area, area_of, beyond, shared
from geofence.proposed.remarks import Remark, Severity
from geofence.proposed.reports import Network, Proposal, report
from geofence.territory import TerritoryBook, TerritoryVersion

START = datetime(2025, 1, 1, tzinfo=UTC)
SIDE = 4
# The root has everything, two regions half each, and below the first two cities.
PARENTS = {"ROOT": None, "WEST": "ROOT", "EAST": "ROOT", "W-0": "WEST", "W-1": "WEST", "E-0": "EAST"}


def day(number: int) -> datetime:
    return START + timedelta(days=number)


def path(dealer: str, moment: datetime) -> list[str]:
    del moment
    found = []
    while dealer in PARENTS:
        found.append(dealer)
        dealer = PARENTS[dealer] or ""
    return found


def squares() -> AtomMap:
    """Four cities of four counties, each a tenth of a degree wide, from 100° E on the equator."""
    counties, cities, shapes = [], [], []
    for column in range(SIDE):
        cities.append(AtomRecord(f"{column}0", f"city {column}", f"city {column}", Level.CITY, "P"))
        for row in range(SIDE):
            counties.append(AtomRecord(f"c{column}{row}", "county", "county", Level.COUNTY, f"{column}0"))
            shapes.append(box(column, row, column + 1, row + 1))
    records = {Level.PROVINCE: [AtomRecord("P", "p", "p", Level.PROVINCE, None)], Level.CITY: cities}
    return AtomMap("squares", {**records, Level.COUNTY: counties}, lambda _level: np.array(shapes, dtype=object))


def box(west: float, south: float, east: float, north: float) -> shapely.Polygon:
    return shapely.box(100 + west / 10, south / 10, 100 + east / 10, north / 10)


ATOMS = squares()
NETWORK = Network(path, frozenset({"gold"}))


def version(dealer: str, *adcodes: str, **changes: object) -> TerritoryVersion:
    stated = {"valid_from": START, "recorded_at": START, **changes}
    return TerritoryVersion(dealer=dealer, adcodes=adcodes, **stated)  # type: ignore[arg-type]  # test shorthand


def told(versions: list[TerritoryVersion], *proposed: TerritoryVersion) -> list[Remark]:
    proposals = [Proposal(f"feature {number}", each) for number, each in enumerate(proposed)]
    return report(TerritoryBook(ATOMS, versions), proposals, NETWORK)


def codes(remarks: list[Remark]) -> list[tuple[str, str, str]]:
    return [(each.code.value, each.dealer, each.other) for each in remarks]


BASE = [version("ROOT", "P"), version("WEST", "00", "10"), version("EAST", "20", "30"), version("W-0", "00")]


def test_two_proposals_for_one_time_that_differ_are_refused_with_both_features() -> None:
    first = version("W-1", "10", valid_from=day(10), valid_to=day(20))
    second = version("W-1", "c10", valid_from=day(19), recorded_at=day(5))
    (error,) = [each for each in told(BASE, first, second) if each.severity is Severity.ERROR]
    assert (error.code, error.where, error.other) == ("contradiction", "feature 1", "feature 0")
    assert (error.starts, error.ends) == (day(19), day(20))
    assert error.words == "W-1 is given something else by feature 0 for the same time: divisions 10, c10"


def test_proposals_that_follow_each_other_or_repeat_each_other() -> None:
    first = version("W-1", "10", valid_from=day(10), valid_to=day(20))
    assert "contradiction" not in {
        code for code, *_ in codes(told(BASE, first, version("W-1", "c10", valid_from=day(20))))
    }
    again = told(BASE, first, version("W-1", "10", valid_from=day(12), valid_to=day(13)))
    assert ("twice", "W-1", "feature 0") in codes(again)


def test_exclusive_dealers_that_do_not_stand_above_each_other_must_not_share_a_county() -> None:
    wide = told(BASE, version("EAST", "20", "30", "c13"))
    (remark,) = [each for each in wide if each.code == "overlap"]
    assert (remark.dealer, remark.other, remark.adcodes) == ("EAST", "WEST", ("c13",))
    assert remark.patch.km2 == pytest.approx(123.0, rel=0.01)
    assert remark.severity is Severity.CONCERN


@pytest.mark.parametrize("change", [{"exclusive": False}, {"channel": "online"}, {"product_line": "gold"}])
def test_shared_versions_and_other_channels_do_not_collide(change: dict[str, object]) -> None:
    base = [*BASE, version("W-1", "10", product_line="silver")]
    remarks = told(base, version("W-0", "00", "c10", **change), version("W-1", "11", product_line="silver"))
    assert [each for each in remarks if each.code == "overlap" and each.dealer == "W-0"] == []


def test_a_version_for_all_lines_collides_with_a_line_of_another_only_where_it_has_none_of_its_own() -> None:
    line = version("W-1", "c00", product_line="gold", recorded_at=day(1))
    wide = told([*BASE, line], version("W-0", "00", recorded_at=day(2)))
    assert [each.adcodes for each in wide if each.code == "overlap"] == [("c00",)]
    own = version("W-0", "c01", product_line="gold")
    assert "overlap" not in {c for c, *_ in codes(told([*BASE, line, own], version("W-0", "00", recorded_at=day(2))))}


def test_an_overlap_lasts_as_long_as_both_versions_do() -> None:
    neighbour = version("W-1", "10", "c00", valid_from=day(5), valid_to=day(8))
    wide = told([*BASE, neighbour], version("W-0", "00", recorded_at=day(1)))
    (remark,) = [each for each in wide if each.code == "overlap"]
    assert (remark.starts, remark.ends) == (day(5), day(8))


def test_an_overlap_with_what_was_recorded_is_told_beside_one_with_another_proposal() -> None:
    base = [*BASE, version("W-1", "10")]
    first = version("W-1", "10", "c00", valid_from=day(5), valid_to=day(8))
    second = version("W-0", "00", "c10", valid_from=day(6), valid_to=day(20))
    found = [each for each in told(base, first, second) if each.code == "overlap"]
    assert [(each.dealer, each.other, each.starts, each.ends, each.adcodes) for each in found] == [
        ("W-1", "W-0", day(5), day(6), ("c00",)),
        ("W-1", "W-0", day(6), day(8), ("c00", "c10")),
        ("W-0", "W-1", day(8), day(20), ("c10",)),
    ]


def test_a_child_stays_within_its_parent_at_every_level() -> None:
    beyond_it = told(BASE, version("W-1", "10", "20"))
    assert ("beyond_parent", "W-1", "WEST") in codes(beyond_it)
    # A parent that becomes smaller leaves its child outside.
    smaller = [each for each in told(BASE, version("WEST", "10", recorded_at=day(1))) if each.code == "beyond_parent"]
    assert [(each.dealer, each.other, each.adcodes) for each in smaller] == [
        ("W-0", "WEST", ("c00", "c01", "c02", "c03"))
    ]


def test_a_parent_without_a_territory_is_passed_over() -> None:
    base = [version("ROOT", "00", "10"), version("W-0", "00")]
    assert ("beyond_parent", "W-0", "ROOT") in codes(told(base, version("W-0", "30", recorded_at=day(1))))


def test_counties_that_nobody_has_any_more_are_told_apart_from_those_that_nobody_had() -> None:
    remarks = told(BASE, version("W-0", "c00", "c01", recorded_at=day(1)))
    (bare,) = [each for each in remarks if each.code == "newly_bare"]
    assert (bare.other, bare.adcodes) == ("WEST", ("c02", "c03"))
    (gap,) = [each for each in remarks if each.code == "gap"]
    assert gap.adcodes == ("c02", "c03", "c10", "c11", "c12", "c13")


def test_what_is_replaced_and_what_follows_is_told() -> None:
    remarks = told(BASE, version("W-0", "c00", valid_from=day(3), valid_to=day(4), recorded_at=day(9)))
    assert {"replaces", "retroactive"} <= {code for code, *_ in codes(remarks)}
    assert "nothing_after" not in {code for code, *_ in codes(remarks)}
    assert ("nothing_after", "W-1", "") in codes(told(BASE, version("W-1", "10", valid_to=day(4))))
    assert ("no_change", "W-0", "") in codes(told(BASE, version("W-0", "00", recorded_at=day(1))))


def test_unknown_dealers_divisions_and_lines_are_named() -> None:
    found = {each.code: each for each in told(BASE, version("NOBODY", "99", product_line="tin"))}
    assert (found["unknown_dealer"].severity, found["unknown_division"].detail) == (Severity.ERROR, "99")
    assert found["unknown_product_line"].severity is Severity.NOTE


def test_polygons_overlap_by_geometry_and_strips_within_the_maps_error_do_not_count() -> None:
    drawn = version("W-1", polygon=box(0.5, 0.5, 1.5, 1.5))
    (remark,) = [each for each in told(BASE, drawn) if each.code == "overlap"]
    assert (remark.adcodes, remark.patch.adcodes) == (("c00", "c01"), ())
    assert remark.patch.km2 == pytest.approx(123 / 2, rel=0.02)
    beside = version("W-1", polygon=box(0.999, 0, 1.5, 1))  # 110 m of 11 km
    assert [each for each in told(BASE, beside) if each.code == "overlap"] == []


def test_a_polygon_beyond_the_parent_is_measured() -> None:
    inside = version("W-1", polygon=box(1.2, 0.2, 1.8, 0.8))
    assert "beyond_parent" not in {code for code, *_ in codes(told(BASE, inside))}
    outside = version("W-1", polygon=box(1.5, 0, 2.5, 1))
    (remark,) = [each for each in told(BASE, outside) if each.code == "beyond_parent"]
    assert (remark.adcodes, round(remark.patch.km2 / 123, 2)) == (("c20",), 0.5)


def test_swapped_axes_are_recognised_by_the_map() -> None:
    swapped = shapely.Polygon([(lat, lon) for lon, lat in [(88.2, 0.1), (88.3, 0.1), (88.3, 0.2)]])
    shifted = AtomMap(
        "shifted",
        {Level.COUNTY: [AtomRecord("x", "x", "x", Level.COUNTY, None)]},
        lambda _level: np.array([shapely.box(88, 0, 89, 1)], dtype=object),
    )
    remarks = report(TerritoryBook(shifted, []), [Proposal("feature 0", version("ROOT", polygon=swapped))], NETWORK)
    assert remarks[0].code == "axes_swapped"


masks = st.lists(st.booleans(), min_size=SIDE * SIDE, max_size=SIDE * SIDE).map(np.array)
boxes = st.none() | st.tuples(*[st.integers(0, 3)] * 2, *[st.integers(1, 2)] * 2).map(
    lambda at: box(at[0] + 0.25, at[1] + 0.25, at[0] + 0.25 + at[2], at[1] + 0.25 + at[3])
)


@given(masks, boxes, masks, boxes)
def test_areas_agree_with_geometry(
    first: np.ndarray, one: shapely.Polygon | None, second: np.ndarray, two: shapely.Polygon | None
) -> None:
    a, b = Area(first, one), Area(second, two)
    x, y = whole(a), whole(b)
    per_degree = 12_364.0
    assert shared(a, b, ATOMS).km2 == pytest.approx(shapely.intersection(x, y).area * per_degree, rel=0.01, abs=0.1)
    assert beyond(a, b, ATOMS).km2 == pytest.approx(shapely.difference(x, y).area * per_degree, rel=0.01, abs=0.1)


def whole(area: Area) -> shapely.Geometry:
    shapes = [*ATOMS.layer(Level.COUNTY).geometries[area.mask], *([area.polygon] if area.polygon else [])]
    return shapely.union_all(shapes)


def test_the_digest_covers_line_and_polygon_and_old_digests_stay() -> None:
    plain = version("D", "00")
    assert plain.sha256 == "5e6d58c24cb590f8922f7f52b28b10c6d754f85670a6e91e5c26a43d58b96716"
    drawn = version("D", "00", polygon=box(0, 0, 1, 1))
    turned = version("D", "00", polygon=shapely.reverse(box(0, 0, 1, 1)))
    assert drawn.sha256 == turned.sha256
    assert len({plain.sha256, drawn.sha256, version("D", "00", product_line="gold").sha256}) == 3
    assert area_of(drawn, ATOMS).polygon == drawn.polygon
