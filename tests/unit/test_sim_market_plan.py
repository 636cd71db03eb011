"""The plan of a market: the same for a seed, honest where it must be, and with the diversion that it says it has."""

from collections import defaultdict
from pathlib import Path

import msgspec
import numpy as np
import pytest
from sim_market_sample import write_market

from contracts import gs1
from contracts.errors import CodeError, ConfigurationError
from contracts.messages import Activity, Kind, Platform, Scan, decode_event, encode_event
from firmware_sim.market.people import distance_km, is_home, reading, somewhere_in
from firmware_sim.market.plan import Plan, make_plan
from firmware_sim.print_job import Dealer, Place, World, load_world

SEEDS = (1, 2, 3, 4, 5)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return load_world(write_market(tmp_path_factory.mktemp("world") / "market.json"))


def _place_of(scan: Scan, world: World) -> Place:
    assert scan.position is not None
    here = np.array([scan.position.lon, scan.position.lat])
    return min(world.places, key=lambda place: float(np.hypot(*(here - (place.lon, place.lat)))))


def _honest(plan: Plan, world: World) -> list[tuple[str, Place, bool]]:
    """Return the case, the city and whether it is foreign, of each honest consumer scan of an issued code."""
    case_of = {item: case for case in world.cases for item in case.items}
    diverted = {sscc for attack in plan.truth["attacks"] for sscc in attack.get("cases", ())}
    found = []
    for planned in plan.scans:
        case = case_of.get(planned.scan.code)
        if case is None or case.sscc in diverted or planned.scan.position is None:
            continue
        if planned.scan.activity is Activity.CONSUMER:
            place = _place_of(planned.scan, world)
            found.append((case.sscc, place, not is_home(place, world.dealer_of_order[case.order])))
    return found


def _names_an_item(code: str) -> bool:
    try:
        return gs1.parse(code).is_item
    except CodeError:
        return False


def test_a_seed_gives_one_plan_and_another_seed_another(world: World) -> None:
    first, again, other = (msgspec.json.encode(make_plan(world, seed, attack=True)) for seed in (7, 7, 8))
    assert first == again
    assert first != other


@pytest.mark.parametrize("seed", SEEDS)
def test_a_fifth_of_honest_scans_is_foreign_and_never_three_cases_of_a_dealer_in_a_city(
    world: World, seed: int
) -> None:
    honest = _honest(make_plan(world, seed, attack=False), world)
    dealers = {case.sscc: world.dealer_of_order[case.order].id for case in world.cases}
    cities: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for sscc, place, foreign in honest:
        if foreign:
            cities[dealers[sscc], place.adcode].add(sscc)
    share = sum(foreign for _, _, foreign in honest) / len(honest)
    assert 0.12 < share < 0.26
    assert max(map(len, cities.values())) <= 2
    assert len({city for _, city in cities}) >= 20


@pytest.mark.parametrize("seed", SEEDS)
def test_a_diversion_shows_twelve_cases_of_one_dealer_in_one_far_city_within_fifteen_seconds(
    world: World, seed: int
) -> None:
    plan = make_plan(world, seed, attack=True)
    attack = plan.truth["attacks"][0]
    case_of = {item: case.sscc for case in world.cases for item in case.items}
    told = [planned for planned in plan.scans if case_of.get(planned.scan.code) in attack["cases"]]
    soon = [planned for planned in told if not planned.later]
    assert len({case_of[planned.scan.code] for planned in soon}) >= 12
    assert max(planned.after for planned in soon) - min(planned.after for planned in soon) <= 15
    assert {_place_of(planned.scan, world).adcode for planned in told} == {attack["destinations"][0]["adcode"]}
    dealer = next(dealer for dealer in world.dealers if dealer.id == attack["dealer"])
    city = next(place for place in world.places if place.adcode == attack["destinations"][0]["adcode"])
    assert not is_home(city, dealer)
    assert distance_km(dealer, city) >= 800
    assert {world.dealer_of_order[case.order].id for case in world.cases if case.sscc in attack["cases"]} == {dealer.id}


