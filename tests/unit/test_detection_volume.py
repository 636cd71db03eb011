"""What a place keeps from one look to the next is what putting everything together anew would give."""

from collections.abc import Callable
from math import inf
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trace_service.detection.cell import Cell, Hit, Piece, apart
from trace_service.detection.placing import Kind
from trace_service.detection.shipping import Shipments
from trace_service.detection.weighing import Weighed

CASES: Final = 14
HOUR_MS: Final = 3_600_000
Act = tuple[str, int]
MARKS: Final[dict[str, Callable[[Cell, str], bool]]] = {
    "home": lambda cell, case: cell.mark(case, home=True),
    "not home": lambda cell, case: cell.mark(case, home=False),
    "carried": lambda cell, case: cell.take_out(case),
    "not carried": lambda cell, case: cell.put_back(case),
}


@st.composite
def hits(draw: st.DrawFn) -> list[Hit]:
    """Draw cases that often share a day, a phone, a shipment or a street, in the order in which they are heard of."""
    found = []
    for case in draw(st.permutations(range(CASES))):
        where = draw(st.one_of(st.none(), st.tuples(st.sampled_from([30.0, 30.01, 30.2]), st.just(120.0))))
        kind = Kind.IP if where is None else draw(st.sampled_from([Kind.GPS, Kind.STORE]))
        at = draw(st.integers(0, 400)) * HOUR_MS
        lat, lon = where or (None, None)
        shipment, device = draw(st.sampled_from(["S1", "S2", "S3", None])), draw(st.sampled_from(["", "A", "B"]))
        found.append(Hit(f"C{case:02d}", at, kind, shipment, device, lat, lon, ["k"], ["e"], ["u"]))
    return found if draw(st.booleans()) else sorted(found, key=lambda each: (each.at, each.case))


ACTS = st.lists(
    st.tuples(
        st.sampled_from(["add"] * 3 + ["home", "not home", "carried", "not carried", "remove", "settle", "look"]),
        st.integers(0, CASES - 1),
    ),
    max_size=50,
)


class Plain:
    """Puts everything together anew whenever something is taken away, and at each look."""

    def __init__(self) -> None:
        self.cell = Cell("D", 0)

    def act(self, name: str, hit: Hit) -> None:
        if do(self.cell, name, hit) and (name == "remove" or name in MARKS):
            self.cell.rebuild()

    def looks(self) -> tuple[list[list[str]], ...]:
        hits = sorted(self.cell.hits.values(), key=lambda each: (each.at, each.case))
        kept = [each for each in hits if each.case not in self.cell.settled and each.case not in self.cell.at_home]
        whole = Cell("D", 0)
        for each in kept:
            whole.add(each)
        return cases(self.cell.pieces), cases(apart(self.cell.pieces)), cases(whole.pieces)


def do(cell: Cell, name: str, hit: Hit) -> bool:
    """Do to a cell what happens to a case; return whether anything did."""
    known = hit.case in cell.hits
    if name == "settle":
        cell.settle(confirmed=False, benign_until=None)
    elif name == "add" and not known:
        cell.add(hit)
    elif name == "remove" and known:
        cell.remove(hit.case)
    elif known and name in MARKS:
        return MARKS[name](cell, hit.case)
    return known and name == "remove"


def cases(pieces: list[Piece]) -> list[list[str]]:
    return [[hit.case for hit in piece.hits] for piece in pieces]


def looks(cell: Cell) -> tuple[list[list[str]], ...]:
    return cases(cell.pieces), cases(cell.independent()), cases(cell.with_carried())


@given(hits(), ACTS)
def test_a_place_says_what_it_would_say_put_together_anew(seen: list[Hit], acts: list[Act]) -> None:
    cell, plain = Cell("D", 0, in_order=True), Plain()
    for name, number in acts:
        do(cell, name, seen[number])
        plain.act(name, seen[number])
        if name == "look":
            assert looks(cell) == plain.looks()
    assert looks(cell) == plain.looks()


class Seen:
    """Of each shipment some cases that were seen, in the place or elsewhere only."""

    def __init__(self, cell: Cell, elsewhere: dict[str, list[Kind]], stocked: set[str]) -> None:
        self.shipments: dict[str, dict[str, None]] = {name: {} for name in ("S1", "S2", "S3")}
        self.cities: dict[tuple[str, str], dict[int, tuple[int, bool]]] = {}
        for hit in cell.hits.values():
            if hit.shipment is not None:
                self.shipments[hit.shipment][hit.case] = None
        for name, kinds in elsewhere.items():
            for number, kind in enumerate(kinds):
                self.shipments[name][f"{name}-{number}"] = None
                self.cities["D", f"{name}-{number}"] = {7: (kind, False)}
        self.stocked = {("D", f"{name}-0"): {"r"} for name in stocked}


