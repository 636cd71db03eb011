"""What the engine knows at a moment, as suspicions: the cells that were touched lately, weighed."""

from collections.abc import Callable
from math import isfinite
from typing import Final, NamedTuple

from trace_service.detection.calibration import features
from trace_service.detection.cell import Cell
from trace_service.detection.engine import Engine
from trace_service.detection.placing import Kind
from trace_service.detection.settings import DAY_MS
from trace_service.inspections.model import Suspicion

Left = Callable[[frozenset[str]], float]
_CELL_DAYS: Final = 63
_NO_NATS: Final = -20.0


class _Weighed(NamedTuple):
    probability: float
    nats: float
    short: float
    cases: int


class Watch:
    """Looks at an engine without changing it. What did not change this week is weighed once."""

    def __init__(self, engine: Engine, left: Left | None = None) -> None:
        self._engine, self._left = engine, left
        self._known: dict[tuple[str, int], tuple[tuple[object, ...], _Weighed]] = {}

    def suspicions(self, now: int) -> list[Suspicion]:
        """Return every dealer × foreign city that was seen in the last nine weeks."""
        since, found = now - _CELL_DAYS * DAY_MS, []
        for (dealer, city), cell in self._engine.sightings.cells.items():
            if cell.latest < since or not cell.hits:
                continue
            weighed = self._weighed(cell, now)
            adcode = self._engine.network.cities[city].adcode
            entry = self._engine.ledger.standing.get(f"flow/{dealer}/{adcode}")
            ships = frozenset(hit.shipment for hit in cell.hits.values() if hit.shipment is not None)
            found.append(
                Suspicion(
                    dealer=dealer,
                    city=adcode,
                    probability=weighed.probability,
                    nats=weighed.nats,
                    short=weighed.short,
                    cases=weighed.cases,
                    last_seen=cell.latest,
                    standing=entry is not None and entry.alert is not None,
                    left=self._left(ships) if self._left else 0.0,
                )
            )
        return found

    def _weighed(self, cell: Cell, now: int) -> _Weighed:
        engine = self._engine
        seen = (len(cell.hits), cell.latest, len(cell.pieces), len(cell.at_home))
        key = (engine.habits.snapshot, *seen, cell.allowed(now))
        before = self._known.get((cell.dealer, cell.city))
        if before is not None and before[0] == key:
            return before[1]
        weighed = engine.flow.weigher.weigh(cell, now)
        raised = engine.flow.stricter()
        drip, bulk = engine.settings.drip_nats + raised, engine.settings.bulk_nats + raised
        inputs = features(weighed.evidence)
        nats = max(weighed.drip, weighed.bulk)
        found = _Weighed(
            probability=max(cell.past, engine.calibration.cell.probability(inputs)),
            nats=nats if isfinite(nats) else _NO_NATS,
            short=max(0.0, min(drip - weighed.drip, bulk - weighed.bulk)) if isfinite(nats) else -_NO_NATS,
            cases=len(cell.pieces) + sum(piece.kind == Kind.STORE for piece in cell.pieces),
        )
        self._known[cell.dealer, cell.city] = (key, found)
        return found
