"""Worlds in memory: as hard as they promise, and the truth about them right."""

import json
from functools import cache

import numpy as np
import pytest

from firmware_sim.world.attacks import TYPES
from firmware_sim.world.country.geography import load_land
from firmware_sim.world.country.mobility import COMMUTE, MIGRATION, RAIL_MODE, SUMMER, Mobility
from firmware_sim.world.country.positions import GPS
from firmware_sim.world.fates import Attack
from firmware_sim.world.goods import serials
from firmware_sim.world.model import World, make_world
from firmware_sim.world.naive import measure
from firmware_sim.world.network import Dealer, Network
from firmware_sim.world.parameters import Request, draw_nature
from firmware_sim.world.routing import Routes, Shipments
from firmware_sim.world.telling.ledger import Gaps, Ledger

SMALL = Request(seed=3, dealers=60, items=60_000)


@cache
def world(request: Request = SMALL) -> World:
    return make_world(request)


def test_a_world_has_every_type_of_attack_and_a_branch_twenty_levels_deep() -> None:
    made = world()
    assert {attack.type for attack in made.attacks} == set(TYPES)
    assert max(dealer.level for dealer in made.network.dealers) >= 18
    assert np.isin(np.arange(5), made.routes.table.ints("kind")).all()
    assert made.network.swaps
    assert made.network.moves


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_honest_foreign_share_is_what_the_format_promises(seed: int) -> None:
    assert 0.18 <= world(Request(seed=seed)).difficulty.foreign_share <= 0.26


def test_a_third_of_the_attacks_is_too_small_to_be_seen_and_the_obvious_rule_is_no_good() -> None:
    measured = [world(Request(seed=seed)).difficulty for seed in (1, 2, 3)]
    assert 0.2 <= sum(d.small_attacks for d in measured) / sum(d.attacks for d in measured) <= 0.45
    assert 0.25 <= sum(d.right for d in measured) / sum(d.alerts for d in measured) <= 0.7
    assert 0.25 <= sum(d.core_found for d in measured) / sum(d.core for d in measured) <= 0.65


def test_nobody_diverts_anything_in_an_attack_free_world() -> None:
    made = world(Request(seed=3, dealers=60, items=60_000, attack_free=True))
    assert made.attacks == []
    assert (made.scans.attack == -1).all()
    assert made.difficulty.right == 0


def test_attackers_of_a_hard_world_hide() -> None:
    def with_gps(made: World) -> float:
        return float((made.scans.seen.source[made.scans.attack >= 0] == GPS).mean())

    assert with_gps(world(Request(seed=3, items=60_000, dealers=60, hard=True))) < with_gps(world()) / 2


def test_nothing_is_scanned_before_it_came_and_no_diverted_case_before_it_was_lost() -> None:
    made = world()
    known = (made.scans.item >= 0) & (made.scans.attack < 0)
    case = made.scans.case[known]
    assert (made.scans.day[known] >= np.floor(made.routes.ready[made.goods.case_lot[case]])).all()
    lost = np.full(made.fates.day.size, -np.inf)
    for attack in made.attacks:
        if attack.cases.size:
            lost[attack.cases] = attack.lost
    assert (made.scans.day[known] >= np.floor(lost[case])).all()
    diverted = made.scans.attack >= 0
    taken = [made.attacks[number].first_day for number in made.scans.attack[diverted]]
    assert (made.scans.day[diverted] >= np.floor(taken)).all()


def test_no_case_is_diverted_twice() -> None:
    cases = np.concatenate([attack.cases for attack in world().attacks])
    assert np.unique(cases).size == cases.size


def test_an_item_is_scanned_first_once_and_codes_are_never_alike() -> None:
    made = world()
    codes = serials(np.arange(200_000), made.goods.multiplier, made.goods.offset)
    assert len(set(codes)) == 200_000
    first, counts = np.unique(made.scans.item[made.scans.attack < 0], return_counts=True)
    assert counts.mean() < 1.2
    assert first.size / made.goods.item_count == pytest.approx(0.05, abs=0.015)


def test_who_is_entitled_is_the_last_dealer_whose_papers_have_come() -> None:
    table = Shipments()
    both = np.array([0.0, 1.0])
    ways = table.add(
        sender=both, receiver=both + 1, departed=both, arrived=both + 1, document=np.array([9.0, 2.0]), kind=both
    )
    routes = Routes(table, ways[None, :])
    assert routes.entitled(np.zeros(3, np.int64), np.array([1.0, 5.0, 10.0])).tolist() == [0, 2, 2]