@pytest.mark.parametrize("seed", SEEDS)
def test_diverted_cases_are_sold_in_shops_all_over_the_city(world: World, seed: int) -> None:
    plan = make_plan(world, seed, attack=True)
    attack = plan.truth["attacks"][0]
    first = {code: case.sscc for case in world.cases for code in case.items[:1] if case.sscc in attack["cases"]}
    spots = [
        (planned.scan.position.lon, planned.scan.position.lat)
        for planned in plan.scans
        if planned.scan.code in first and planned.scan.position
    ]
    assert len(spots) >= 12
    apart = [
        distance_km(Dealer("", *here, ()), Place("", *there, 0, ""))
        for number, here in enumerate(spots)
        for there in spots[:number]
    ]
    # No one buyer, no one present: hardly two of them within two kilometres, and some further than one feast reaches.
    assert sorted(apart)[2] > 2
    assert max(apart) > 25


def test_without_attack_nothing_is_diverted_and_no_code_is_forged(world: World) -> None:
    plan = make_plan(world, 1, attack=False)
    assert plan.truth["attacks"] == []
    issued = {item for case in world.cases for item in case.items}
    scanned = [planned.scan for planned in plan.scans if planned.scan.symbology == "QRCode"]
    strangers = [scan.code for scan in scanned if scan.code not in issued]
    assert all(any(item.startswith(code) for item in issued) for code in strangers), "only fragments are strangers"


def test_every_item_comes_up_once_besides_slips_and_rescans(world: World) -> None:
    plan = make_plan(world, 2, attack=False)
    issued = {item for case in world.cases for item in case.items}
    codes = [planned.scan.code for planned in plan.scans if planned.scan.code in issued]
    assert set(codes) == issued
    assert len(codes) - len(issued) == plan.truth["honest"]["rescans"] > 5


def test_forged_codes_are_well_formed_and_were_never_issued(world: World) -> None:
    forged = make_plan(world, 3, attack=True).truth["attacks"][1]["items"]
    issued = {item for case in world.cases for item in case.items}
    assert len(forged) == 3
    assert not issued & set(forged)
    assert all(gs1.parse(code).is_item for code in forged)


def test_slips_are_no_issued_codes_and_fragments_name_no_item(world: World) -> None:
    issued = {item for case in world.cases for item in case.items}
    strange = [p.scan for p in make_plan(world, 4, attack=False).scans if p.scan.code not in issued]
    typed = [scan for scan in strange if scan.symbology == "Manual"]
    fragments = [scan for scan in strange if scan.symbology == "QRCode"]
    assert typed
    assert fragments
    assert all(_names_an_item(scan.code) for scan in typed)
    assert not any(_names_an_item(scan.code) for scan in fragments)


def test_every_planned_scan_keeps_the_contract(world: World) -> None:
    plan = make_plan(world, 5, attack=True)
    assert all(decode_event(Kind.SCAN, encode_event(planned.scan)) == planned.scan for planned in plan.scans)
    assert {planned.order for planned in plan.scans} == {order.id for order in world.orders}
    assert any(planned.scan.activity is Activity.INSPECT and planned.scan.operator for planned in plan.scans)
    assert any(planned.scan.position is None for planned in plan.scans)


def test_accuracy_radii_mean_what_each_platform_says(world: World) -> None:
    random = np.random.default_rng(1)
    place = world.places[0]
    inside: defaultdict[Platform, list[bool]] = defaultdict(list)
    for _ in range(4000):
        spot = somewhere_in(place, random)
        seen = reading(spot, random)
        if seen.crs != "wgs84":
            continue
        metres = np.hypot(
            (seen.lon - spot.lon) * 111_320 * np.cos(np.radians(spot.lat)), (seen.lat - spot.lat) * 110_950
        )
        inside[seen.platform].append(metres <= seen.accuracy_m)
    shares = {platform: float(np.mean(hits)) for platform, hits in inside.items()}
    assert shares[Platform.ANDROID] == pytest.approx(0.68, abs=0.04)
    assert shares[Platform.IOS] == pytest.approx(0.63, abs=0.04)
    assert shares[Platform.WEB] == pytest.approx(0.95, abs=0.04)


def test_a_world_without_a_large_order_cannot_be_attacked(world: World) -> None:
    small = msgspec.structs.replace(world, cases=world.cases[:5])
    with pytest.raises(ConfigurationError, match="12 cases"):
        make_plan(small, 1, attack=True)
    assert make_plan(small, 1, attack=False).scans


def test_a_print_job_that_contradicts_itself_is_refused(world: World, tmp_path: Path) -> None:
    file = tmp_path / "market.json"
    file.write_bytes(msgspec.json.encode(msgspec.structs.replace(world, orders=world.orders[1:])))
    with pytest.raises(ConfigurationError, match=world.orders[0].id):
        load_world(file)
    file.write_text("{}")
    with pytest.raises(ConfigurationError, match="no print job"):
        load_world(file)
