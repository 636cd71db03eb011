"""Several dealers who send little each to one place: cells too weak alone, weighed together."""

from collections.abc import Iterable, Sequence
from itertools import islice
from math import comb, exp, log
from typing import Any, Final

from msgspec import structs

from trace_service.detection.cell import Cell
from trace_service.detection.changes import Claim
from trace_service.detection.detectors.flow import FlowDetector, contributions
from trace_service.detection.network import Network
from trace_service.detection.observations import Observation, Sighting, Withdrawn
from trace_service.detection.settings import DAY_MS, Settings

_LEAST_NATS: Final = 3.5
_LEAST_PIECES: Final = 2
_TOGETHER_MS: Final = 90 * DAY_MS
# Each further dealer could be any of those that trade: this many are looked at for every one who takes part.
_CHOICE_NATS: Final = log(12)
# One honest cell in exp(nats) is thought to take part, which is believed for so many cells.
_BELIEVED_CELLS: Final = 500.0


class CollusionDetector:
    """Adds up the cells of one city; where one of them is an alert by itself, there is nothing to add."""

    wants: tuple[type, ...] = (Sighting, Withdrawn)

    def __init__(self, network: Network, settings: Settings, flow: FlowDetector) -> None:
        self.network, self.settings, self.flow = network, settings, flow
        self._common = 0.0

    def observe(self, observation: Observation, now: int) -> Iterable[Claim]:
        """Weigh the cities that the flow detector just weighed."""
        del observation
        for city in dict.fromkeys(cell.city for cell in self.flow.touched):
            yield self._claim(city, now)

    def close_day(self, now: int) -> Iterable[Claim]:
        """Time alone makes nobody guilty; how common cells are that could take part is learned once a day."""
        found = [
            takes_part(nats, self.flow.sightings.cells[dealer, city], now)
            for city, row in self.flow.by_city.items()
            for dealer, nats in row.items()
        ]
        self._common = common_nats(sum(found), len(found))
        return ()

    def _claim(self, city: int, now: int) -> Claim:
        parts = self._parts(city, now)
        alone = any((cell.dealer, city) in self.flow.alarming for _, cell in parts)
        light = Claim(
            key=f"collusion/{self.network.cities[city].adcode}", detector="collusion", kind="collusion", dealer=None,
            nats=0.0, threshold=1.0,
        )  # fmt: skip
        if len(parts) < 2:  # noqa: PLR2004  # it takes two
            return light
        total = total_nats([nats for nats, _ in parts])
        raised = self.flow.stricter() + choice_nats(len(self.flow.by_city[city]), len(parts))
        raised += self._common * len(parts)
        claim = structs.replace(
            light,
            dealer=parts[0][1].dealer,
            nats=0.0 if alone else total,
            threshold=self.settings.collusion_nats + raised,
        )
        if alone or total < claim.threshold - self.settings.retract_margin_nats:
            return claim
        return self._told(claim, parts, self.flow.keeper.several(parts, now, raised))

    def _parts(self, city: int, now: int) -> list[tuple[float, Cell]]:
        """Return the cells of a city that are added up, the strongest first."""
        parts = [
            (nats, cell)
            for dealer, nats in self.flow.by_city.get(city, {}).items()
            if takes_part(nats, cell := self.flow.sightings.cells[dealer, city], now)
        ]
        return sorted(parts, key=lambda each: (-each[0], each[1].dealer))

    def _told(self, claim: Claim, parts: list[tuple[float, Cell]], material: dict[str, Any]) -> Claim:
        hits = [(hit, len(piece.hits)) for _, cell in parts for piece in cell.pieces for hit in piece.hits]
        return structs.replace(
            claim,
            adcode=claim.key.partition("/")[2],
            contributions=contributions(hits, claim.nats),
            units=tuple(dict.fromkeys(unit for hit, _ in hits for unit in hit.units)),
            shipments=tuple(sorted({hit.shipment for hit, _ in hits if hit.shipment})),
            parties=tuple(cell.dealer for _, cell in parts),
            figures={"dealers": {cell.dealer: round(nats, 3) for nats, cell in parts}},
            material=material,
            lead=True,
        )


def takes_part(nats: float, cell: Cell, now: int) -> bool:
    """Tell whether a dealer's cell is strong and young enough to be added to others."""
    if nats < _LEAST_NATS:
        return False
    since = now - _TOGETHER_MS
    # The youngest pieces come last, but for uploads that were late.
    recent = (piece for piece in reversed(cell.pieces) if piece.at >= since)
    return sum(1 for _ in islice(recent, _LEAST_PIECES)) == _LEAST_PIECES


def total_nats(nats: Sequence[float]) -> float:
    """Return what the cells of several dealers say together."""
    return sum(nats) - _CHOICE_NATS * (len(nats) - 1)


def choice_nats(dealers: int, parties: int) -> float:
    """Return what choosing so many among a city's dealers costs beyond what `total_nats` takes off."""
    return max(0.0, log(comb(dealers, parties)) - _CHOICE_NATS * (parties - 1))


def common_nats(strong: int, cells: int) -> float:
    """Return how many nats less each partner's cell says, where so many of all cells could take part.

    The more is seen of each cell, the more cells the baseline is wrong about: what every tenth cell says is no evidence
    of collusion, whatever its ratio. A market's own cells tell (B. Efron, Large-Scale Inference, 2010).
    """
    usual = exp(-_LEAST_NATS)
    return max(0.0, log((strong + _BELIEVED_CELLS * usual) / (cells + _BELIEVED_CELLS) / usual))
