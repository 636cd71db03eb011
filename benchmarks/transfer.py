"""Transfers between 100 stores of 500 products: HiGHS a product beside greedy moves and the programme of all lanes."""

import time
from typing import Any, Final

import highspy
import numpy as np

from benchmarks.frame import Figure, Outcome, Progress, Target
from trace_service.replenishment.demand.kernel import Floats
from trace_service.replenishment.night.lanes import plan, regions, value
from trace_service.replenishment.night.transfer import Goods, goods, greedy, solve

_untyped: Any = highspy  # its modelling layer comes without types
NODES: Final = 100
PRODUCTS: Final = 500
_GREEDY: Final = 60
_MARGIN: Final = 5.0
_REGION: Final = 25
# What rounding of sums may make of one gain.
_LEAST_GAIN: Final = 1e-6
_TRIP: Final = 24.0
_LANES: Final = 100
_TARGETS: Final = {
    "lp_cpu_s": Target("<=", 3),
    "lp_of_optimum": Target(">=", 0.999),
    "products_below_optimum": Target("==", 0),
}


def run(progress: Progress) -> Outcome:
    """Measure time and gain of all transfers, the share of the proven optimum, and trips with a fixed cost."""
    random = np.random.default_rng(3)
    places = random.uniform(0, 10, (NODES, 2))
    distance = np.hypot(*(places[:, None] - places[None]).transpose(2, 0, 1))
    freight = 0.2 + 0.15 * distance
    np.fill_diagonal(freight, np.inf)
    products = [_product(random) for _ in range(PRODUCTS)]
    progress(f"{PRODUCTS} programmes of {NODES} stores")
    began = time.process_time()
    moves = [solve(product, freight) for product in products]
    lp = time.process_time() - began
    progress(f"all lanes, {PRODUCTS} products")
    proven = np.array([_proven(product, freight) for product in products])
    short = proven - np.array([each.gain for each in moves])
    progress(f"greedy, {_GREEDY} products")
    began = time.process_time()
    simple = sum(greedy(product, freight).gain for product in products[:_GREEDY])
    slow = (time.process_time() - began) / _GREEDY * PRODUCTS
    figures: dict[str, Figure] = {
        "nodes": NODES,
        "products": PRODUCTS,
        "units_moved": int(sum(each.units.sum() for each in moves)),
        "lp_cpu_s": round(lp, 2),
        "lp_of_optimum": round(sum(each.gain for each in moves) / float(proven.sum()), 6),
        "products_below_optimum": int((short > _LEAST_GAIN).sum()),
        "greedy_cpu_s": round(slow, 2),
        "greedy_of_optimum": round(simple / sum(each.gain for each in moves[:_GREEDY]), 4),
    }
    return Outcome(figures | _lanes(products[:_LANES], freight, places, progress), _TARGETS)


def _lanes(products: list[Goods], freight: Floats, places: Floats, progress: Progress) -> dict[str, Figure]:
    """Plan with a fixed cost for each lane: by region, over all lanes at once, and without a thought of it."""
    progress(f"lanes with fixed costs, {len(products)} products")
    trip = np.full(freight.shape, _TRIP)
    began = time.process_time()
    clustered = plan(products, freight, trip, regions(places, _REGION))
    within = time.process_time() - began
    began = time.process_time()
    whole = plan(products, freight, trip)
    all_lanes = time.process_time() - began
    heedless = value(products, [solve(product, freight) for product in products], freight, trip)
    return {
        "regional_cpu_s": round(within, 2),
        "regional_lanes": clustered.lanes,
        "regional_gain": round(clustered.gain),
        "all_lanes_cpu_s": round(all_lanes, 2),
        "all_lanes_gain": round(whole.gain),
        "heedless_gain": round(heedless),
    }


def _product(random: np.random.Generator) -> Goods:
    """Draw one product: a third of the stores have too little of it, a third too much."""
    mean = random.gamma(0.8, 6, NODES) + 0.1
    ratio = 1.05 + random.gamma(1, 1.5, NODES)
    stock = random.poisson(mean * random.choice([0.2, 1, 3], NODES))
    return goods(stock, mean, ratio, _MARGIN)


def _proven(product: Goods, freight: Floats) -> float:
    """Solve the same product with every lane and HiGHS's own modelling layer; return the proven optimum."""
    model = _untyped.Highs()
    model.silent()
    senders = np.flatnonzero(product.spare > 0)
    receivers = np.flatnonzero(product.worth.sum(axis=1) > 0)
    flows = {
        (s, r): model.addVariable(0, float(product.spare[s]), obj=-float(freight[s, r]))
        for s in senders for r in receivers if s != r
    }  # fmt: skip
    for sender in senders:
        model.addConstr(sum(flows[sender, r] for r in receivers if r != sender) <= float(product.spare[sender]))
    for receiver in receivers:
        units = [model.addVariable(0, 1, obj=float(each)) for each in product.worth[receiver] if each > 0]
        model.addConstr(sum(units) <= sum(flows[s, receiver] for s in senders if s != receiver))
    model.setMaximize()
    model.solve()
    return float(model.getObjectiveValue())
