"""Who was seen where: sightings become cells of independent pieces, exposure, and shipments' traces."""

from collections import Counter, defaultdict
from typing import Final

from msgspec import Struct

from trace_service.detection.cell import Cell, Hit
from trace_service.detection.exposure import Exposure
from trace_service.detection.network import Network
from trace_service.detection.observations import Movement, Sighting
from trace_service.detection.placing import Kind, Placer
from trace_service.detection.settings import Settings

AT_HOME: Final = -1
# Of millions of cities that cases were seen in, each says one of these.
_MARKS: Final = {(int(kind), foreign): (int(kind), foreign) for kind in Kind for foreign in (False, True)}


class _Record(Struct, gc=False):
    """What one observed sighting counts for."""

    dealer: str
    case: str
    city: int
    kind: int
    shipment: str | None
    at: int


class Trace(Struct, gc=False):
    """A dealer's cases of one shipment: how many were seen at home, and how many only elsewhere, by their first city.

    Cases that a shop of the dealer had are no trace of it elsewhere.
    """

    home: int = 0
    away: dict[int, int] = {}

    def count(self, place: int | None, number: int) -> None:
        """Count so many more cases that stand for a city, for home or for nothing (None)."""
        if place == AT_HOME:
            self.home += number
        elif place is not None and (left := self.away.get(place, 0) + number):
            self.away[place] = left
        elif place is not None:
            del self.away[place]


