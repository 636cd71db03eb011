"""Where to look next: what is more suspicious comes earlier, what is far later, what is known not at all."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trace_service.detection.settings import DAY_MS
from trace_service.inspections.gain import Model, information, prospects, reason
from trace_service.inspections.model import Base, Known, Look, Place, Prospect, Share, Suspicion
from trace_service.inspections.planning import plan, ranked
from trace_service.inspections.tours import Rules

NOW = 20_000 * DAY_MS
PLACES = tuple(
    Place(city=f"{number:06}", lat=30 + 0.4 * (number // 8), lon=110 + 0.4 * (number % 8), population=1e6)
    for number in range(64)
)
HOME = Base(name="home", lat=30.0, lon=110.0)
MODEL = Model()


def suspect(city: str = "000001", **other: float | bool | str) -> Suspicion:
    given = {"dealer": "D1", "probability": 0.1, "nats": 4.0, "short": 3.0, "cases": 2, "last_seen": NOW - 3 * DAY_MS}
    return Suspicion(city=city, **{**given, **other})  # type: ignore[arg-type]


def gain(one: Suspicion, *looks: Look) -> float:
    return reason(one, looks, NOW, MODEL).gain


def known(*suspicions: Suspicion, looks: tuple[Look, ...] = ()) -> Known:
    return Known(places=PLACES, suspicions=suspicions, looks=looks)


def bare(gains: list[float]) -> list[Prospect]:
    return [Prospect(place=place, gain=each, explore=0.0, tie=0.0) for place, each in zip(PLACES, gains, strict=False)]


@given(st.floats(0.001, 0.99), st.floats(0.001, 0.99))
def test_what_is_more_suspicious_is_worth_more(one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert gain(suspect(probability=low)) <= gain(suspect(probability=high))


@given(st.floats(0, 60), st.floats(0, 60))
def test_what_was_seen_long_ago_is_sold_by_now(one: float, other: float) -> None:
    young, old = sorted((one, other))
    ages = [suspect(last_seen=NOW - int(days * DAY_MS)) for days in (young, old)]
    assert gain(ages[0]) >= gain(ages[1])


@given(st.floats(0, 30), st.integers(0, 20), st.floats(0.001, 0.999), st.floats(0, 60))
def test_every_figure_is_a_probability(short: float, cases: int, probability: float, days: float) -> None:
    one = suspect(short=short, cases=cases, probability=probability, last_seen=NOW - int(days * DAY_MS))
    found = reason(one, [], NOW, MODEL)
    assert 0 <= found.alert <= found.finds <= 1
    assert 0 <= found.gain <= found.probability * found.there <= 1
    assert information(found) >= 0


def test_where_an_alert_stands_nothing_is_left_to_be_found_out() -> None:
    assert gain(suspect(standing=True, probability=0.99)) == 0


def test_a_fruitless_look_counts_and_is_forgotten() -> None:
    fresh = gain(suspect())
    yesterday, last_year = (Look(city="000001", at=NOW - days * DAY_MS) for days in (1, 365))
    assert gain(suspect(), yesterday) < 0.8 * fresh
    assert gain(suspect(), last_year) == pytest.approx(fresh)
    found_it = Look(city="000001", at=NOW - DAY_MS, dealers=("D1",))
    assert gain(suspect(), found_it) == fresh


def test_more_goods_to_be_saved_are_worth_more_within_bounds() -> None:
    plain = reason(suspect(), [], NOW, MODEL, 1000.0).gain
    ratios = [reason(suspect(left=left), [], NOW, MODEL, 1000.0).gain / plain for left in (1.0, 1000.0, 4000.0, 1e9)]
    assert ratios == sorted(ratios)
    assert ratios[0] == pytest.approx(0.5)
    assert ratios[-1] == pytest.approx(2.0)


def test_the_suspicious_city_leads_the_list_and_names_its_dealer() -> None:
    found = prospects(known(suspect("000009", probability=0.5), suspect("000010", probability=0.02)), NOW, 7)
    first = ranked(found, HOME)[0].prospect
    assert first.place.city == "000009"
    assert [each.dealer for each in first.reasons] == ["D1"]


def test_of_equal_places_the_nearer_one_comes_first() -> None:
    order = [each.prospect.place for each in ranked(bare([0.1] * 64), HOME)]
    away = [(each.lat - HOME.lat) ** 2 + (0.86 * (each.lon - HOME.lon)) ** 2 for each in order]
    assert all(near <= far * 1.02 + 1e-9 for near, far in pairwise(away))


def test_the_same_seed_draws_the_same_and_the_next_day_another() -> None:
    rates = [
        [each.explore for each in prospects(known(), NOW + days * DAY_MS, seed)]
        for seed, days in ((1, 0), (1, 0), (1, 1), (2, 0))
    ]
    assert rates[0] == rates[1]
    assert rates[0] != rates[2]
    assert rates[0] != rates[3]


def test_a_place_never_looked_at_is_visited_for_all_that_others_promise() -> None:
    looks: list[Look] = []
    for day in range(100):
        now = NOW + day * DAY_MS
        certain = suspect("000001", last_seen=now, probability=0.2)
        state = Known(places=PLACES[:5], suspicions=(certain,), looks=tuple(looks))
        for tour in plan(prospects(state, now, 3), [HOME], now, 3):
            looks += [Look(city=each.prospect.place.city, at=now, dealers=()) for each in tour.visits]
    assert {each.city for each in looks} == {each.city for each in PLACES[:5]}


@given(st.lists(st.floats(0, 0.5), min_size=1, max_size=40), st.floats(0, 16), st.integers(1, 3), st.integers(0, 99))
def test_a_day_ends_in_time_and_no_place_is_visited_twice(
    gains: list[float], hours: float, crews: int, seed: int
) -> None:
    bases = [HOME, Base(name="east", lat=30.5, lon=112.0), Base(name="north", lat=32.0, lon=111.0)]
    bases = [Base(name=each.name, lat=each.lat, lon=each.lon, hours=hours) for each in bases]
    tours = plan(bare(gains), bases, NOW, seed, Rules(crews=crews))
    cities = [each.prospect.place.city for tour in tours for each in tour.visits]
    assert len(cities) == len(set(cities))
    assert len(tours) <= crews
    assert all(tour.hours <= hours + 1e-6 for tour in tours)
    assert all(visit.hours > 0 for tour in tours for visit in tour.visits)


def test_about_one_visit_in_ten_is_drawn_by_lot() -> None:
    shares = [
        visit.share
        for seed in range(300)
        for tour in plan(bare([0.1] * 64), [HOME], NOW, seed)
        for visit in tour.visits
    ]
    assert 0.06 < shares.count(Share.LOT) / len(shares) < 0.15


def test_without_lots_the_best_places_are_taken() -> None:
    worth = [0.01] * 64
    worth[9] = worth[10] = 0.9
    (tour,) = plan(bare(worth), [HOME], NOW, 1, Rules(lot_share=0.0))
    assert {"000009", "000010"} <= {each.prospect.place.city for each in tour.visits}
