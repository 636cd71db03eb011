"""Installations that are restarted: every start prints a new run of cases, sells it honestly, and dumps some of it."""

import json
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from importlib import resources
from itertools import count

import pytest

from contracts.gs1 import label_uri
from contracts.tc20 import Tc20
from firmware_sim.market.people import is_home
from firmware_sim.market.plan import Plan, make_plan
from firmware_sim.print_job import Case, Dealer, Order, Place, World
from trace_service.detection.drip import LEAST_CASES, City, Hit, Score, Trade, flow_shares, weigh_city
from trace_service.places import load_places

RUNS, START = 8, datetime(2026, 3, 2, 8, tzinfo=UTC)
DEMO = json.loads(resources.files("trace_service").joinpath("demo.json").read_text("utf-8"))
PLACES = tuple(Place(each.adcode, each.lon, each.lat, each.population, each.name_en) for each in load_places())
DEALERS = {
    dealer["id"]: Dealer(dealer["id"], place.lon, place.lat, tuple(code.rstrip("0") for code in dealer["adcodes"]))
    for dealer in DEMO["dealers"]
    for place in PLACES
    if dealer.get("place") == place.adcode
}
Cell = tuple[str, str]


def world(run: int) -> World:
    codes, numbers, cases = Tc20(bytes(32), "qingyuan", 1), count(run * 1000), []
    orders = tuple(Order(f"SO-{run}-{number}", order["to"]) for number, order in enumerate(DEMO["orders"]))
    gtin = DEMO["products"][0]["gtin"]
    for order, planned in zip(orders, DEMO["orders"], strict=True):
        for _ in range(planned["cases"]):
            items = tuple(label_uri("id.example", gtin, codes.issue(gtin, next(numbers))) for _ in range(6))
            cases.append(Case(f"{run:06}{len(cases):012}", "", "qr", gtin, order.id, items))
    return World(f"R{run}", {}, (), tuple(DEALERS.values()), orders, tuple(cases), (), PLACES)


def sightings(world: World, plan: Plan, start: datetime) -> dict[tuple[str, str, str], Hit]:
    """Return the first sighting of each case in each city, by dealer, city and case."""
    case_of = {item: case for case in world.cases for item in case.items}
    found: dict[tuple[str, str, str], Hit] = {}
    for number, planned in enumerate(plan.scans):
        case, position = case_of.get(planned.scan.code), planned.scan.position
        if case is None or position is None:
            continue
        lon, lat = position.lon, position.lat
        city = min(PLACES, key=lambda place: (place.lon - lon) ** 2 + (place.lat - lat) ** 2)
        at = start + timedelta(seconds=30 + 2 * number if planned.later else planned.after)
        key = (world.dealer_of_order[case.order].id, city.adcode, case.sscc)
        found[key] = min(found.get(key, Hit(at, case.sscc, case.order)), Hit(at, case.sscc, case.order))
    return found


def weigh_all(found: dict[tuple[str, str, str], Hit]) -> dict[Cell, Score]:
    anywhere, here = defaultdict(list), defaultdict(list)
    for (dealer, city, _), hit in found.items():
        anywhere[dealer].append(hit)
        here[dealer, city].append(hit)
    trades = {dealer: Trade(hits) for dealer, hits in anywhere.items()}
    scores = {}
    for dealer in DEALERS.values():
        foreign = {p.adcode: City(p.lon, p.lat, p.population) for p in PLACES if not is_home(p, dealer)}
        shares = flow_shares((dealer.lon, dealer.lat), foreign)
        for city, share in shares.items():
            if len(here[dealer.id, city]) >= LEAST_CASES:
                scores[dealer.id, city] = weigh_city(here[dealer.id, city], trades[dealer.id], share)
    return scores


@pytest.mark.parametrize("seed", [1, 2])
def test_every_run_s_attack_is_found_whole_and_honest_traffic_of_all_runs_raises_nothing(seed: int) -> None:
    found: dict[tuple[str, str, str], Hit] = {}
    diverted: defaultdict[Cell, set[str]] = defaultdict(set)
    for run in range(RUNS):
        printed = world(run)
        plan = make_plan(printed, 100 * seed + run, attack=True)
        attack = plan.truth["attacks"][0]
        diverted[attack["dealer"], attack["destinations"][0]["adcode"]] |= set(attack["cases"])
        found |= sightings(printed, plan, START + run * timedelta(hours=1))
        alarming = {cell: score for cell, score in weigh_all(found).items() if score.alarming}
        assert alarming.keys() == diverted.keys()
        assert all(cases <= alarming[cell].cases for cell, cases in diverted.items())
