"""The proposals that only a run makes: transfers, markdowns and counts, as rows."""

from collections import defaultdict
from datetime import timedelta
from math import ceil, cos, hypot, radians
from typing import Any, Final

import numpy as np

from trace_service.replenishment.kernel import Floats
from trace_service.replenishment.planning import Plan
from trace_service.replenishment.records import LEAST_CERTAINTY, Records
from trace_service.replenishment.shortfall import stockout
from trace_service.replenishment.transfer import Goods, goods, solve
from trace_service.stock.counting import Candidate, count_list

KINDS: Final = ("transfer", "markdown", "count")
MARGIN: Final = 0.3
_HANDLING: Final = 0.5
_PER_KM: Final = 0.01
_KM_A_DEGREE: Final = 111.2
_MARKDOWN: Final = 0.3
_MOST_COUNTS: Final = 20
_LEAST_COUNT_VALUE: Final = 1.0
_LEAST_EVIDENCE: Final = 0.5

Proposed = dict[str, Any]


def transfers(records: Records, plan: Plan) -> list[Proposed]:
    """Return moves between stores of one dealer: between dealers they would be the diversion that is watched for."""
    groups: dict[tuple[str, str], list[int]] = defaultdict(list)
    for at, row in enumerate(records.rows):
        sure = row.seen and row.certainty >= LEAST_CERTAINTY and plan.evidence[at] >= _LEAST_EVIDENCE
        if row.dealer is not None and sure:
            groups[row.dealer, row.gtin].append(at)
    return [move for own in groups.values() if len(own) > 1 for move in _moves(records, plan, own)]


def _moves(records: Records, plan: Plan, own: list[int]) -> list[Proposed]:
    rows = [records.rows[at] for at in own]
    mean, ratio = plan.demand.over(plan.lead.mean + 1.0, plan.lead.variance)
    mean, ratio = mean[own], ratio[own]
    position = (records.stock.on_hand + records.stock.on_order)[own]
    product = goods(position, mean, ratio, MARGIN * float(rows[0].unit_price))
    freight = _freight(rows)
    # What is on its way cannot be sent on.
    spare = np.minimum(product.spare, records.stock.on_hand[own])
    moves = solve(Goods(spare, product.worth), freight)
    found = []
    for sender, receiver, units in zip(moves.sender, moves.receiver, moves.units, strict=True):
        risk, after = (float(stockout(mean[[receiver]], ratio[[receiver]], position[[receiver]] + more)[0])
                       for more in (0, int(units)))  # fmt: skip
        cost = round(float(units * freight[sender, receiver]), 2)
        parameters = {"to_stock": int(position[receiver]), "stock": int(position[sender]), "freight": cost,
                      "kept": int(position[sender] - units), "p_stockout": round(risk, 3),
                      "p_stockout_after": round(after, 3)}  # fmt: skip
        found.append(
            _row(records, plan, own[int(sender)], ("transfer", int(units), "surplus_elsewhere", parameters))
            | {"to_site": rows[int(receiver)].site, "p_without": risk, "p_with": after, "cost": cost}
        )
    return found


def _freight(rows: list[Any]) -> Floats:
    """Return the cost of a unit from row to column: handling, and its share of the road."""
    found = np.full((len(rows), len(rows)), np.inf)
    for at, one in enumerate(rows):
        for to, other in enumerate(rows):
            if at != to and None not in {one.lon, other.lon}:
                east = (one.lon - other.lon) * cos(radians(one.lat))
                found[at, to] = _HANDLING + _PER_KM * _KM_A_DEGREE * hypot(east, one.lat - other.lat)
    return found


def markdowns(records: Records, plan: Plan) -> list[Proposed]:
    """Return what is expected to be left of lots near their last day and of products that hardly move."""
    found: dict[int, Proposed] = {}
    for code, surplus in [("slow_mover", each) for each in plan.slow] + [
        ("near_expiry", each) for each in plan.expiring
    ]:
        row = records.rows[surplus.series]
        if not row.seen or row.certainty < LEAST_CERTAINTY or plan.evidence[surplus.series] < _LEAST_EVIDENCE:
            continue
        units = max(1, ceil(surplus.unsold))
        parameters = {"stock": surplus.units, "left": surplus.unsold, "days": surplus.days, "p_sold": surplus.p_sold,
                      "action": surplus.action}  # fmt: skip
        cost = round(float(row.unit_price) * units * _MARKDOWN, 2)
        before = found.get(surplus.series)
        if before is None or code == "near_expiry":
            proposed = _row(records, plan, surplus.series, ("markdown", units, code, parameters))
            found[surplus.series] = proposed | {"cost": cost}
    return list(found.values())


def counts(records: Records) -> list[Proposed]:
    """Return the figures whose count is worth most."""
    places = {(row.site, row.gtin): at for at, row in enumerate(records.rows)}
    candidates = [
        Candidate(row.site, row.gtin, row.quantity if row.seen else None, row.certainty, row.daily_demand,
                  float(row.unit_price), float(row.days), row.findings)
        for row in records.rows if row.seen and (row.certainty < LEAST_CERTAINTY or row.findings)
    ]  # fmt: skip
    found = []
    for each in count_list(candidates)[:_MOST_COUNTS]:
        if each.value < _LEAST_COUNT_VALUE:
            break
        at = places[each.candidate.site, each.candidate.gtin]
        parameters = {"stock": records.rows[at].quantity, "p_wrong": each.p_wrong, "value": each.value}
        found.append(
            _row(records, None, at, ("count", max(1, records.rows[at].quantity), "figure_uncertain", parameters))
        )
    return found


def _row(records: Records, plan: Plan | None, at: int, what: tuple[str, int, str, dict[str, Any]]) -> Proposed:
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
