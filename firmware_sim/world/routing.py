"""How lots travel down the channel, in shipments that gather what goes the same way, and their papers, some late."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from firmware_sim.world.arrays import Floats, Ints, Random, distance_km
from firmware_sim.world.goods import Goods
from firmware_sim.world.network import Network
from firmware_sim.world.parameters import Nature

KINDS: Final = ("order", "dropship", "transfer", "return", "delivery")
ORDER, DROPSHIP, TRANSFER, RETURN, DELIVERY = range(5)
NEVER: Final = 1e9
_GATHER_DAYS: Final = 3.0
_KM_A_DAY: Final = 550.0
_DWELL_DAYS: Final = 4.0
_WHOLE_WAY_DAYS: Final = 50.0
_DROPSHIPPED: Final = 0.04
_TRANSFERRED: Final = 0.02
_RETURNED: Final = 0.015
_STORED: Final = 0.65
_LATE_TRANSFERS: Final = 0.4
_EXTRA_HOPS: Final = 3


class Shipments:
    """Every shipment, in the order in which they were planned. A receiver below zero is the store -1 - number."""

    def __init__(self) -> None:
        self._columns: dict[str, list[Floats]] = {}
        self.count = 0

    def add(self, **columns: Floats | Ints) -> Ints:
        """Append rows and return their numbers."""
        size = len(columns["sender"])
        for name, values in columns.items():
            self._columns.setdefault(name, []).append(np.asarray(values, np.float64))
        self.count += size
        return np.arange(self.count - size, self.count)

    def floats(self, name: str) -> Floats:
        """Return a column of days."""
        return np.concatenate(self._columns[name])

    def ints(self, name: str) -> Ints:
        """Return a column of numbers: sender, receiver, kind, lot."""
        return self.floats(name).astype(np.int64)


class Routes:
    """Each lot's way: `shipments[lot, hop]` is -1 where the way is over."""

    def __init__(self, shipments: Shipments, ways: Ints) -> None:
        self.table = shipments
        self.ways = ways
        kept = np.maximum(ways, 0)
        self.receivers = np.where(ways >= 0, shipments.ints("receiver")[kept], -1)
        self.arrivals = np.where(ways >= 0, shipments.floats("arrived")[kept], NEVER)
        self._papers = np.where(ways >= 0, shipments.floats("document")[kept], NEVER)
        last = np.maximum((ways >= 0).sum(axis=1) - 1, 0)
        rows = np.arange(len(ways))
        self.seller = self.receivers[rows, last]
        self.ready = self.arrivals[rows, last]
        self.case_store: Ints = np.zeros(0, np.int64)
        self.case_delivery: Ints = np.zeros(0, np.int64)

    def entitled(self, lots: Ints, days: Floats) -> Ints:
        """Return the dealer who is entitled to each lot on a day: the last one whose papers have come."""
        found = np.zeros(lots.size, np.int64)
        for begin in range(0, lots.size, 200_000):
            part = slice(begin, begin + 200_000)
            known = self._papers[lots[part]] <= days[part, None]
            last = known.shape[1] - 1 - known[:, ::-1].argmax(axis=1)
            found[part] = np.where(known.any(axis=1), self.receivers[lots[part], last], 0)
        return found


