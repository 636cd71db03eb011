"""What an alert about places was computed from, kept with it: enough to compute it again, with parts taken out. Pure.

Cases, devices and positions stay inside the service: pages show what follows from them.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from trace_service.detection.calibration import Calibration
from trace_service.detection.cell import Cell
from trace_service.detection.habits import Habits
from trace_service.detection.network import Network
from trace_service.detection.placing import KINDS
from trace_service.detection.ratios import SEEN
from trace_service.detection.settings import DAY_MS, Settings
from trace_service.detection.sightings import Sightings

# The form of what is kept. Whoever changes what `Material` holds, or what a field of it means, raises it.
FORM: Final = 1
AT_HOME: Final = 1
CARRIED: Final = 2
SETTLED: Final = 4
STOCKED: Final = 8
PROVINCE_DAYS: Final = (28, 100_000)
_MOST_UNSEEN: Final = 1_000_000


class KeptHit(Struct, frozen=True, array_like=True):
    """One case in one city; `device` numbers the phones of the cell (0: none), `marks` are flags of this module."""

    case: str
    at: int
    kind: int
    shipment: str | None
    device: int
    lat: float | None
    lon: float | None
    marks: int
    elsewhere: tuple[int, ...]  # kinds of its first sightings in other cities


class KeptCell(Struct, frozen=True):
    """A dealer × city: its hits in the order in which they came, and which of them are one piece."""

    dealer: str
    adcode: str
    hits: tuple[KeptHit, ...]
    pieces: tuple[tuple[int, ...], ...]
    allowance: float


class Part(Struct, frozen=True):
    """One dealer's share of a claim: cells that are weighed together."""

    dealer: str
    cells: tuple[KeptCell, ...]
    shares: tuple[float, ...]
    surge: float
    located: dict[int, tuple[int, ...]]  # days of a window → located cases by kind
    # Cases of the hits' shipments that were seen elsewhere only, by kinds of positions ("s": a shop had them) → number.
    silent: dict[str, dict[str, int]]
    stated: float = 0.0  # its nats when it was weighed last
    sent: int = 1  # shipments of the dealer that anything was seen of


class Material(Struct, frozen=True):
    """Everything that a claim of the flow or collusion detector follows from."""

    rule: Literal["city", "province", "several"]
    at: int
    parts: tuple[Part, ...]
    totals: tuple[int, int, int]  # cases in foreign cells; of these seen at home; of these had by a shop
    raised: float  # what the number of tested cells adds to each threshold
    settings: Settings
    coefficients: tuple[float, ...]
    seen_share: float = SEEN  # how likely a case is ever seen
    form: int = FORM


class Keeper:
    """Takes what is needed from the running detectors."""

    def __init__(self, network: Network, settings: Settings, sightings: Sightings, habits: Habits) -> None:
        self.network, self.settings = network, settings
        self.sightings, self.habits = sightings, habits

    def city(self, cell: Cell, now: int, raised: float, calibration: Calibration) -> dict[str, Any]:
        """Return what one city's claim follows from."""
        part = self._part([cell], cell.city, self.settings.windows_days, now)
        return self._whole("city", [part], now, raised, calibration)

    def province(self, cells: Sequence[Cell], place: int, now: int, raised: float) -> dict[str, Any]:
        """Return what a province's claim follows from; `place` stands for it in the baseline."""
        part = self._part(cells, place, PROVINCE_DAYS, now)
        return self._whole("province", [part], now, raised, Calibration())

    def several(self, stated: Iterable[tuple[float, Cell]], now: int, raised: float) -> dict[str, Any]:
        """Return what a claim about several dealers in one city follows from; each cell comes with its nats."""
        parts = [
            msgspec.structs.replace(self._part([cell], cell.city, self.settings.windows_days, now), stated=nats)
            for nats, cell in stated
        ]
        return self._whole("several", parts, now, raised, Calibration())

    def _whole(
        self, rule: Literal["city", "province", "several"], parts: list[Part], now: int, raised: float,
        calibration: Calibration,
    ) -> dict[str, Any]:  # fmt: skip
        kept = Material(
            rule, now, tuple(parts), self.sightings.totals, raised, self.settings, calibration.claim.coefficients,
            self.habits.seen_share,
        )  # fmt: skip
        found: dict[str, Any] = msgspec.to_builtins(kept, str_keys=True)
        return found

    def _part(self, cells: Sequence[Cell], place: int, windows: Iterable[int], now: int) -> Part:
        dealer = cells[0].dealer
        located = self.sightings.exposure.located
        return Part(
            dealer=dealer,
            cells=tuple(self._cell(each, now) for each in cells),
            shares=self.habits.shares(dealer, place) or (0.0,) * KINDS,
            surge=self.habits.surge(dealer, place),
            located={days: located(dealer, now - days * DAY_MS) for days in windows},
            silent=self._silent(cells[0]) if len(cells) == 1 else {},
            sent=len(self.sightings.sent[dealer]),
        )

    def _cell(self, cell: Cell, now: int) -> KeptCell:
        devices = {name: number for number, name in enumerate(dict.fromkeys(_devices(cell)), 1)}
        place = {case: index for index, case in enumerate(cell.hits)}
        hits = []
        for hit in cell.hits.values():
            whose = (cell.dealer, hit.case)
            cities = self.sightings.cities.get(whose, {})
            hits.append(
                KeptHit(
                    hit.case, hit.at, int(hit.kind), hit.shipment, devices.get(hit.device, 0), hit.lat, hit.lon,
                    AT_HOME * (hit.case in cell.at_home) + CARRIED * (hit.case in cell.carried)
                    + SETTLED * (hit.case in cell.settled) + STOCKED * (whose in self.sightings.stocked),
                    tuple(int(kind) for city, (kind, _) in cities.items() if city != cell.city),
                )
            )  # fmt: skip
        pieces = tuple(tuple(place[hit.case] for hit in piece.hits) for piece in cell.pieces)
        return KeptCell(cell.dealer, self.network.cities[cell.city].adcode, tuple(hits), pieces, cell.allowed(now))

    def _silent(self, cell: Cell) -> dict[str, dict[str, int]]:
        found: dict[str, dict[str, int]] = {}
        for shipment in dict.fromkeys(hit.shipment for hit in cell.hits.values() if hit.shipment is not None):
            counted = found[shipment] = {}
            for case in self.sightings.shipments.get(shipment, ()):
                if case not in cell.hits:
                    whose = (cell.dealer, case)
                    kinds = sorted(str(int(kind)) for kind, _ in self.sightings.cities.get(whose, {}).values())
                    profile = "".join(kinds) + "s" * (whose in self.sightings.stocked)
                    counted[profile] = counted.get(profile, 0) + 1
        return found


def _devices(cell: Cell) -> Iterable[str]:
    return (hit.device for hit in cell.hits.values() if hit.device)


def read_material(kept: dict[str, Any]) -> Material | None:
    """Return kept material, None for an alert that has none.

    Raises `msgspec.ValidationError` for another form, and for more goods that nobody saw than shipments can have.
    """
    if kept and kept.get("form", FORM) != FORM:
        raise msgspec.ValidationError(f"its form is {kept['form']!r}, and this version reads {FORM}")
    found = msgspec.convert(kept, Material, str_keys=True) if kept else None
    if found is not None and sum(_unseen(part) for part in found.parts) > _MOST_UNSEEN:
        raise msgspec.ValidationError(f"more than {_MOST_UNSEEN:,} cases that nobody saw")
    return found


def _unseen(part: Part) -> int:
    return sum(abs(number) for profiles in part.silent.values() for number in profiles.values())