@given(
    hits(),
    st.dictionaries(st.sampled_from(["S1", "S2", "S3"]), st.lists(st.sampled_from(list(Kind)), max_size=6)),
    st.sets(st.sampled_from(["S1", "S2", "S3"])),
    st.tuples(st.floats(1e-6, 0.5), st.floats(1e-6, 0.5), st.floats(1e-6, 0.1)),
    st.floats(1, 12),
    st.floats(0.1, 0.9),
    st.floats(0, 20),
    st.floats(-6, 3),
)
def test_the_strongest_shipment_is_found_without_weighing_them_all(  # noqa: PLR0917  hypothesis passes them in this order
    seen: list[Hit], elsewhere: dict[str, list[Kind]], stocked: set[str], shares: tuple[float, ...], surge: float,
    seen_share: float, gateway: float, home: float,
) -> None:  # fmt: skip
    cell = Cell("D", 0, in_order=True)
    for hit in seen:
        cell.add(hit)
    place = Shipments(cell, Seen(cell, elsewhere, stocked), (shares, surge), seen_share, lambda: gateway)
    every = {
        name: place.weigh(name, here, home)
        for name in ("S1", "S2", "S3")
        if (here := [each for each in cell.pieces if any(hit.shipment == name for hit in each.hits)])
    }
    nats, which = place.strongest(home)
    assert nats == max(every.values(), default=-inf)
    assert which is None or every[which] == nats


@given(
    hits(),
    st.lists(st.sampled_from(list(Kind)), min_size=1, max_size=12),
    st.tuples(st.floats(1e-6, 0.5), st.floats(1e-6, 0.5), st.floats(1e-6, 0.1)),
    st.floats(0.1, 0.9),
)
def test_what_was_seen_elsewhere_makes_nothing_stranger_and_what_shops_took_in_says_nothing(
    seen: list[Hit], kinds: list[Kind], shares: tuple[float, ...], seen_share: float
) -> None:
    cell = Cell("D", 0, in_order=True)
    for hit in seen:
        cell.add(hit)
    here = [each for each in cell.pieces if any(hit.shipment == "S1" for hit in each.hits)]

    def weighed(elsewhere: list[Kind], stocked: set[str]) -> float:
        place = Shipments(cell, Seen(cell, {"S1": elsewhere}, stocked), (shares, 1.0), seen_share, lambda: 0.0)
        return place.weigh("S1", here, 0.0)

    alone = weighed([], set())
    assert not here or weighed(kinds, set()) <= max(alone, 0.0) + 1e-9
    assert not here or weighed(kinds[:1], {"S1"}) == pytest.approx(alone)


@pytest.mark.parametrize(("share", "least", "most"), [(1e-3, 0.0, 0.5), (0.2, 2.5, 3.0)])
def test_that_nothing_was_seen_at_home_rules_out_travellers_and_no_present(
    share: float, least: float, most: float
) -> None:
    """Where hardly anybody travels, three cases are a present or a diversion; next door, travellers are ruled out."""
    cell = Cell("D", 0, in_order=True)
    for number in range(3):
        at, lat = number * 100 * HOUR_MS, 30.0 + 0.05 * number
        cell.add(Hit(f"C{number}", at, Kind.GPS, "S1", f"phone {number}", lat, 120.0, ["k"], ["e"], ["u"]))
    elsewhere = Seen(cell, {"S1": [Kind.GPS] * 6}, set())
    place = Shipments(cell, elsewhere, ((share, share, 1e-3), 1.0), 0.24, lambda: 0.0)
    without, known = (place.weigh("S1", cell.pieces, home) for home in (0.0, 3.0))
    assert least <= known - without <= most


@pytest.mark.parametrize(("shipments", "nats"), [(1, 9.0), (10, 9.0 - 2.302585), (0, 9.0), (100_000, 1.5)])
def test_one_shipment_of_many_says_less_beside_other_dealers(shipments: int, nats: float) -> None:
    """The strongest of many shipments is one that was chosen; pieces of different shipments are not."""
    assert Weighed(drip=1.5, bulk=9.0).beside_others(shipments) == pytest.approx(nats)
    assert Weighed(drip=12.0, bulk=9.0).beside_others(shipments) == 12.0
