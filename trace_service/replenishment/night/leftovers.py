"""What to do with goods that are expected to be left: sent on, marked down or taken back, as rows of proposals."""

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import replace
from math import ceil
from typing import Final

import numpy as np

from trace_service.replenishment.night.actions import Surplus
from trace_service.replenishment.night.kinds import HANDLING, PER_KM, TRIP, Proposed, kilometres, proposed
from trace_service.replenishment.night.planning import Plan
from trace_service.replenishment.night.records import LEAST_CERTAINTY, LEAST_EVIDENCE, Records

_MARKDOWN: Final = 0.3


def leftovers(records: Records, plan: Plan) -> list[Proposed]:
    """Return what to do with what is expected to be left of lots near their last day, and of what hardly moves.

    It goes to stores of the same dealer that can still sell it; the rest is marked down, or taken back once it is over.
    A product's first lot to expire is looked at first, and the next one once that is decided.
    """
    found: dict[tuple[int, str], list[Proposed]] = {}
    stores = _Stores(records, plan)
    for surplus in plan.expiring:
        if not _known(records, plan, surplus.series):
            continue
        moves = _sent_on(records, plan, surplus, stores) if surplus.action == "transfer" else []
        left = surplus.unsold - sum(each["quantity"] for each in moves)
        if moves and (surplus.series, "transfer") not in found:
            found[surplus.series, "transfer"] = moves
            stores.promise(surplus.series, moves)
        if round(left) > 0:
            rest = replace(surplus, unsold=round(left, 2))
            found.setdefault((surplus.series, "markdown"), [_marked_down(records, plan, "near_expiry", rest)])
    expiring = {series for series, _ in found}
    for surplus in plan.slow:
        if surplus.series not in expiring and _known(records, plan, surplus.series):
            found[surplus.series, "markdown"] = [_marked_down(records, plan, "slow_mover", surplus)]
    return [each for rows in found.values() for each in rows]


def _known(records: Records, plan: Plan, at: int) -> bool:
    row = records.rows[at]
    return bool(row.seen and row.certainty >= LEAST_CERTAINTY and plan.evidence[at] >= LEAST_EVIDENCE)


def _marked_down(records: Records, plan: Plan, code: str, surplus: Surplus) -> Proposed:
    units, action = max(1, ceil(surplus.unsold)), "return" if surplus.action == "return" else "markdown"
    parameters = {"stock": surplus.units, "left": surplus.unsold, "days": surplus.days, "p_sold": surplus.p_sold,
                  "action": action}  # fmt: skip
    share = 1.0 if action == "return" else _MARKDOWN
    cost = round(float(records.rows[surplus.series].unit_price) * units * share, 2)
    return proposed(records, plan, surplus.series, ("markdown", units, code, parameters)) | {"cost": cost}


class _Stores:
    """The places of each dealer and product whose demand and whereabouts are known, and what they are to be sent."""

    def __init__(self, records: Records, plan: Plan) -> None:
        self._own: dict[tuple[str, str], set[int]] = defaultdict(set)
        self._at = {(row.site, row.gtin): at for at, row in enumerate(records.rows)}
        self._promised: dict[int, Counter[int]] = defaultdict(Counter)
        for at, row in enumerate(records.rows):
            if row.dealer is not None and None not in {row.lon, row.lat} and plan.evidence[at] >= LEAST_EVIDENCE:
                self._own[row.dealer, row.gtin].add(at)

    def of(self, dealer: str | None, gtin: str) -> Collection[int]:
        """Return a dealer's places with a product."""
        return self._own.get((dealer, gtin), ()) if dealer is not None else ()

    def promise(self, giver: int, moves: Sequence[Proposed]) -> None:
        """Note what others can send there no more."""
        for each in moves:
            self._promised[self._at[each["to_site"], each["gtin"]]][giver] = each["quantity"]

    def promised(self, taker: int, giver: int) -> int:
        """Return what a place is to be sent by others than the giver."""
        known = self._promised.get(taker, Counter())
        return known.total() - known[giver]


def _sent_on(records: Records, plan: Plan, surplus: Surplus, stores: _Stores) -> list[Proposed]:
    """Return moves of what would be left to stores of the dealer that sell it before its last day, and pay the trip."""
    giver, left = records.rows[surplus.series], round(surplus.unsold)
    position = records.stock.on_hand + records.stock.on_order
    takers = []
    own = stores.of(giver.dealer, giver.gtin)
    for at in own if surplus.series in own else ():
        # A day is lost on the way.
        sold = int(plan.demand.mean[at] * max(surplus.days - 1, 0))
        there = int(position[at]) + stores.promised(at, surplus.series)
        takers.append((min(sold, int(plan.lines.maximum[at])) - there, at))
    found = []
    for room, at in sorted(takers, key=lambda taker: (-taker[0], taker[1])):
        units = min(room, left)
        if units <= 0:
            break
        if at == surplus.series:
            continue
        spots = kilometres([(each.lon, each.lat) for each in (giver, records.rows[at])])
        freight = units * HANDLING + TRIP + PER_KM * float(np.hypot(*(spots[0] - spots[1])))
        if freight < units * float(giver.unit_price) * _MARKDOWN:
            parameters = {"stock": surplus.units, "left": surplus.unsold, "days": surplus.days,
                          "to_stock": int(position[at]), "freight": round(freight, 2)}  # fmt: skip
            move = proposed(records, plan, surplus.series, ("transfer", units, "sent_on", parameters))
            found.append(move | {"to_site": records.rows[at].site, "cost": round(freight, 2)})
            left -= units
    return found
