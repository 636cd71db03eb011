"""What papers say of an item at a moment as known at a moment: its dealer, shipment and chain."""

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterator

from msgspec import Struct

from trace_service.backtest.events import Event
from trace_service.backtest.world import NEVER, Item, Paper, World
from trace_service.detection.network import Network
from trace_service.detection.observations import PASSED_ON_DAYS, Shipment
from trace_service.detection.settings import DAY_MS


class Entitlement(Struct, frozen=True):
    """The last dealer in an item's chain whose document had come, and the shipment that brought the item there."""

    dealer: str | None
    shipment: str | None
    shipped_at: int | None
    chain: tuple[str, ...]


NOBODY = Entitlement(None, None, None, ())


class Papers:
    """The documents of a world, released as the clock passes the moment at which each reached the system."""

    def __init__(self, world: World, network: Network) -> None:
        self.world, self.network = world, network
        self._queue = [(paper.document_time, paper.id) for paper in world.papers.values()]
        heapq.heapify(self._queue)
        self._cases: dict[str, dict[str, int]] = defaultdict(dict)
        for item in world.items.values():
            for shipment in item.shipments:
                counts = self._cases[shipment]
                counts[item.case] = counts.get(item.case, 0) + 1
        self._awaited: Counter[str] = Counter()  # papers of each case that are still to come
        for number, cases in self._cases.items():
            if number in world.papers and world.papers[number].document_time < NEVER:
                self._awaited.update(cases.keys())
        self._receivers: dict[str, str | None] = {}
        self._chains: dict[tuple[str, ...], list[tuple[Paper, str | None]]] = {}
        # One event tells of many items that came by the same shipments.
        self._last: tuple[tuple[tuple[str, ...], int, int] | None, Entitlement] = (None, NOBODY)

    def release(self, now: int) -> Iterator[Shipment]:
        """Yield, once, every paper that reached the system until now."""
        while self._queue and self._queue[0][0] <= now:
            known, number = heapq.heappop(self._queue)
            paper = self.world.papers[number]
            cases = self._cases.pop(number, {})
            self._awaited.subtract(cases.keys())
            yield Shipment(
                key=number,
                kind=paper.kind,
                sender=paper.sender,
                receiver=paper.receiver,
                departed_at=paper.departed,
                received_at=known,
                items=sum(cases.values()),
                cases=tuple(cases),
                arrived_at=paper.arrived if paper.arrived is not None and paper.arrived <= known else None,
            )

    def awaits(self, case: str) -> bool:
        """Whether any paper of a case is still to come."""
        return self._awaited[case] > 0

    def receiver(self, paper: Paper) -> str | None:
        """Return the dealer that a paper names as receiver, a store's dealer for a delivery; None for the brand."""
        if paper.id not in self._receivers:
            found: str | None = paper.receiver
            if found not in self.network.dealers:
                store = self.network.store(paper.receiver, paper.departed)
                found = store.dealer if store else None
            if found is not None and self.network.dealers.get(found) and self.network.dealers[found].kind == "brand":
                found = None
            self._receivers[paper.id] = found
        return self._receivers[paper.id]

    def entitled(self, item: Item, moment: int, known_at: int) -> Entitlement:
        """Return who was entitled to an item at a moment, by the papers that are known at another."""
        asked = item.shipments, moment, known_at
        if self._last[0] != asked:
            self._last = asked, self._entitled(*asked)
        return self._last[1]

    def _entitled(self, shipments: tuple[str, ...], moment: int, known_at: int) -> Entitlement:
        last: tuple[Paper, str | None] | None = None
        chain: list[str] = []
        for paper, dealer in self._chain(shipments):
            if paper.document_time > known_at or min(paper.departed, paper.document_time) > moment:
                continue
            if dealer is not None:
                if not chain or chain[-1] != dealer:
                    chain.append(dealer)
                if last is None or last[1] != dealer or paper.kind != "delivery":
                    last = (paper, dealer)
            elif paper.kind == "return":
                last, chain = (paper, None), []
        if last is None:
            return NOBODY
        return Entitlement(last[1], last[0].id, last[0].departed, tuple(chain))

    def _chain(self, shipments: tuple[str, ...]) -> list[tuple[Paper, str | None]]:
        found = self._chains.get(shipments)
        if found is None:
            papers = [self.world.papers[each] for each in shipments if each in self.world.papers]
            found = self._chains[shipments] = [(paper, self.receiver(paper)) for paper in papers]
        return found

    def documents(self, item: Item, dealer: str | None, receipt: Event, known_at: int) -> bool:
        """Whether papers that are known explain that a dealer (None: the brand) reads an item.

        One that brings it there does, until the item was long sent on: what comes again then needs a paper of its own,
        unless the receipt names the first one or its clock is not believed. One that names the very shop does, whoever
        has that shop by the time the goods come.
        """
        here, shop = False, receipt.place or receipt.store
        for paper, receiver in self._chain(item.shipments):
            if paper.document_time > known_at:
                continue
            if receiver == dealer or paper.receiver == shop:
                if paper.id == receipt.shipment:
                    return True
                here = True
            elif receipt.dated and paper.departed < receipt.occurred - PASSED_ON_DAYS * DAY_MS:
                here = False
        return here
