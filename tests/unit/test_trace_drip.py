import random
from datetime import UTC, datetime, timedelta

import pytest

from trace_service.detection.drip import (
    FOREIGN_SHARE,
    LEAST_CASES,
    THRESHOLD_NATS,
    WINDOW,
    City,
    Hit,
    flow_shares,
    strongest_window,
)
from trace_service.domain.counts import negative_binomial, poisson
from trace_service.places import load_places

START = datetime(2026, 1, 1, tzinfo=UTC)
PLACES = {place.adcode: City(place.lon, place.lat, place.population) for place in load_places()}
CHENGDU = (104.07, 30.67)


def hits(count: int, days: float = 0, first: int = 0) -> list[Hit]:
    return [Hit(START + timedelta(days=days, seconds=number), f"case-{first + number}") for number in range(count)]


def times(here: list[Hit], elsewhere: int) -> list[datetime]:
    return sorted([hit.at for hit in here] + [START - timedelta(seconds=number) for number in range(elsewhere)])


def test_counts_are_probabilities_with_the_stated_moments() -> None:
    for found, mean, variance in (
        (negative_binomial(2.5, 0.8, 400), 2.5, 2.5 + 0.8 * 2.5**2),
        (poisson(2.5, 100), 2.5, 2.5),
    ):
        first = sum(count * each for count, each in enumerate(found))
        second = sum(count**2 * each for count, each in enumerate(found))
        assert sum(found) == pytest.approx(1)
        assert (first, second - first**2) == pytest.approx((mean, variance))


def test_honest_flow_goes_to_big_and_near_cities_and_adds_up() -> None:
    shares = flow_shares(CHENGDU, {code: city for code, city in PLACES.items() if code != "510100"})
    assert sum(shares.values()) == pytest.approx(FOREIGN_SHARE)
    assert max(shares, key=lambda code: shares[code]) == "500000"
    assert shares["330100"] > shares["340200"]


def test_a_dozen_cases_in_one_foreign_city_are_alarming_and_two_never_are() -> None:
    dozen = hits(12)
    assert strongest_window(dozen, times(dozen, 30), 0.004).alarming
    pair = hits(LEAST_CASES - 1)
    score = strongest_window(pair, times(pair, 0), 1e-6)
    assert score.llr > THRESHOLD_NATS
    assert not score.alarming


def test_the_same_cases_are_no_news_where_so_much_of_them_is_expected() -> None:
    dozen = hits(12)
    assert not strongest_window(dozen, times(dozen, 1500), 0.006).alarming
    assert not strongest_window(dozen, times(dozen, 30), 0.2).alarming


def test_cases_count_once_however_often_they_are_scanned() -> None:
    rescans = [Hit(START + timedelta(minutes=minute), f"case-{minute % 2}") for minute in range(20)]
    assert not strongest_window(rescans, times(rescans, 10), 0.001).alarming


def test_what_is_further_apart_than_the_window_does_not_add_up() -> None:
    spread = [hit for number in range(6) for hit in hits(1, number * (WINDOW.days + 1), number)]
    assert len(strongest_window(spread, times(spread, 0), 0.001).cases) == 1
    close = [hit for number in range(6) for hit in hits(1, number * 4, number)]
    assert strongest_window(close, times(close, 0), 0.001).alarming


def test_an_old_attack_is_found_however_much_honest_trade_followed() -> None:
    attack = hits(8)
    later = [START + timedelta(days=100, seconds=number) for number in range(3000)]
    assert strongest_window(attack, sorted([hit.at for hit in attack] + later), 0.004).alarming


def test_the_order_of_the_hits_changes_nothing() -> None:
    found = hits(9) + hits(4, 40, 9)
    shuffled = list(found)
    random.Random(3).shuffle(shuffled)
    assert strongest_window(shuffled, times(found, 20), 0.004) == strongest_window(found, times(found, 20), 0.004)


def test_honest_markets_raise_no_alert() -> None:
    chance = random.Random(11)
    foreign = {code: city for code, city in PLACES.items() if code != "510100"}
    shares = flow_shares(CHENGDU, foreign)
    alarms = 0
    for _ in range(40):
        seen: dict[str, list[Hit]] = {}
        moments = []
        for number in range(120):
            moment = START + timedelta(minutes=number)
            moments.append(moment)
            if chance.random() < FOREIGN_SHARE:
                city = chance.choices(list(shares), list(shares.values()))[0]
                seen.setdefault(city, []).append(Hit(moment, f"case-{number}"))
        alarms += sum(strongest_window(found, moments, shares[city]).alarming for city, found in seen.items())
    assert alarms == 0
