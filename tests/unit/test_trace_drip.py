import random
import time
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from trace_service.detection.drip import (
    FOREIGN_SHARE,
    LEAST_CASES,
    THRESHOLD_NATS,
    WINDOW,
    City,
    Hit,
    Trade,
    flow_shares,
    strongest_window,
    weigh_city,
)
from trace_service.domain.counts import log_negative_binomial, log_poisson
from trace_service.places import load_places

START = datetime(2026, 1, 1, tzinfo=UTC)
PLACES = {place.adcode: City(place.lon, place.lat, place.population) for place in load_places()}
CHENGDU = (104.07, 30.67)


def hits(count: int, days: float = 0, first: int = 0, shipment: str = "SO-1") -> list[Hit]:
    start = START + timedelta(days=days)
    return [Hit(start + timedelta(seconds=number), f"case-{first + number}", shipment) for number in range(count)]


def times(here: list[Hit], elsewhere: int) -> list[datetime]:
    return sorted([hit.at for hit in here] + [START - timedelta(seconds=number) for number in range(elsewhere)])


def test_counts_are_probabilities_with_the_stated_moments() -> None:
    for found, mean, variance in (
        (np.exp(log_negative_binomial(2.5, 0.8, 400)), 2.5, 2.5 + 0.8 * 2.5**2),
        (np.exp(log_poisson(2.5, 100)), 2.5, 2.5),
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


def test_two_early_cases_do_not_hide_the_third_that_makes_them_an_alert() -> None:
    pair, third = hits(2), hits(1, 3, 2)
    trade = [START + timedelta(days=2, seconds=number) for number in range(42)]
    moments = sorted([hit.at for hit in pair + third] + trade)
    assert strongest_window(pair, moments, 0.0002).llr > strongest_window(pair + third, moments, 0.0002).llr
    assert strongest_window(pair + third, moments, 0.0002).alarming


def test_cases_count_once_however_often_they_are_scanned() -> None:
    rescans = [Hit(START + timedelta(minutes=minute), f"case-{minute % 2}", "SO-1") for minute in range(20)]
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
        anywhere = []
        for number in range(120):
            moment = START + timedelta(minutes=number)
            anywhere.append(Hit(moment, f"case-{number}", f"SO-{number % 4}"))
            if chance.random() < FOREIGN_SHARE:
                city = chance.choices(list(shares), list(shares.values()))[0]
                seen.setdefault(city, []).append(anywhere[-1])
        alarms += sum(weigh_city(found, Trade(anywhere), shares[city]).alarming for city, found in seen.items())
    assert alarms == 0


def test_a_dumped_shipment_is_found_after_years_of_honest_trade_and_a_second_one_joins_it() -> None:
    trade = [each for number in range(100) for each in hits(20, number / 10, 1000 + 20 * number, f"SO-H{number}")]
    first, second = hits(12, 20, 1, "SO-A"), hits(9, 21, 13, "SO-B")
    once = weigh_city(first, Trade(trade + first), 0.004)
    assert not strongest_window(first, sorted(hit.at for hit in trade + first), 0.004).alarming
    assert (once.alarming, len(once.cases), once.seen) == (True, 12, 12)
    twice = weigh_city(first + second, Trade(trade + first + second), 0.004)
    assert (len(twice.cases), twice.seen) == (21, 21)
    assert twice.expected == pytest.approx(21 * 0.004)


def test_a_few_cases_of_every_shipment_are_found_too() -> None:
    trade = [each for number in range(20) for each in hits(20, number, 1000 + 20 * number, f"SO-{number}")]
    drip = [each for number in range(20) for each in hits(2, number, 2 * number, f"SO-{number}")]
    score = weigh_city(drip, Trade(trade + drip), 0.004)
    assert score.alarming
    assert len(score.cases) == 40


def test_a_dealer_who_sells_thousands_of_cases_elsewhere_is_found_in_time() -> None:
    many = [each for number in range(20) for each in hits(100, number, 100 * number, f"SO-{number}")]
    began = time.process_time()
    score = weigh_city(many, Trade(many + hits(8000, 19, 10_000)), 0.004)
    assert (score.alarming, len(score.cases)) == (True, 2000)
    assert time.process_time() - began < 5
