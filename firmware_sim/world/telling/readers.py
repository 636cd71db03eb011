"""What warehouses and shops read: goods made, packed, shipped, received, transferred, returned, inspected and sold."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Final

import numpy as np

from firmware_sim.world.arrays import Ints, Random
from firmware_sim.world.extras import PALLETS_A_BATCH
from firmware_sim.world.fates import Attack, Deed
from firmware_sim.world.model import World
from firmware_sim.world.routing import RETURN, TRANSFER
from firmware_sim.world.telling.checkpoints import checkpoints
from firmware_sim.world.telling.ledger import Gaps, Ledger

_MOST_CODES: Final = 100
_INSPECTED: Final = 0.015
_TILLS: Final = 0.4
_TILL_CASES: Final = 0.12
_TILL_ITEMS: Final = 3
_FOUND_BY_INSPECTORS: Final = 0.08
_REBOUND: Final = 0.01
_DAMAGED: Final = 1e-4
_FACTORY: Final = "FACTORY-1"


class Readers:
    """Everyone with a reader; `events_of` names the events that belong to each attack."""

    def __init__(self, world: World, ledger: Ledger, random: Random) -> None:
        self._world, self._ledger, self._random = world, ledger, random
        self._cases = world.goods.sscc(np.arange(world.goods.case_lot.size))
        self._pallets = world.goods.pallet_sscc(np.arange(int(world.goods.case_pallet.max()) + 1))
        self._batches = world.goods.case_pallet // PALLETS_A_BATCH
        self._places = len(world.network.dealers)
        self._gaps = Gaps.drawn(self._places + len(world.network.stores), world.request.days, random)
        self.events_of: defaultdict[int, list[str]] = defaultdict(list)

    def read(self, codes: list[str]) -> None:
        """Tell all events; `codes` are those of all items."""
        self._made(codes)
        self._moved()
        self._in_shops(codes)
        self._bound()
        self._checked()
        shops = self._shops_of_cities()
        for number, attack in enumerate(self._world.attacks):
            self._found(number, attack, shops, codes)
            for deed in attack.deeds:
                if deed.kind != "detour":
                    self._deed(number, deed, codes)

    def _dealer(self, dealer: int, day: float, event: dict[str, object]) -> str | None:
        who = self._world.network.dealers[dealer]
        moved = [move for move in self._world.network.moves if move.dealer == dealer and day >= move.day]
        lat, lon = (moved[0].lat, moved[0].lon) if moved else (who.lat, who.lon)
        device = {"device_id": f"R-{who.id}", "actor": who.id}
        where = {"source": "site", "place": who.id, "lat": lat, "lon": lon}
        return self._ledger.tell(day, (self._gaps, dealer), {**device, **event, **where})

    def _store(self, store: int, day: float, event: dict[str, object], device: str = "T") -> str | None:
        shop = self._world.network.stores[store].id
        gaps = (self._gaps, self._places + store) if device == "T" else None
        who = {"device_id": f"{device}-{shop}", "actor": shop} if device == "T" else {"device_id": device}
        return self._ledger.tell(day, gaps, {**who, "actor": shop, **event, "source": "store", "place": shop})

    def _made(self, codes: list[str]) -> None:
        goods, ledger = self._world.goods, self._ledger
        day = goods.lot_day[goods.case_lot] - 1.5
        begin = np.full(len(self._pallets), np.inf)
        np.minimum.at(begin, goods.case_pallet, day)
        counts = np.bincount(goods.case_pallet, np.diff(goods.case_first)).astype(np.int64)
        product = np.zeros(len(self._pallets), np.int64)
        product[goods.case_pallet] = goods.lot_product[goods.case_lot]
        site = {"device_id": _FACTORY, "actor": "BRAND", **self._factory()}
        for pallet, sscc in enumerate(self._pallets):
            of = {"parent": sscc, "batch": batch_of(pallet), "product": goods.products[product[pallet]].gtin}
            ledger.tell(begin[pallet] - 0.2, None, {"type": "commission", **site, **of, "count": int(counts[pallet])})
        wanted = self._random.random(len(codes)) < _DAMAGED
        first = goods.case_first.tolist()
        for case, sscc in enumerate(self._cases):
            items = codes[first[case] : first[case + 1]]
            ledger.tell(float(day[case]), None, {"type": "pack", **site, "parent": sscc, "codes": items})
        for item in np.flatnonzero(wanted):
            when = float(day[np.searchsorted(goods.case_first, item, side="right") - 1]) + 0.1
            ledger.tell(when, None, {"type": "void", **site, "codes": [codes[item]], "reason": "damaged label"})

    def _factory(self) -> dict[str, object]:
        brand = self._world.network.dealers[0]
        return {"source": "site", "place": brand.id, "lat": brand.lat, "lon": brand.lon}

    def _moved(self) -> None:
        """Tell of every shipment what left and what came, but for lots that went another way."""
        routes, goods = self._world.routes, self._world.goods
        bounds = np.searchsorted(goods.case_lot, np.arange(routes.seller.size + 1))
        table = routes.table
        columns = {name: table.ints(name).tolist() for name in ("sender", "receiver", "kind")}
        left, came = table.floats("departed").tolist(), table.floats("arrived").tolist()
        sent, got = _contents(routes.ways, self._world.fates.silent_from)
        for number, lots in sorted(sent.items()):
            sender, receiver, kind = (columns[name][number] for name in ("sender", "receiver", "kind"))
            cases = np.concatenate([np.arange(bounds[lot], bounds[lot + 1]) for lot in lots])
            to = self._world.network.dealers[receiver].id
            for part, attack in self._allowed(cases, left[number], sender):
                event: dict[str, object] = {"codes": part, "shipment": shipment_id(number)}
                if kind == RETURN:
                    shop = self._world.network.stores[self._world.network.stores_of[sender][0]].id
                    told = self._dealer(sender, left[number], {"type": "return", **event, "store": shop})
                else:
                    name = "transfer" if kind == TRANSFER else "ship"
                    told = self._dealer(sender, left[number], {"type": name, **event, "to": to})
                self._note(attack, told)
        for number, lots in sorted(got.items()):
            cases = np.concatenate([np.arange(bounds[lot], bounds[lot + 1]) for lot in lots])
            for part, attack in self._allowed(cases, left[number], columns["sender"][number]):
                event = {"type": "receive", "codes": part, "shipment": shipment_id(number)}
                self._note(attack, self._dealer(columns["receiver"][number], came[number], event))
        self._delivered(columns["sender"], left, came)

    def _delivered(self, sender: list[int], left: list[float], came: list[float]) -> None:
        world = self._world
        loud = world.fates.silent_from[world.goods.case_lot] > world.routes.ways.shape[1]
        told = np.flatnonzero((world.routes.case_delivery >= 0) & loud)
        if world.withheld.since:
            moments = np.array(left)[world.routes.case_delivery[told]].tolist()
            keepers = world.routes.seller[world.goods.case_lot[told]].tolist()
            rows = zip(self._batches[told, None], moments, keepers, strict=True)
            told = told[[bool(world.withheld.moves(batch, day, keeper)[0]) for batch, day, keeper in rows]]
        told = told[np.argsort(world.routes.case_delivery[told], kind="stable")]
        numbers = world.routes.case_delivery[told]
        receivers = world.routes.table.ints("receiver")
        for cases in np.split(told, np.flatnonzero(np.diff(numbers)) + 1):
            if not cases.size:
                continue
            number = int(world.routes.case_delivery[cases[0]])
            store = -1 - int(receivers[number])
            event = {"codes": [self._cases[case] for case in cases], "shipment": shipment_id(number)}
            to = world.network.stores[store].id
            shipped = self._dealer(sender[number], left[number], {"type": "ship", **event, "to": to})
            for batch in np.unique(self._batches[cases]).tolist():
                self._note(world.withheld.attack(batch, left[number], sender[number]), shipped)
            there = [self._cases[case] for case in cases if world.routes.case_store[case] >= 0]
            if there and store % 2:  # every other shop has a reader at its back door
                self._store(store, came[number], {"type": "receive", **event, "codes": there})

    def _allowed(self, cases: Ints, day: float, sender: int) -> Iterable[tuple[list[str], int | None]]:
        """Yield the codes of a shipment, apart from those that must not move, and the attack that moves them yet."""
        withheld = self._world.withheld
        if not withheld.since:
            yield from ((part, None) for part in self._parts(cases, whole_pallets=sender == 0))
            return
        batches = self._batches[cases]
        moved = withheld.moves(batches, day, sender)
        attacks = [withheld.attack(batch, day, sender) for batch in batches.tolist()]
        for attack in sorted(set(attacks), key=lambda each: -1 if each is None else each):
            chosen = moved & np.array([each == attack for each in attacks])
            if chosen.any():
                yield from ((part, attack) for part in self._parts(cases[chosen], whole_pallets=sender == 0))

    def _note(self, attack: int | None, told: str | None) -> None:
        if attack is not None and told is not None:
            self.events_of[attack].append(told)

    def _parts(self, cases: Ints, *, whole_pallets: bool) -> Iterable[list[str]]:
        """Yield codes, a hundred at a time: pallets where a pallet is complete, else cases."""
        goods = self._world.goods
        names: list[str] = []
        if whole_pallets:
            pallets, counts = np.unique(goods.case_pallet[cases], return_counts=True)
            whole = pallets[counts == np.bincount(goods.case_pallet)[pallets]]
            names = [self._pallets[pallet] for pallet in whole]
            cases = cases[~np.isin(goods.case_pallet[cases], whole)]
        names += [self._cases[case] for case in cases]
        for begin in range(0, len(names), _MOST_CODES):
            yield names[begin : begin + _MOST_CODES]

    def _in_shops(self, codes: list[str]) -> None:
        """Inspectors look at shelves and tills sell, in the shops that have them and before anyone scans at home."""
        world, random = self._world, self._random
        first_scan = np.full(world.goods.case_lot.size, np.inf)
        known = world.scans.case >= 0
        np.minimum.at(first_scan, world.scans.case[known], world.scans.day[known])
        there = np.flatnonzero(world.routes.case_store >= 0)
        arrived = world.routes.table.floats("arrived")[world.routes.case_delivery[there]]
        opened = np.minimum(world.fates.day[there], first_scan[there])
        shown = arrived + (opened - arrived).clip(0) * random.random(there.size)
        inspected, sold = random.random(there.size) < _INSPECTED, random.random(there.size) < _TILL_CASES
        stores = world.routes.case_store[there]
        tills = random.random(len(world.network.stores)) < _TILLS
        for row in np.flatnonzero(inspected | (sold & tills[stores])):
            item, case = int(world.goods.case_first[there[row]]), there[row : row + 1]
            keeper = world.network.stores[int(stores[row])].dealer
            if world.withheld.since and not world.withheld.moves(self._batches[case], float(opened[row]), keeper)[0]:
                continue
            if inspected[row]:
                self._inspect(int(stores[row]), float(shown[row]), codes[item : item + 2])
            else:
                told = self._store(int(stores[row]), float(opened[row]) - 0.01, {
                    "type": "sale", "codes": codes[item : item + _TILL_ITEMS]
                })  # fmt: skip
                batch = int(self._batches[case[0]])
                self._note(world.withheld.attack(batch, float(opened[row]), keeper), told)

    def _inspect(self, store: int, day: float, codes: list[str]) -> str | None:
        who = f"I-{store % 24:02}"
        return self._store(store, day, {"type": "inspect", "actor": who, "codes": codes}, device=who)

    def _bound(self) -> None:
        """Honest re-bindings: before the goods leave, and by two people."""
        goods, dealers = self._world.goods, self._world.network.dealers
        bounds = np.searchsorted(goods.case_lot, np.arange(goods.lot_day.size + 1))
        for lot in np.flatnonzero(self._random.random(goods.lot_day.size) < _REBOUND):
            cases = [self._cases[case] for case in range(bounds[lot], bounds[lot + 1])]
            other = int(self._random.integers(1, len(dealers)))
            self._rebind(float(goods.lot_day[lot]) - 0.5, cases, (other, int(goods.lot_dealer[lot])), ["U-03", "U-07"])

    def _rebind(self, day: float, cases: list[str], between: tuple[int, int], approvers: list[str]) -> str | None:
        source, target = (self._world.network.dealers[dealer].id for dealer in between)
        event = {"type": "rebind", "device_id": "CONSOLE", "actor": approvers[0], "codes": cases, "source": "none"}
        return self._ledger.tell(
            day, None, {**event, "from_dealer": source, "to_dealer": target, "approvers": approvers}
        )

    def _checked(self) -> None:
        """Tell what inspectors read of trucks on the road, in worlds in which some make detours."""
        for check in checkpoints(self._world):
            told = self._ledger.tell(check.day, None, {
                "type": "inspect", "device_id": check.inspector, "actor": check.inspector,
                "codes": [self._cases[case] for case in check.cases], "source": "gps",
                "lat": check.lat, "lon": check.lon, "accuracy_m": 30.0, "platform": "android",
            })  # fmt: skip
            self._note(check.attack, told)

    def _shops_of_cities(self) -> dict[int, list[int]]:
        found: defaultdict[int, list[int]] = defaultdict(list)
        for number, store in enumerate(self._world.network.stores):
            found[int(self._world.land.county_city[store.county])].append(number)
        return found

    def _found(self, number: int, attack: Attack, shops: dict[int, list[int]], codes: list[str]) -> None:
        """Let inspectors come across a few of the diverted cases, in the shops of the places where they went."""
        cases = attack.cases[self._random.random(attack.cases.size) < _FOUND_BY_INSPECTORS]
        there = [shop for city in attack.cities.tolist() for shop in shops.get(city, [])]
        if attack.type in {"strip", "skip"} or not there:
            return
        for case in cases.tolist():
            item, day = int(self._world.goods.case_first[case]), float(self._world.fates.day[case])
            seen = self._inspect(int(self._random.choice(there)), day + 1, codes[item : item + 2])
            self.events_of[number].extend([seen] if seen is not None else [])

    def _deed(self, attack: int, deed: Deed, codes: list[str]) -> None:
        """Tell what readers saw of an attack."""
        names = [self._cases[case] for case in deed.cases]
        told: list[str | None] = []
        if deed.kind == "rebind":
            told.append(self._rebind(deed.day + 0.3, names, (deed.dealer, deed.other), ["U-11"]))
        elif deed.kind == "backflow":
            told.append(self._dealer(deed.other, deed.day + 3, {"type": "receive", "codes": names, "shipment": ""}))
        else:
            first = self._world.goods.case_first
            for case in deed.cases[::3]:
                item = int(first[case])
                day = deed.day + float(self._random.exponential(15.0))
                told.append(self._inspect(deed.store, day, codes[item : item + 2]))
        self.events_of[attack].extend(identity for identity in told if identity is not None)


def shipment_id(number: int) -> str:
    """Return the identity of a shipment."""
    return f"SH{number:06}"


def batch_of(pallet: int) -> str:
    """Return the batch in which a pallet was made."""
    return f"B{pallet // PALLETS_A_BATCH:05}"


def _contents(ways: Ints, silent_from: Ints) -> tuple[dict[int, list[int]], dict[int, list[int]]]:
    """Return the lots of each shipment as they were seen to leave and to arrive."""
    sent: defaultdict[int, list[int]] = defaultdict(list)
    got: defaultdict[int, list[int]] = defaultdict(list)
    for lot, hop in zip(*(axis.tolist() for axis in np.nonzero(ways >= 0)), strict=True):
        number = int(ways[lot, hop])
        if hop <= silent_from[lot]:
            sent[number].append(lot)
        if hop < silent_from[lot]:
            got[number].append(lot)
    return sent, got
