"""Attacks on request, beside those of every world: more of their types, and some that no world has by itself."""

from collections.abc import Callable
from typing import Final

import numpy as np
from msgspec import Struct

from firmware_sim.world.arrays import Bools, Floats, Ints, Random
from firmware_sim.world.attacks import Attackers
from firmware_sim.world.fates import Attack, Deed, Fates
from firmware_sim.world.goods import Goods
from firmware_sim.world.parameters import Extra, Request
from firmware_sim.world.routing import ORDER, RETURN, Routes

PALLETS_A_BATCH: Final = 4
_NEWS_DAYS: Final = 1.5
_RECALLED_AFTER: Final = (8.0, 45.0)
_EXPIRED_AFTER: Final = (12.0, 60.0)
_TRIES: Final = 400
_SOON_DAYS: Final = 10.0
_LEAST_CASES: Final = 4
_LONG_WAY_KM: Final = 250.0
_MORE: Final = ("drip", "bulk", "backflow", "skip", "rebind", "strip", "forged", "collusion")
"""Types of every world that may be asked for; those of `clone` and `promo` are asked for in ways of their own."""
_OWN: Final = ("clone", "promo", "recalled", "expired", "offroute", "dwell", "scattered", "invented")
REQUESTED: Final = (*_MORE, *_OWN)
_INVENTED: Final = ("0123456789", 9)


class Withheld(Struct):
    """Batches that must not move any more, by number: since when, why, and which dealer goes on all the same."""

    since: dict[int, float] = {}
    expired: set[int] = set()
    guilty: dict[int, tuple[int, int]] = {}  # dealer, attack
    heard: dict[int, float] = {}  # when the others stop

    def moves(self, batches: Ints, day: float, dealer: int) -> Bools:
        """Tell which cases, by their batches, a dealer moves on a day."""
        return np.array([
            day < self.heard.get(batch, np.inf) or self.guilty.get(batch, (-1, 0))[0] == dealer
            for batch in batches.tolist()
        ], np.bool_)  # fmt: skip

    def attack(self, batch: int, day: float, dealer: int) -> int | None:
        """Return the attack that a movement belongs to, None for an honest one."""
        guilty, attack = self.guilty.get(batch, (-1, 0))
        return attack if guilty == dealer and day >= self.since[batch] else None


