"""The proposals that only a run makes: transfers and counts, as rows."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from math import cos, radians
from typing import Any, Final

import numpy as np

from trace_service.domain.counting import Candidate, count_list
from trace_service.replenishment.demand.kernel import Counts, Floats
from trace_service.replenishment.demand.shortfall import stockout
from trace_service.replenishment.night.lanes import plan as plan_lanes
from trace_service.replenishment.night.lanes import regions
from trace_service.replenishment.night.planning import Plan
from trace_service.replenishment.night.records import LEAST_CERTAINTY, LEAST_EVIDENCE, Records
from trace_service.replenishment.night.transfer import Goods, goods

KINDS: Final = ("transfer", "markdown", "count")
MARGIN: Final = 0.3
HANDLING: Final = 0.5
TRIP: Final = 10.0
PER_KM: Final = 1.5
_REGION: Final = 25
_KM_A_DEGREE: Final = 111.2
_MOST_COUNTS: Final = 20
_LEAST_COUNT_VALUE: Final = 1.0

Proposed = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Stores:
    """One dealer's stores: their sites, where they are, and the row of each (store, product)."""

    sites: list[str]
    places: Floats
    rows: dict[str, list[tuple[int, int]]]


def transfers(records: Records, plan: Plan) -> list[Proposed]:
    """Return moves between stores of one dealer: between dealers they would be the diversion that is watched for.

    A lane's trip is paid once for all that goes over it, so that all products of a dealer are planned together.
    """
    return [move for stores in _dealers(records, plan) for move in _moves(records, plan, stores)]


def _dealers(records: Records, plan: Plan) -> list[_Stores]:
    """Return the stores of each dealer with two or more whose figures can be relied on and whose place is known."""
    groups: dict[str, list[int]] = defaultdict(list)
    for at, row in enumerate(records.rows):
        sure = row.seen and row.certainty >= LEAST_CERTAINTY and plan.evidence[at] >= LEAST_EVIDENCE
        if row.dealer is not None and sure and None not in {row.lon, row.lat}:
            groups[row.dealer].append(at)
    found = []
    for own in groups.values():
        spots = {records.rows[at].site: (records.rows[at].lon, records.rows[at].lat) for at in own}
        sites = sorted(spots)
        rows: dict[str, list[tuple[int, int]]] = defaultdict(list)
        for at in own:
            rows[records.rows[at].gtin].append((sites.index(records.rows[at].site), at))
        shared = {gtin: each for gtin, each in rows.items() if len(each) > 1}
        if shared:
            found.append(_Stores(sites, kilometres([spots[site] for site in sites]), shared))
    return found


def _moves(records: Records, plan: Plan, stores: _Stores) -> list[Proposed]:
    mean, ratio = plan.demand.over(plan.lead.mean + 1.0, plan.lead.variance)
    position = records.stock.on_hand + records.stock.on_order
    products = [_goods(records, (position, mean, ratio), stores, gtin) for gtin in stores.rows]
    distance = np.hypot(*(stores.places[:, None] - stores.places[None]).transpose(2, 0, 1))
    freight = np.full(distance.shape, HANDLING)
    np.fill_diagonal(freight, np.inf)
    trip = TRIP + PER_KM * distance
    region = regions(stores.places, _REGION) if len(stores.sites) > _REGION else None
    planned = plan_lanes(products, freight, trip, region).moves
    if not planned:
        return []
    carried = np.zeros(distance.shape)
    for moves in planned:
        np.add.at(carried, (moves.sender, moves.receiver), moves.units)
    found = []
    for own, moves in zip(stores.rows.values(), planned, strict=True):
        place = dict(own)
        for sender, receiver, units in zip(moves.sender, moves.receiver, moves.units.tolist(), strict=True):
            to = place[int(receiver)]
            risks = [float(stockout(mean[[to]], ratio[[to]], position[[to]] + more)[0]) for more in (0, units)]
            cost = units * (HANDLING + trip[sender, receiver] / carried[sender, receiver])
            held = int(position[place[int(sender)]]), int(position[to])
            found.append(_move(records, plan, (place[int(sender)], to), (units, float(cost), *risks, *held)))
    return found


def _move(
    records: Records, plan: Plan, at: tuple[int, int], what: tuple[int, float, float, float, int, int]
) -> Proposed:
    units, cost, risk, after, stock, to_stock = what
    parameters = {"to_stock": to_stock, "stock": stock, "freight": round(cost, 2), "kept": stock - units,
                  "p_stockout": round(risk, 3), "p_stockout_after": round(after, 3)}  # fmt: skip
    found = proposed(records, plan, at[0], ("transfer", units, "surplus_elsewhere", parameters))
    to_site = records.rows[at[1]].site
    return found | {"to_site": to_site, "p_without": round(risk, 3), "p_with": round(after, 3), "cost": round(cost, 2)}


def _goods(records: Records, figures: tuple[Counts, Floats, Floats], stores: _Stores, gtin: str) -> Goods:
    """Return what each of the dealer's stores can give and gain of a product; those that do not have it, nothing."""
    spots, at = (np.array(each) for each in zip(*stores.rows[gtin], strict=True))
    position, mean, ratio = (each[at] for each in figures)
    own = goods(position, mean, ratio, MARGIN * float(records.rows[int(at[0])].unit_price))
    spare = np.zeros(len(stores.sites), dtype=np.int64)
    # What is on its way cannot be sent on.
    spare[spots] = np.minimum(own.spare, records.stock.on_hand[at])
    worth = np.zeros((len(stores.sites), own.worth.shape[1]))
    worth[spots] = own.worth
    return Goods(spare, worth)


def kilometres(spots: list[tuple[float, float]]) -> Floats:
    """Return the places on a flat map, in kilometres."""
    middle = radians(sum(lat for _, lat in spots) / len(spots))
    return np.array([(lon * cos(middle) * _KM_A_DEGREE, lat * _KM_A_DEGREE) for lon, lat in spots])


def counts(records: Records, candidates: Iterable[Any]) -> list[Proposed]:
    """Return the figures whose count is worth most; `candidates` are rows with the fields of `Candidate`."""
    places = {(row.site, row.gtin): at for at, row in enumerate(records.rows)}
    found = []
    # A place that came since the run read its records is counted by the next one.
    known = (Candidate(*row) for row in candidates if (row.site, row.gtin) in places)
    for each in count_list(known)[:_MOST_COUNTS]:
        if each.value < _LEAST_COUNT_VALUE:
            break
        at = places[each.candidate.site, each.candidate.gtin]
        parameters = {"stock": records.rows[at].quantity, "p_wrong": each.p_wrong, "value": each.value}
        found.append(
            proposed(records, None, at, ("count", max(1, records.rows[at].quantity), "figure_uncertain", parameters))
        )
    return found


def proposed(records: Records, plan: Plan | None, at: int, what: tuple[str, int, str, dict[str, Any]]) -> Proposed:
    """Return one proposal about a place; `what` is its kind, quantity, code and parameters."""
    kind, quantity, code, parameters = what
    row = records.rows[at]
    confidence = float(row.certainty) * (1.0 if plan is None else float(plan.evidence[at]))
    return {
        "kind": kind, "site": row.site, "to_site": None, "gtin": row.gtin, "dealer": row.dealer, "quantity": quantity,
        "need_by": records.today + timedelta(days=1), "reason": {"code": code, "parameters": parameters},
        "device": None, "boot": None, "seq": None, "p_without": None, "p_with": None, "cost": None,
        "confidence": round(confidence, 3), "model": "count-1" if plan is None else plan.model,
        "inputs": {"history_days": len(records.history.days)},
    }  # fmt: skip
