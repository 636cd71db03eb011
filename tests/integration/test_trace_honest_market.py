import random

import pytest
from trace_market import PLACES, Market

from trace_service.places import load_places

FOREIGN_SHARE = 0.2


def test_a_fifth_of_honest_scans_abroad_raise_nothing_and_the_dump_among_them_one_alert(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    cities = {place.adcode: place for place in load_places()}
    monkeypatch.setattr("trace_market.PLACES", PLACES | {code: (each.lon, each.lat) for code, each in cities.items()})
    chance = random.Random(17)
    homes = {dealer["id"]: dealer["adcodes"][0].ljust(6, "0") for dealer in market.job["dealers"]}
    populations = [place.population for place in cities.values()]
    to = {order["id"]: order["to"] for order in market.job["orders"]}
    dumped = market.cases_to("D-CHENGDU")[:12]
    for case in market.job["cases"]:
        dealer = to[case["order"]]
        market.land(*market.pack(case), market.ship(case, dealer))
        for item in chance.sample(case["items"], 2) if case not in dumped else ():
            abroad = chance.random() < FOREIGN_SHARE
            city = chance.choices(list(cities), populations)[0] if abroad else homes[dealer]
            market.land(market.consumer(item, city, 60 + chance.random() * 600))
    market.drain()
    assert market.rows("SELECT count(*) FROM trace.verdict WHERE place = 'outside'")[0][0] > 20
    assert market.rows("SELECT dealer, city, cases FROM trace.alert") == []
    for case in dumped:
        market.land(market.consumer(case["items"][0], "nanjing", 700))
    market.drain()
    assert [row[:2] for row in market.rows("SELECT dealer, city FROM trace.alert")] == [("D-CHENGDU", "320100")]