class Router:
    """Sends every lot from the brand to its dealer, hop by hop, all lots at once."""

    def __init__(self, network: Network, goods: Goods, nature: Nature, random: Random) -> None:
        self._network = network
        self._goods = goods
        self._nature = nature
        self._random = random
        self._table = Shipments()
        self._lat = np.array([dealer.lat for dealer in network.dealers])
        self._lon = np.array([dealer.lon for dealer in network.dealers])

    def route(self) -> Routes:
        """Return the ways of all lots, up to the shops."""
        lots = self._goods.lot_day.size
        dropped = self._random.random(lots) < _DROPSHIPPED
        paths = [self._network.path(dealer) for dealer in self._goods.lot_dealer.tolist()]
        paths = [[0, path[-1]] if drop else path for path, drop in zip(paths, dropped, strict=True)]
        longest = max(map(len, paths)) - 1
        ways = np.full((lots, longest + _EXTRA_HOPS), -1)
        at = self._goods.lot_day.copy()
        for hop in range(longest):
            going = np.array([lot for lot, path in enumerate(paths) if len(path) > hop + 1], np.int64)
            lengths = np.array([len(paths[lot]) for lot in going])
            ready = at[going] + self._random.exponential(np.minimum(_DWELL_DAYS, _WHOLE_WAY_DAYS / lengths))
            sender, receiver = (np.array([paths[lot][hop + step] for lot in going]) for step in (0, 1))
            kind = np.where(dropped[going], DROPSHIP, ORDER)
            numbers = self._gathered(sender, receiver, ready, kind, np.minimum(_GATHER_DAYS, 40 / lengths))
            ways[going, hop] = numbers
            at[going] = self._table.floats("arrived")[numbers]
        self._sideways(ways, at)
        routes = Routes(self._table, ways)
        self._deliver(routes)
        return routes

    def _gathered(self, sender: Ints, receiver: Ints, ready: Floats, kind: Ints, days: Floats) -> Ints:
        """Send what goes the same way in the same few days as one shipment; return it for each."""
        keys = np.stack([sender, receiver, (ready / days).astype(np.int64), kind], axis=1)
        unique, inverse = np.unique(keys, axis=0, return_inverse=True)
        inverse = inverse.ravel()
        departed = np.zeros(len(unique))
        np.maximum.at(departed, inverse, ready)
        numbers = self._sent(unique[:, 0], unique[:, 1], departed, unique[:, 3])
        return np.asarray(numbers[inverse])

    def _sent(self, sender: Ints, receiver: Ints, departed: Floats, kind: Ints, late: float | None = None) -> Ints:
        km = distance_km(self._lat[sender], self._lon[sender], self._lat[receiver], self._lon[receiver])
        arrived = departed + 0.2 + km / _KM_A_DAY * self._random.uniform(0.8, 1.5, departed.size)
        document = self._papers(departed, arrived, self._nature.late_papers if late is None else late)
        return self._table.add(
            sender=sender, receiver=receiver, departed=departed, arrived=arrived, document=document, kind=kind
        )

    def _papers(self, departed: Floats, arrived: Floats, late: float) -> Floats:
        on_time = departed + self._random.uniform(0.005, 0.2, departed.size)
        behind = arrived + self._random.lognormal(1.1, 0.8, departed.size)
        return np.where(self._random.random(departed.size) < late, behind, on_time)

    def _sideways(self, ways: Ints, at: Floats) -> None:
        """Transfer a few lots to another dealer, and let a few come back from the shops and go elsewhere."""
        lots, dealers = ways.shape[0], self._network.dealers
        chance = self._random.random(lots)
        seller = self._goods.lot_dealer
        peers = [n for n, dealer in enumerate(dealers) if dealer.kind in {"city", "county"}]
        for lot in np.flatnonzero(chance < _TRANSFERRED):
            other = int(self._random.choice(peers))
            if other != seller[lot]:
                left = at[lot] + self._random.exponential(8.0)
                self._hop(ways, int(lot), [int(seller[lot]), other], (left, TRANSFER, _LATE_TRANSFERS))
        for lot in np.flatnonzero((chance > 1 - _RETURNED) & self._has_stores(seller)):
            parent = dealers[seller[lot]].parent
            heirs = [n for n in peers if dealers[n].parent == parent and n != seller[lot]]
            left = at[lot] + 2 + self._random.exponential(20.0)
            back = self._hop(ways, int(lot), [int(seller[lot]), parent], (left, RETURN, 0.6))
            if heirs and parent > 0:
                again = back + self._random.exponential(6.0)
                self._hop(ways, int(lot), [parent, int(self._random.choice(heirs))], (again, ORDER, None))

    def _has_stores(self, dealers: Ints) -> Ints:
        return np.array([dealer in self._network.stores_of for dealer in dealers.tolist()])

    def _hop(self, ways: Ints, lot: int, between: Sequence[int], how: tuple[float, int, float | None]) -> float:
        left, kind, late = how
        sender, receiver = (np.array([end]) for end in between)
        number = self._sent(sender, receiver, np.array([left]), np.array([kind]), late)[0]
        ways[lot, int((ways[lot] >= 0).sum())] = number
        return float(self._table.floats("arrived")[number])

    def _deliver(self, routes: Routes) -> None:
        """Bring two thirds of the lots to shops, each lot to one or two of them."""
        cases = self._goods.case_lot
        routes.case_store, routes.case_delivery = np.full(cases.size, -1), np.full(cases.size, -1)
        stored = self._random.random(routes.seller.size) < _STORED
        bounds = np.searchsorted(cases, np.arange(routes.seller.size + 1))
        rows: list[tuple[int, int, float]] = []
        for lot in np.flatnonzero(stored):
            stores = self._network.shops(int(routes.seller[lot]), float(routes.ready[lot]))
            if not stores:
                continue
            begin, end = int(bounds[lot]), int(bounds[lot + 1])
            cut = int(self._random.integers(begin, end)) if end - begin > 12 else begin  # noqa: PLR2004 - a large lot
            for part in (slice(begin, cut), slice(cut, end)):
                if part.stop > part.start:
                    store = int(self._random.choice(stores))
                    routes.case_store[part] = store
                    routes.case_delivery[part] = self._table.count + len(rows)
                    left = float(routes.ready[lot] + self._random.exponential(5.0))
                    rows.append((int(routes.seller[lot]), -1 - store, left))
        sender, receiver, departed = np.array(rows, np.float64).reshape(-1, 3).T
        self._table.add(
            sender=sender,
            receiver=receiver,
            departed=departed,
            arrived=departed + self._random.uniform(0.1, 0.6, departed.size),
            document=departed + 0.01,
            kind=np.full(departed.size, DELIVERY),
        )