def test_a_swapped_city_is_foreign_from_that_day_on() -> None:
    made = world()
    swap = made.network.swaps[0]
    lost = np.setdiff1d(made.network.dealers[swap.dealer].counties, swap.counties)
    dealer = np.full(lost.size, swap.dealer)
    assert made.network.may_sell(dealer, lost, np.full(lost.size, swap.day - 0.1)).all()
    assert not made.network.may_sell(dealer, lost, np.full(lost.size, swap.day + 0.1)).any()


def test_travel_follows_lines_and_corridors_rather_than_distance() -> None:
    land, nature = load_land(), draw_nature(Request(seed=1))
    mobility = Mobility(land, nature, 365, np.random.default_rng(1))
    home = np.full(4000, land.counties.adcodes.index("411503"))  # Xinyang, on the line from Beijing to Shenzhen

    def cities(mode: int) -> set[str]:
        found = mobility.destinations(home, np.full(home.size, mode), np.random.default_rng(2))
        codes, counts = np.unique(land.county_city[found], return_counts=True)
        return {land.cities.adcodes[code] for code in codes[np.argsort(-counts)][:12]}

    assert len(cities(RAIL_MODE) & {"110100", "110000", "130100", "410100", "420100", "430100", "440100", "440300"}) > 3
    assert not cities(COMMUTE) & {"440100", "310000"}
    assert cities(SUMMER) != cities(MIGRATION)


def test_the_obvious_rule_counts_cases_not_scans() -> None:
    made = world()
    chosen = np.flatnonzero((made.scans.case >= 0) & made.scans.seen.located)[:1]
    alone = made.scans.taken(np.repeat(chosen, 5))
    judged = (np.full(5, 7), np.ones(5, np.bool_))
    assert measure(made.land, alone, judged, []).alerts == 0
    alone.case = np.arange(5)
    assert measure(made.land, alone, judged, []).alerts == 1


def test_an_alert_of_the_rule_is_right_only_for_the_dealer_the_province_and_from_the_first_day_on() -> None:
    made = world()
    scans = made.scans.taken(np.flatnonzero((made.scans.case >= 0) & made.scans.seen.located)[:1].repeat(3))
    scans.case = np.arange(3)
    city = scans.seen.city[:1]
    judged = (np.full(3, 7), np.ones(3, np.bool_))

    def right(dealer: int, day: float) -> int:
        attack = Attack("A1", "bulk", dealer, (dealer,), city, day, np.arange(3), np.zeros(3))
        return measure(made.land, scans, judged, [attack]).right

    first = float(scans.day[0])
    assert (right(7, first - 1), right(8, first - 1), right(7, first + 1)) == (1, 0, 0)


def test_events_come_back_by_their_arrival_and_some_twice() -> None:
    request = Request(seed=5)
    nature = draw_nature(request)
    ledger = Ledger(request, nature, np.random.default_rng(1))
    names = ledger.ids(5000)
    assert len(set(names)) == 5000
    received = np.random.default_rng(2).permutation(5000)
    ledger.add([f"{number:05}".encode() for number in received], received)
    lines = list(ledger.in_order())
    assert 5000 < len(lines) < 5300
    firsts = list(dict.fromkeys(lines))
    assert firsts == sorted(firsts)


def test_a_reader_out_of_order_tells_nothing_and_one_offline_tells_late() -> None:
    request = Request(seed=5)
    ledger = Ledger(request, draw_nature(request), np.random.default_rng(1))
    never, window, right = np.full((1, 2), np.inf), np.array([[10.0, 12.0]]), np.zeros(1)
    assert ledger.tell(11.0, (Gaps(window, never, right), 0), {"type": "ship"}) is None
    late = ledger.tell(11.0, (Gaps(never, window, right), 0), {"type": "ship"})
    prompt = ledger.tell(11.5, (Gaps(never, never, right), 0), {"type": "ship"})
    order = list(dict.fromkeys(json.loads(line)["event_id"] for line in ledger.in_order()))
    assert order == [prompt, late]


def test_a_dealer_sells_where_its_units_say() -> None:
    land = load_land()
    dealer = Dealer("D1", 0, 1, "甲", "city", "general", ("320100",), np.array([5, 6]), 5)
    network = Network(land, [dealer])
    rows = np.zeros(3, np.int64)
    assert network.may_sell(rows, np.array([5, 6, 7]), np.zeros(3)).tolist() == [True, True, False]
    city = land.county_city[[5]]
    assert network.may_sell_in_city(rows[:1], city, np.zeros(1)).all()