class Sightings:
    """Who was seen where; shared by the detectors that judge it."""

    def __init__(self, network: Network, settings: Settings) -> None:
        self.network, self.settings = network, settings
        self.placer = Placer(network, settings)
        self.exposure = Exposure()
        self.cells: dict[tuple[str, int], Cell] = {}
        self.by_dealer: dict[str, list[Cell]] = defaultdict(list)
        # Cases of a shipment that were seen anywhere.
        self.shipments: dict[str, dict[str, None]] = defaultdict(dict)
        # (dealer, case) → city → kind of the first sighting there, and whether that is foreign.
        self.cities: dict[tuple[str, str], dict[int, tuple[int, bool]]] = defaultdict(dict)
        self.records: dict[str, _Record] = {}
        # The shipments of each dealer that anything was seen of, with the number of sightings.
        self.sent: dict[str, Counter[str]] = defaultdict(Counter)
        # (shipment, dealer): what `shipments` and `cities` say of it, counted as they change.
        self.traces: dict[tuple[str, str], Trace] = defaultdict(Trace)
        self._shipments_of: dict[str, list[str]] = defaultdict(list)
        self._places: dict[str, dict[str, int]] = defaultdict(dict)  # case → dealer → what it counts for
        self._seen: Counter[tuple[str, str, int]] = Counter()  # sightings by dealer, case and city
        # (dealer, case): what one of the dealer's own shops took in. What is seen elsewhere later was carried there.
        self.stocked: dict[tuple[str, str], set[str]] = {}  # with the receipts that say so
        self._receipts: dict[str, tuple[str, str]] = {}
        self._hits = 0
        self._carried = 0
        self._at_home_hits = 0

    @property
    def totals(self) -> tuple[int, int, int]:
        """Cases in foreign cells; of these seen at home as well; of these had by a shop of their dealer."""
        return self._hits, self._at_home_hits, self._carried

    @property
    def at_home_share(self) -> float:
        """How many of the cases in foreign cells were seen at home as well, with a prior."""
        return (self._at_home_hits + 5.0) / (self._hits + 25.0)

    @property
    def carried_share(self) -> float:
        """How many of the cases in foreign cells a shop of their dealer had had, with a prior."""
        return self._carried / (self._hits + 25.0)

    def forget(self, key: str) -> list[Cell]:
        """Take a sighting back; return the foreign cells that this changed."""
        record = self.records.pop(key, None)
        if record is None:
            return []
        if record.shipment is not None:
            sent = self.sent[record.dealer]
            sent[record.shipment] -= 1
            if not sent[record.shipment]:
                del sent[record.shipment]
        place = (record.dealer, record.case, record.city)
        self._seen[place] -= 1
        if not self._seen[place]:
            del self._seen[place]
            self.exposure.add(record.dealer, record.kind, record.at, -1)
            self.cities[record.dealer, record.case].pop(record.city, None)
            self._trace(record.dealer, record.case)
        changed = []
        cell = self.cells.get((record.dealer, record.city))
        if cell is not None and (hit := cell.hits.get(record.case)) is not None and key in hit.keys:
            changed.append(cell)
            index = hit.keys.index(key)
            for each in (hit.keys, hit.events, hit.units):
                each.pop(index)
            if not hit.keys:
                self._hits -= 1
                self._at_home_hits -= record.case in cell.at_home
                self._carried -= record.case in cell.carried
                cell.remove(record.case)
        return changed + self._at_home(record.dealer, record.case)

    def take(self, sighting: Sighting) -> list[Cell]:
        """Count a sighting; return the foreign cells that this changed."""
        goods = sighting.goods
        if goods.dealer is None or goods.case is None or goods.dealer not in self.network.dealers:
            return []
        placed = self.placer.place(sighting)
        if placed is None:
            return []
        record = _Record(goods.dealer, goods.case, placed.city, placed.kind, goods.shipment, sighting.occurred_at)
        self.records[sighting.key] = record
        if record.shipment is not None:
            self.sent[record.dealer][record.shipment] += 1
        place = (goods.dealer, goods.case, placed.city)
        self._seen[place] += 1
        if self._seen[place] == 1:
            self.exposure.add(goods.dealer, placed.kind, sighting.occurred_at)
            if goods.shipment is not None:
                self._join(goods.shipment, goods.case)
            self.cities[goods.dealer, goods.case][placed.city] = _MARKS[placed.kind, placed.foreign]
            self._trace(goods.dealer, goods.case)
        changed = [] if placed.foreign else self._at_home(goods.dealer, goods.case)
        return changed + self._hit(sighting, record) if placed.foreign else changed

    def stock(self, movement: Movement) -> list[Cell]:
        """Note what a shop of the goods' dealer took in; return the foreign cells that this changed.

        A receipt that was observed before is replaced.
        """
        stocked = self._stocked_by(movement)
        if stocked == self._receipts.get(movement.key):
            return []
        returned = self.unstock(movement.key)
        if stocked is None:
            return returned
        dealer, case = stocked
        self._receipts[movement.key] = stocked
        self.stocked.setdefault(stocked, set()).add(movement.key)
        if movement.goods.shipment is not None:
            self._join(movement.goods.shipment, case)
        self._trace(dealer, case)
        changed = [cell for cell in self._cells_of(dealer, case) if cell.take_out(case)]
        self._carried += len(changed)
        return returned + changed

    def _stocked_by(self, movement: Movement) -> tuple[str, str] | None:
        """Return whose shop took in which case, None where it was no receipt in a shop of the goods' own dealer."""
        goods, place = movement.goods, movement.position.place
        if movement.kind != "receive" or goods.dealer is None or goods.case is None or place is None:
            return None
        store = self.network.store(place, movement.occurred_at)
        return (goods.dealer, goods.case) if store is not None and store.dealer == goods.dealer else None

    def unstock(self, key: str) -> list[Cell]:
        """Take a shop's receipt back; return the foreign cells that this changed."""
        place = self._receipts.pop(key, None)
        if place is None:
            return []
        self.stocked[place].discard(key)
        if self.stocked[place]:
            return []
        del self.stocked[place]
        self._trace(*place)
        changed = [cell for cell in self._cells_of(*place) if cell.put_back(place[1])]
        self._carried -= len(changed)
        return changed

    def place_of(self, dealer: str, case: str) -> int | None:
        """Return `AT_HOME`, the first city of a case that was seen elsewhere only, or None where that says nothing."""
        places = self.cities.get((dealer, case))
        if not places:
            return None
        if any(not foreign for _, foreign in places.values()):
            return AT_HOME
        return None if (dealer, case) in self.stocked else next(iter(places))

    def _trace(self, dealer: str, case: str) -> None:
        """Count a case anew in the shipments that it belongs to."""
        found, known = self.place_of(dealer, case), self._places[case].get(dealer)
        if found == known:
            return
        for shipment in self._shipments_of.get(case, ()):
            trace = self.traces[shipment, dealer]
            trace.count(known, -1)
            trace.count(found, 1)
        if found is None:
            del self._places[case][dealer]
        else:
            self._places[case][dealer] = found

    def _join(self, shipment: str, case: str) -> None:
        """Note a case that was seen as one of a shipment."""
        if case in self.shipments[shipment]:
            return
        self.shipments[shipment][case] = None
        self._shipments_of[case].append(shipment)
        for dealer, place in self._places.get(case, {}).items():
            self.traces[shipment, dealer].count(place, 1)

    def _cells_of(self, dealer: str, case: str) -> list[Cell]:
        cells = (self.cells.get((dealer, city)) for city in self.cities.get((dealer, case), {}))
        return [cell for cell in cells if cell is not None]

    def _at_home(self, dealer: str, case: str) -> list[Cell]:
        """Note, in the foreign cells of a case, whether it was seen in its own territory as well."""
        cities = self.cities.get((dealer, case), {})
        home = any(not foreign for _, foreign in cities.values())
        found = []
        for city, (_, foreign) in cities.items():
            cell = self.cells.get((dealer, city)) if foreign else None
            if cell is not None and case in cell.hits and cell.mark(case, home=home):
                self._at_home_hits += 1 if home else -1
                found.append(cell)
        return found

    def _hit(self, sighting: Sighting, record: _Record) -> list[Cell]:
        place = (record.dealer, record.city)
        cell = self.cells.get(place)
        if cell is None:
            cell = self.cells[place] = Cell(record.dealer, record.city, in_order=True)
            self.by_dealer[record.dealer].append(cell)
        hit = cell.hits.get(record.case)
        if hit is not None:
            hit.keys.append(sighting.key)
            hit.events.append(sighting.event)
            hit.units.append(sighting.goods.unit)
            return []
        gps = record.kind != Kind.IP
        self._hits += 1
        cell.add(
            Hit(
                record.case, record.at, record.kind, record.shipment,
                "" if record.kind == Kind.STORE else sighting.device or sighting.actor,
                sighting.position.lat if gps else None, sighting.position.lon if gps else None,
                [sighting.key], [sighting.event], [sighting.goods.unit],
            )
        )  # fmt: skip
        if (record.dealer, record.case) in self.stocked:
            self._carried += cell.take_out(record.case)
        self._at_home(record.dealer, record.case)
        return [cell]
