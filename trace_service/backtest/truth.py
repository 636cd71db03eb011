"""The truth of a generated world, and whether an alert is right about it: the rules of the folder's format."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from msgspec import Struct

from trace_service.backtest.errors import WorldError
from trace_service.backtest.tables import BOM, UNREADABLE, find, milliseconds, open_bytes, told
from trace_service.detection.network import Network, distances_km, province

NEAR_KM: Final = 120.0
CORE: Final = frozenset(("drip", "bulk", "promo"))
CODES_ONLY: Final = frozenset(("clone", "forged"))
_BY_SHIPMENT: Final = frozenset(("bulk", "promo", "skip", "rebind", "strip", "offroute"))
_PARTIES_COUNT: Final = frozenset(("skip", "backflow", "rebind", "collusion"))


class Destination(Struct):
    """A city where diverted goods went."""

    adcode: str | int | None = None
    name: str | None = None
    lat: float | None = None
    lon: float | None = None


class Attack(Struct):
    """One attack of labels.json."""

    id: str
    type: str
    first_at: str
    dealer: str | None = None
    parties: list[str] = []
    origin: Any = None
    destinations: list[Destination] = []
    shipments: list[str] = []
    cases: list[str] = []
    items: list[str] = []
    leaks: list[str] = []
    scanned_items: int | list[str] = 0
    events: list[str] = []

    @property
    def scanned(self) -> int:
        """How many of its items consumers scanned, whether the labels count or list them."""
        return self.scanned_items if isinstance(self.scanned_items, int) else len(set(self.scanned_items))


class _Labels(Struct):
    attacks: list[Attack]


class Finding(Struct, kw_only=True):
    """What scoring looks at in an alert; `raised_at` in milliseconds."""

    dealer: str | None
    raised_at: int
    adcode: str | None = None
    lat: float | None = None
    lon: float | None = None
    probability: float = 0.5
    kind: str = ""
    detector: str = ""
    codes: frozenset[str] = frozenset()
    cases: frozenset[str] = frozenset()
    shipments: frozenset[str] = frozenset()


def read_attacks(folder: Path) -> list[Attack] | None:
    """Return the attacks of a folder, None without labels. Raises WorldError for labels that cannot be read."""
    path = find(folder, "labels.json")
    if path is None:
        return None
    with open_bytes(path) as file:
        try:
            said = told(msgspec.json.decode(file.read().removeprefix(BOM)))
            attacks = msgspec.convert(said, _Labels, strict=False).attacks
            for moment in (moment for each in attacks for moment in (each.first_at, *each.leaks)):
                milliseconds(moment)
        except (*UNREADABLE, ValueError) as error:
            raise WorldError(f"{path}: {error}", advice="Write it anew, or remove it to run without scores.") from error
    return attacks


class Truth:
    """Attacks made ready for questions."""

    def __init__(self, attacks: Sequence[Attack], network: Network) -> None:
        self.attacks = attacks
        self.network = network
        self.first = [milliseconds(attack.first_at) for attack in attacks]
        self.leaks = [sorted(milliseconds(each) for each in attack.leaks) for attack in attacks]
        self._goods = [frozenset(attack.items) | frozenset(attack.cases) for attack in attacks]
        self._near = [self._cities(attack) for attack in attacks]
        self._by_party: dict[str, list[int]] = defaultdict(list)
        for index, attack in enumerate(attacks):
            for party in parties(attack):
                self._by_party[party].append(index)

    @property
    def events(self) -> frozenset[str]:
        """The events of all attacks."""
        return frozenset(event for attack in self.attacks for event in attack.events)

    def right(self, finding: Finding) -> list[int]:
        """Return the indexes of the attacks that an alert is right about."""
        return [index for index in range(len(self.attacks)) if self._matches(finding, index)]

    def true_cell(self, dealer: str, adcode: str, until: int) -> bool:
        """Whether a dealer's goods had been diverted towards a city (any within 120 km) before a moment."""
        return any(
            self.first[index] <= until and adcode in self._near[index]
            for index in self._by_party.get(dealer, ())
            if self.attacks[index].type not in CODES_ONLY and self.attacks[index].type != "strip"
        )

    def _matches(self, finding: Finding, index: int) -> bool:
        attack, goods = self.attacks[index], self._goods[index]
        if finding.raised_at < self.first[index]:
            return False
        if _half(finding.codes, goods) or _half(finding.cases, goods):
            return True
        if attack.type in CODES_ONLY:
            return False
        if attack.type in _BY_SHIPMENT and _half(finding.shipments, frozenset(attack.shipments)):
            return True
        return finding.dealer in parties(attack) and self._aimed(finding, index)

    def _aimed(self, finding: Finding, index: int) -> bool:
        """Whether an alert on the right dealer names the right city, or nothing at all."""
        if finding.adcode is None and finding.lat is None:
            return not (finding.codes or finding.cases or finding.shipments)
        return self.attacks[index].type != "strip" and self._destined(finding, index)

    def _destined(self, finding: Finding, index: int) -> bool:
        if finding.adcode is not None:
            if finding.adcode in self._near[index]:
                return True
            city = self.network.city(finding.adcode)
            if city is not None and city in self._near[index]:
                return True
            whole = province(finding.adcode)
            attacked = {province(str(each.adcode)) for each in self.attacks[index].destinations if each.adcode}
            return whole in attacked and (finding.adcode == whole or self._is_capital(finding.adcode))
        points = [each for each in self.attacks[index].destinations if each.lat is not None and each.lon is not None]
        if finding.lat is None or finding.lon is None or not points:
            return False
        away = distances_km(finding.lat, finding.lon, *_arrays((each.lat or 0, each.lon or 0) for each in points))
        return bool(away.min() <= NEAR_KM)

    def _is_capital(self, adcode: str) -> bool:
        index = self.network.city_index.get(adcode)
        return index is not None and self.network.cities[index].capital

    def _cities(self, attack: Attack) -> frozenset[str]:
        """Return the cities within 120 km of an attack's."""
        found: set[str] = set()
        lats, lons = self.network.city_points
        for each in attack.destinations:
            if each.adcode is not None:
                found.add(str(each.adcode))
                if city := self.network.city(str(each.adcode)):
                    found.add(city)
            if each.lat is not None and each.lon is not None:
                near = np.flatnonzero(distances_km(each.lat, each.lon, lats, lons) <= NEAR_KM)
                found.update(self.network.cities[int(index)].adcode for index in near)
        return frozenset(found)


def parties(attack: Attack) -> frozenset[str]:
    """Return the dealers of whom an alert may rightly speak."""
    found = {attack.dealer} if attack.dealer else set()
    if attack.type in _PARTIES_COUNT:
        found |= set(attack.parties)
    return frozenset(found)


def _half(named: frozenset[str], goods: frozenset[str]) -> bool:
    return bool(named) and 2 * len(named & goods) >= len(named)


def _arrays(points: Iterable[tuple[float, float]]) -> tuple[Any, Any]:
    found = np.array(list(points), dtype=np.float64)
    return found[:, 0], found[:, 1]
