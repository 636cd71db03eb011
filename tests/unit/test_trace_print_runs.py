"""Installations that are restarted: every start prints a new run of cases, sells it honestly, and dumps some of it."""

import json
from collections import defaultdict
from collections.abc import Iterator
from importlib import resources
from itertools import count

import pytest

from contracts import gs1
from contracts.errors import CodeError
from contracts.gs1 import label_uri
from contracts.messages import Activity, Scan
from contracts.tc20 import Tc20
from firmware_sim.market.plan import Plan, make_plan
from firmware_sim.print_job import Case, Dealer, Order, Place, World
from trace_service.detection.changes import Alert, Change, Retracted
from trace_service.detection.engine import Engine
from trace_service.detection.network import Channel, Network, Territory
from trace_service.detection.network import Dealer as Member
from trace_service.detection.network import Place as City
from trace_service.detection.observations import CodeState, Goods, Position, Sighting, Source
from trace_service.places import load_places

RUNS, START, HOUR = 8, 1_772_438_400_000, 3_600_000
DEMO = json.loads(resources.files("trace_service").joinpath("demo.json").read_text("utf-8"))
PLACES = tuple(Place(each.adcode, each.lon, each.lat, each.population, each.name_en) for each in load_places())
DEALERS = {
    dealer["id"]: Dealer(dealer["id"], place.lon, place.lat, tuple(code.rstrip("0") for code in dealer["adcodes"]))
    for dealer in DEMO["dealers"]
    for place in PLACES
    if dealer.get("place") == place.adcode
}


def network() -> Network:
    cities = tuple(
        City(adcode=each.adcode, lat=each.lat, lon=each.lon, population=each.population, city=each.adcode)
        for each in PLACES
    )
    members = tuple(
        Member(id=each["id"], parent=each["parent"], level=1, kind=each["kind"], lat=35.0, lon=104.0)
        for each in DEMO["dealers"]
    )
    territories = tuple(
        Territory(dealer=each["id"], adcodes=tuple(each["adcodes"]), valid_from=0)
        for each in DEMO["dealers"]
        if each["adcodes"]
    )
    return Network(Channel(dealers=members, territories=territories, places=cities))


def world(run: int) -> World:
    codes, numbers, cases = Tc20(bytes(32), "qingyuan", 1), count(run * 1000), []
    orders = tuple(Order(f"SO-{run}-{number}", order["to"]) for number, order in enumerate(DEMO["orders"]))
    gtin = DEMO["products"][0]["gtin"]
    for order, planned in zip(orders, DEMO["orders"], strict=True):
        for _ in range(planned["cases"]):
            items = tuple(label_uri("id.example", gtin, codes.issue(gtin, next(numbers))) for _ in range(6))
            cases.append(Case(f"{run:06}{len(cases):012}", "", "qr", gtin, order.id, items))
    return World(f"R{run}", {}, (), tuple(DEALERS.values()), orders, tuple(cases), (), PLACES)


def sightings(world: World, plan: Plan, start: int) -> Iterator[Sighting]:
    """Yield what the worker would tell of the plan's scans, in the order of their times."""
    case_of = {item: case for case in world.cases for item in case.items}
    for number, planned in enumerate(plan.scans):
        scan = planned.scan
        case = case_of.get(scan.code)
        goods = _stranger(scan) if case is None else _known(world, case, scan)
        at = start + round(1000 * (30 + 2 * number if planned.later else planned.after))
        yield Sighting(
            key=f"{world.run}/{number}",
            event=f"{world.run}/{number}",
            kind="inspect" if scan.activity is Activity.INSPECT else "scan",
            goods=goods,
            position=_position(scan),
            occurred_at=at,
            received_at=at,
        )


def _known(world: World, case: Case, scan: Scan) -> Goods:
    dealer = world.dealer_of_order[case.order].id
    return Goods(unit=scan.code, case=case.sscc, product=case.gtin, dealer=dealer, shipment=case.order)


def _stranger(scan: Scan) -> Goods:
    """Return a code that nobody issued: what was typed is a slip, whatever its form."""
    try:
        code = gs1.parse(scan.code)
    except CodeError:
        return Goods(unit=scan.code, state=CodeState.UNKNOWN)
    product = code.gtin if code.is_item and scan.symbology != "Manual" else None
    return Goods(unit=code.key, product=product, state=CodeState.UNKNOWN)


def _position(scan: Scan) -> Position:
    if scan.position is None:
        return Position(source=Source.NONE)
    here = scan.position
    return Position(source=Source.GPS, lat=here.lat, lon=here.lon, accuracy_m=here.accuracy_m)


class Standing:
    """What stands of what an engine said."""

    def __init__(self) -> None:
        self.alerts: dict[str, Alert] = {}

    def take(self, changes: list[Change]) -> None:
        for change in changes:
            self.alerts[change.alert.number] = change.alert
            if isinstance(change, Retracted):
                del self.alerts[change.alert.number]

    def diversions(self) -> dict[tuple[str | None, str | None], set[str]]:
        found: defaultdict[tuple[str | None, str | None], set[str]] = defaultdict(set)
        for alert in self.alerts.values():
            if alert.detector != "forged":
                found[alert.dealer, alert.adcode] |= set(alert.cases)
        return dict(found)


@pytest.mark.parametrize("seed", [1, 2])
def test_every_run_s_attack_is_found_and_nobody_else_is_accused(seed: int) -> None:
    engine, standing = Engine(network()), Standing()
    diverted: defaultdict[tuple[str | None, str | None], set[str]] = defaultdict(set)
    for run in range(RUNS):
        printed = world(run)
        plan = make_plan(printed, 100 * seed + run, attack=True)
        attack = plan.truth["attacks"][0]
        diverted[attack["dealer"], attack["destinations"][0]["adcode"]] |= set(attack["cases"])
        for sighting in sightings(printed, plan, START + run * HOUR):
            standing.take(engine.observe(sighting))
        found = standing.diversions()
        assert found.keys() == diverted.keys()
        assert all(len(cases) >= 12 and cases <= diverted[place] for place, cases in found.items())


def test_the_honest_market_of_all_runs_raises_nothing_not_even_days_later() -> None:
    engine, standing = Engine(network()), Standing()
    for run in range(RUNS):
        printed = world(run)
        for sighting in sightings(printed, make_plan(printed, 300 + run, attack=False), START + run * HOUR):
            standing.take(engine.observe(sighting))
    standing.take(engine.advance(START + 100 * HOUR))
    assert standing.alerts == {}
