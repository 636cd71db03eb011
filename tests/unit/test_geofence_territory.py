"""Territories as sets of counties, and a book that answers for any moment as known at any moment."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from geofence.errors import TerritoryError, UnknownAdcodeError
from geofence.maps.atom_map import AtomMap
from geofence.maps.atoms import AtomRecord, Level
from geofence.territory import Query, TerritoryBook, TerritoryVersion, atom_mask

START = datetime(2025, 1, 1, tzinfo=UTC)
SIDE = 4


def squares() -> AtomMap:
    """One province of four cities of four square counties each, a degree wide, from 100° E on the equator."""
    counties, cities, shapes = [], [], []
    for column in range(SIDE):
        cities.append(AtomRecord(f"{column}0", f"city {column}", f"city {column}", Level.CITY, "P"))
        for row in range(SIDE):
            name = f"county {column}{row}"
            counties.append(AtomRecord(f"c{column}{row}", name, name, Level.COUNTY, f"{column}0"))
            shapes.append(shapely.box(100 + column, row, 101 + column, row + 1))
    records = {
        Level.PROVINCE: [AtomRecord("P", "province", "province", Level.PROVINCE, None)],
        Level.CITY: cities,
        Level.COUNTY: counties,
    }
    return AtomMap("squares", records, lambda _level: np.array(shapes, dtype=object))


ATOMS = squares()
codes = st.sets(st.sampled_from(["P", "00", "10", "20", "30", "c00", "c11", "c22", "c33"]))


def version(dealer: str = "D", *adcodes: str, **changes: object) -> TerritoryVersion:
    stated = {"valid_from": START, "recorded_at": START, **changes}
    return TerritoryVersion(dealer=dealer, adcodes=adcodes, **stated)  # type: ignore[arg-type]  # test shorthand


def at(days: int, known: int | None = None, dealer: str = "D") -> Query:
    return Query(dealer, START + timedelta(days=days), START + timedelta(days=days if known is None else known))


def test_a_province_means_all_its_counties() -> None:
    assert atom_mask(version("D", "P"), ATOMS).sum() == SIDE * SIDE
    assert ATOMS.codes_of(atom_mask(version("D", "10", "c00"), ATOMS)) == ("c00", "c10", "c11", "c12", "c13")


@given(codes, codes)
def test_the_mask_of_a_union_is_the_union_of_the_masks(first: set[str], second: set[str]) -> None:
    together = atom_mask(version("D", *(first | second)), ATOMS)
    assert (together == atom_mask(version("D", *first), ATOMS) | atom_mask(version("D", *second), ATOMS)).all()


def test_an_unknown_code_is_refused() -> None:
    with pytest.raises(UnknownAdcodeError, match="999999") as caught:
        atom_mask(version("D", "999999"), ATOMS)
    assert caught.value.advice


def test_a_version_without_time_zone_or_with_swapped_dates_is_refused() -> None:
    with pytest.raises(TerritoryError, match="valid_from has no time zone"):
        version("D", "00", valid_from=datetime(2025, 1, 1))  # noqa: DTZ001  # the naive time under test
    with pytest.raises(TerritoryError, match="ends at"):
        version("D", "00", valid_to=START)


def test_the_digest_speaks_of_the_statement_and_not_of_its_spelling() -> None:
    assert version("D", "00", "10").sha256 == version("D", "10", "00", "10").sha256
    assert version("D", "00").sha256 != version("D", "00", exclusive=False).sha256


class TestBook:
    first = version("D", "00")
    moved = version("D", "10", valid_from=START + timedelta(days=100), recorded_at=START + timedelta(days=90))
    # Recorded late: from day 50 on the dealer had city 2, which nobody knew before day 200.
    retroactive = version("D", "20", valid_from=START + timedelta(days=50), recorded_at=START + timedelta(days=200))
    book = TerritoryBook(ATOMS, [retroactive, first, moved])

    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            (at(-1, 300), None),
            (at(10), "00"),
            (at(99, 99), "00"),
            (at(100), "10"),
            (at(60, 150), "00"),
            (at(60, 200), "20"),
            (at(10, 300), "00"),
            (at(10, -1), None),
            (at(10, dealer="somebody else"), None),
        ],
    )
    def test_in_force(self, query: Query, expected: str | None) -> None:
        found = self.book.in_force(query)
        assert (found.adcodes if found else None) == ((expected,) if expected else None)

    def test_a_new_contract_leaves_the_old_book_alone(self) -> None:
        ended = version("D", valid_from=START + timedelta(days=300), recorded_at=START + timedelta(days=290))
        later = self.book.with_versions(ended)
        assert later.in_force(at(301)) == ended
        assert self.book.in_force(at(301)) == self.retroactive

    @given(st.integers(-10, 400), st.integers(0, 400), st.integers(0, 400))
    def test_what_was_known_then_never_changes(self, valid: int, known: int, later: int) -> None:
        addition = version("D", "30", recorded_at=START + timedelta(days=known + 1 + later))
        assert self.book.with_versions(addition).in_force(at(valid, known)) == self.book.in_force(at(valid, known))