class Requested:
    """Plans the attacks that somebody asked for, with dice of their own: no other world changes."""

    def __init__(self, attackers: Attackers, withheld: Withheld, request: Request, random: Random) -> None:
        self._attackers, self._withheld, self._request, self._random = attackers, withheld, request, random
        self._goods: Goods = attackers.goods
        self._routes: Routes = attackers.routes
        self._batches: Ints = self._goods.case_pallet // PALLETS_A_BATCH

    def plan(self, fates: Fates) -> None:
        """Append the attacks to the attackers' list, written into the fates of their cases."""
        makers: dict[str, Callable[[Fates, Extra], Attack | None]] = {
            "clone": self._copied, "recalled": self._withheld_batch, "expired": self._withheld_batch,
            "offroute": self._off_route, "dwell": self._hoard,
            "scattered": self._scattered, "invented": self._invented,
            **dict.fromkeys(_MORE, self._another),
        }  # fmt: skip
        for extra in self._request.extra:
            maker = makers.get(extra.type)
            for _ in range(extra.count if maker else 0):
                attack = maker(fates, extra) if maker else None
                if attack is not None:
                    self._attackers.attacks.append(attack)

    def _copied(self, fates: Fates, extra: Extra) -> Attack | None:
        return self._attackers.copied(fates, (extra.copies, extra.labels))

    def _another(self, fates: Fates, extra: Extra) -> Attack | None:
        return self._attackers.another(extra.type, fates, [])

    def _invented(self, fates: Fates, extra: Extra) -> Attack | None:
        """Make up labels in a form that the brand never printed."""
        del fates, extra
        return self._attackers.invented(*_INVENTED)

    def _scattered(self, fates: Fates, extra: Extra) -> Attack | None:
        del extra
        return self._attackers.scattered(fates)

    def _attack(self, name: str, parties: tuple[int, ...], cases: Ints, day: float) -> Attack:
        land, dealers = self._attackers.mobility.land, self._attackers.network.dealers
        city = land.county_city[[dealers[parties[0]].site]]
        number = f"A{len(self._attackers.attacks) + 1:03}"
        return Attack(number, name, parties[0], parties, city, day, cases, np.full(cases.size, day))

    def _withheld_batch(self, fates: Fates, extra: Extra) -> Attack | None:
        """Recall a batch, or let it expire, while it is under way; one of the dealers who have some goes on."""
        del fates
        table = self._routes.table
        left, sender = table.floats("departed"), table.ints("sender")
        for _ in range(_TRIES):
            batch = int(self._random.choice(self._batches))
            if batch in self._withheld.since:
                continue
            cases = np.flatnonzero(self._batches == batch)
            made = float(self._goods.lot_day[self._goods.case_lot[cases]].min())
            day = made + float(self._random.uniform(*(_RECALLED_AFTER if extra.type == "recalled" else _EXPIRED_AFTER)))
            going = self._going(cases, day, left, sender)
            if not going or day >= self._request.days * 0.9:
                continue
            dealer = int(self._random.choice(sorted(going)))
            self._withheld.since[batch] = day
            self._withheld.heard[batch] = day + float(self._random.uniform(0, _NEWS_DAYS))
            if extra.type == "expired":
                self._withheld.expired.add(batch)
            self._withheld.guilty[batch] = (dealer, len(self._attackers.attacks))
            had = (self._routes.receivers[self._goods.case_lot[cases]] == dealer).any(axis=1)
            return self._attack(extra.type, (dealer,), cases[had], day)
        return None

    def _going(self, cases: Ints, day: float, left: Floats, sender: Ints) -> dict[int, Ints]:
        """Return the cases that each dealer has on a day and is to send on after it, for dealers with several."""
        lots = self._goods.case_lot[cases]
        ways = np.concatenate([self._routes.ways[lots], self._routes.case_delivery[cases][:, None]], axis=1)
        number = np.maximum(ways, 0)
        later = (ways >= 0) & (left[number] > day + 2 * _NEWS_DAYS) & (left[number] < self._request.days - _SOON_DAYS)
        later &= self._routes.table.ints("kind")[number] != RETURN
        there = self._routes.arrivals[lots] <= day
        found: dict[int, Ints] = {}
        for dealer in np.unique(sender[ways[later]]).tolist():
            has = ((self._routes.receivers[lots] == dealer) & there).any(axis=1)
            own = cases[(later & (sender[number] == dealer)).any(axis=1) & has]
            if dealer > 0 and own.size >= _LEAST_CASES:
                found[dealer] = own
        return found

    def _off_route(self, fates: Fates, extra: Extra) -> Attack | None:
        """Let the truck of a long shipment make a detour by a place far off its way."""
        del fates, extra
        table, dealers = self._routes.table, self._attackers.network.dealers
        columns = [table.ints(name) for name in ("sender", "receiver", "kind")]
        long = np.flatnonzero((columns[2] == ORDER) & (columns[0] > 0) & (table.floats("arrived") < self._request.days))
        for number in self._random.permutation(long)[:_TRIES].tolist():
            sender, receiver = int(columns[0][number]), int(columns[1][number])
            lots = np.flatnonzero((self._routes.ways == number).any(axis=1))
            cases = np.flatnonzero(np.isin(self._goods.case_lot, lots))
            apart = np.hypot(dealers[sender].lat - dealers[receiver].lat, dealers[sender].lon - dealers[receiver].lon)
            if apart * 100 < _LONG_WAY_KM or not cases.size:
                continue
            attack = self._attack("offroute", (receiver, sender), cases, float(table.floats("departed")[number]))
            attack.deeds.append(Deed("detour", cases, attack.first_day, receiver, number))
            return attack
        return None

    def _hoard(self, fates: Fates, extra: Extra) -> Attack | None:
        """Let a lot stand where lots are always passed on, until the end."""
        del extra
        routes = self._routes
        hops = (routes.ways >= 0).sum(axis=1)
        free = np.bincount(self._goods.case_lot, weights=fates.free) == np.bincount(self._goods.case_lot)
        early = routes.arrivals[:, 0] < self._request.days * 0.5
        lots = np.flatnonzero(free & (hops >= 2) & early)  # noqa: PLR2004 - a level that passes on
        if not lots.size:
            return None
        lot = int(self._random.choice(lots))
        hop = int(self._random.integers(0, hops[lot] - 1))
        cases = np.flatnonzero(self._goods.case_lot == lot)
        attack = self._attack("dwell", (int(routes.receivers[lot, hop]),), cases, float(routes.arrivals[lot, hop]))
        routes.ways[lot, hop + 1 :] = -1
        routes.case_delivery[cases] = routes.case_store[cases] = -1
        fates.rate[cases], fates.free[cases] = 0.0, False
        return attack
