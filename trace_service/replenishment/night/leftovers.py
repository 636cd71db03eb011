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


def leftovers(records: Records, plan: Plan, urgent: Sequence[Proposed]) -> list[Proposed]:
    """Return what to do with what is expected to be left of lots near their last day, and of what hardly moves.

    It goes to stores of the same dealer that can still sell it; the rest is marked down, or taken back once it is over.
    A product's first lot to expire is looked at first, and the next one once that is decided. What the `urgent` moves
    take is no longer left, and what they bring fills its taker; where more goes the same way, one move holds both, and
    takes the urgent one's place.
    """
    found: dict[tuple[int, str], list[Proposed]] = {}
    stores = _Stores(records, plan, urgent)
    for surplus in plan.expiring:
        if not _known(records, plan, surplus.series):
            continue
        left = surplus.unsold - stores.take(surplus)
        moves = _sent_on(records, plan, surplus, stores, left) if surplus.action == "transfer" else []
        left -= sum(each["quantity"] for each in moves)
        if moves and (surplus.series, "transfer") not in found:
            found[surplus.series, "transfer"] = [stores.with_urgent(each) for each in moves]
            stores.promise(surplus.series, moves)
        if round(left) > 0:
            rest = replace(surplus, unsold=round(left, 2))
            found.setdefault((surplus.series, "markdown"), [_marked_down(records, plan, "near_expiry", rest)])
    expiring = {series for series, _ in found}
    for surplus in plan.slow:
        rest = replace(surplus, unsold=round(surplus.unsold - stores.given[surplus.series], 2))
        if surplus.series not in expiring and _known(records, plan, surplus.series) and rest.unsold > 0:
            found[surplus.series, "markdown"] = [_marked_down(records, plan, "slow_mover", rest)]
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
    """The places of each dealer and product whose demand and whereabouts are known, and what they are to be sent.

    `given` is how much the urgent moves take from a place.
    """

    def __init__(self, records: Records, plan: Plan, urgent: Sequence[Proposed]) -> None:
        self._own: dict[tuple[str, str], set[int]] = defaultdict(set)
        self._at = {(row.site, row.gtin): at for at, row in enumerate(records.rows)}
        self._promised: dict[int, Counter[int]] = defaultdict(Counter)
        for at, row in enumerate(records.rows):
            if row.dealer is not None and None not in {row.lon, row.lat} and plan.evidence[at] >= LEAST_EVIDENCE:
                self._own[row.dealer, row.gtin].add(at)
        self._urgent = {self._lane(each): each for each in urgent}
        self.given: Counter[int] = Counter()
        self._brought: Counter[int] = Counter()
        for (giver, taker), each in self._urgent.items():
            self.given[giver] += each["quantity"]
            self._brought[taker] += each["quantity"]
        self._untaken = self.given.copy()

    def _lane(self, move: Proposed) -> tuple[int, int]:
        return self._at[move["site"], move["gtin"]], self._at[move["to_site"], move["gtin"]]

    def of(self, dealer: str | None, gtin: str) -> Collection[int]:
        """Return a dealer's places with a product."""
        return self._own.get((dealer, gtin), ()) if dealer is not None else ()

    def take(self, surplus: Surplus) -> float:
        """Return how much of what would be left the urgent moves take; nothing of what could not be sold elsewhere."""
        if surplus.days <= 1:
            return 0.0
        units = min(self._untaken[surplus.series], ceil(surplus.unsold))
        self._untaken[surplus.series] -= units
        return min(units, surplus.unsold)

    def goes(self, giver: int, taker: int) -> bool:
        """Return whether an urgent move of the product goes this way, whose trip is paid."""
        return (giver, taker) in self._urgent

    def with_urgent(self, move: Proposed) -> Proposed:
        """Return a move with what goes the same way urgently."""
        urgent = self._urgent.get(self._lane(move))
        if urgent is None:
            return move
        cost = round(move["cost"] + urgent["cost"], 2)
        parameters = move["reason"]["parameters"] | {"freight": cost}
        return move | {
            "quantity": move["quantity"] + urgent["quantity"], "cost": cost, "p_without": urgent["p_without"],
            "reason": move["reason"] | {"parameters": parameters},
        }  # fmt: skip

    def promise(self, giver: int, moves: Sequence[Proposed]) -> None:
        """Note what others can send there no more."""
        for each in moves:
            self._promised[self._at[each["to_site"], each["gtin"]]][giver] = each["quantity"]

    def promised(self, taker: int, giver: int) -> int:
        """Return what a place is to be sent by others than the giver, and what it is brought urgently."""
        known = self._promised.get(taker, Counter())
        return known.total() - known[giver] + self._brought[taker]


def _sent_on(records: Records, plan: Plan, surplus: Surplus, stores: _Stores, unsold: float) -> list[Proposed]:
    """Return moves of what would be left to stores of the dealer that sell it before its last day, and pay the trip."""
    giver = records.rows[surplus.series]
    left = min(round(unsold), int(records.stock.on_hand[surplus.series]) - stores.given[surplus.series])
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
        trip = 0.0 if stores.goes(surplus.series, at) else TRIP + PER_KM * float(np.hypot(*(spots[0] - spots[1])))
        freight = units * HANDLING + trip
        if freight < units * float(giver.unit_price) * _MARKDOWN:
            parameters = {"stock": surplus.units, "left": surplus.unsold, "days": surplus.days,
                          "to_stock": int(position[at]), "freight": round(freight, 2)}  # fmt: skip
            move = proposed(records, plan, surplus.series, ("transfer", units, "sent_on", parameters))
            found.append(move | {"to_site": records.rows[at].site, "cost": round(freight, 2)})
            left -= units
    return found
