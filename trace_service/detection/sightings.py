"""Who was seen where: sightings become cells of independent pieces, exposure, and shipments' traces."""

from collections import defaultdict

from msgspec import Struct

from trace_service.detection.cell import Cell, Hit
from trace_service.detection.exposure import Exposure
from trace_service.detection.network import Network
from trace_service.detection.observations import Sighting
from trace_service.detection.placing import Kind, Placer
from trace_service.detection.settings import Settings


class _Record(Struct):
    """What one observed sighting counts for."""

    dealer: str
    case: str
    city: int
    kind: int
    foreign: bool
    shipment: str | None
    at: int


class Sightings:
    """Who was seen where; shared by the detectors that judge it."""

    def __init__(self, network: Network, settings: Settings) -> None:
        self.network, self.settings = network, settings
        self.placer = Placer(network, settings)
        self.exposure = Exposure()
        self.cells: dict[tuple[str, int], Cell] = {}
        self.by_dealer: dict[str, list[Cell]] = defaultdict(list)
        # shipment → case → city → kind of its first sighting there
        self.shipments: dict[str, dict[str, dict[int, tuple[int, bool]]]] = defaultdict(lambda: defaultdict(dict))
        self.records: dict[str, _Record] = {}
        self._seen: dict[tuple[str, str, int], list[str]] = defaultdict(list)

    def forget(self, key: str) -> _Record | None:
        """Take a sighting back; return what it had counted for."""
        record = self.records.pop(key, None)
        if record is None:
            return None
        place = (record.dealer, record.case, record.city)
        keys = self._seen[place]
        keys.remove(key)
        if not keys:
            del self._seen[place]
            self.exposure.add(record.dealer, record.kind, record.at, -1)
            if record.shipment is not None:
                self.shipments[record.shipment][record.case].pop(record.city, None)
        cell = self.cells.get((record.dealer, record.city))
        if cell is not None and (hit := cell.hits.get(record.case)) is not None and key in hit.keys:
            index = hit.keys.index(key)
            for each in (hit.keys, hit.events, hit.units):
                each.pop(index)
            if not hit.keys:
                cell.remove(record.case)
        return record

    def take(self, sighting: Sighting) -> Cell | None:
        """Count a sighting; return the foreign cell that it changed, None where nothing counts against anybody."""
        goods = sighting.goods
        if goods.dealer is None or goods.case is None or goods.dealer not in self.network.dealers:
            return None
        placed = self.placer.place(sighting)
        if placed is None:
            return None
        record = _Record(
            goods.dealer, goods.case, placed.city, placed.kind, placed.foreign, goods.shipment, sighting.occurred_at
        )
        self.records[sighting.key] = record
        keys = self._seen[goods.dealer, goods.case, placed.city]
        keys.append(sighting.key)
        if len(keys) == 1:
            self.exposure.add(goods.dealer, placed.kind, sighting.occurred_at)
            if goods.shipment is not None:
                self.shipments[goods.shipment][goods.case][placed.city] = (placed.kind, placed.foreign)
        return self._hit(sighting, record) if placed.foreign else None

    def _hit(self, sighting: Sighting, record: _Record) -> Cell | None:
        place = (record.dealer, record.city)
        cell = self.cells.get(place)
        if cell is None:
            cell = self.cells[place] = Cell(record.dealer, record.city)
            self.by_dealer[record.dealer].append(cell)
        hit = cell.hits.get(record.case)
        if hit is not None:
            hit.keys.append(sighting.key)
            hit.events.append(sighting.event)
            hit.units.append(sighting.goods.unit)
            return None
        gps = record.kind != Kind.IP
        cell.add(
            Hit(
                record.case, record.at, record.kind, record.shipment, sighting.device or sighting.actor,
                sighting.position.lat if gps else None, sighting.position.lon if gps else None,
                [sighting.key], [sighting.event], [sighting.goods.unit],
            )
        )  # fmt: skip
        return cell
