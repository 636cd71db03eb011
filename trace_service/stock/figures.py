"""From rows of what is sensed and counted to rows of figures and findings. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from trace_service.domain.events import Source
from trace_service.stock.fusion import LEAST_CONFIDENCE, Figure, Place, fuse

Row = Any
Key = tuple[str, str]
_REFILL_UNITS: Final = 3
"""Fewer units put up at once are customers who put something back."""


@dataclass(slots=True)
class Figures:
    """What to write: figures, findings, ended findings, by how much stock rose, and whom to tell."""

    written: list[dict[str, Any]] = field(default_factory=list)
    findings: list[dict[str, Any]] = field(default_factory=list)
    resolved: list[int] = field(default_factory=list)
    strange: set[Key] = field(default_factory=set)
    rises: dict[Key, int] = field(default_factory=dict)
    told: set[tuple[str, str]] = field(default_factory=set)


def figures_of(rows: Iterable[Row], counted: Mapping[Key, Row], cause: Source) -> Figures:
    """Return what follows for places from their rows of `sense`, after the ledger's counts."""
    figures = Figures()
    for row in rows:
        _add(figures, row, counted.get((row.site, row.gtin)), cause)
    return figures


def _add(figures: Figures, row: Row, count: Row | None, cause: Source) -> None:
    key = (row.site, row.gtin)
    confidence = row.confidence or 0.0
    believed = row.units is not None and confidence >= LEAST_CONFIDENCE
    rise = row.units - row.sensed if believed and row.sensed is not None else 0
    if rise > 0:
        figures.rises[key] = rise
    backroom, unscanned = _backroom(row, count, rise, believed=believed)
    place = Place(row.ledger, row.received, row.sold_lately > 0, tuple(row.differences), row.settled)
    figure = fuse(place, None if row.units is None else row.units + backroom, confidence)
    figure = _keep(row, figure, believed=believed)
    figures.written.append({**_written(row, figure, believed=believed), "backroom": backroom})
    strangers = count.strangers if count else 0
    found = {
        "shrinkage": figure.lost,
        "unrecorded_refill": figure.found or unscanned,
        "unexplained_stock": strangers,
        "phantom_stock": figure.phantom if row.phantom is None else 0,
        "wrong_planogram": max(row.units or 0, 1) if row.misplanned and row.wrong is None else 0,
    }
    for kind, quantity in found.items():
        if quantity > 0:
            keys = {"brand": row.brand, "site": row.site, "gtin": row.gtin, "kind": kind, "quantity": quantity}
            detail = {"ledger": row.ledger, "sensed": row.units, "backroom": backroom}
            figures.findings.append({**keys, "detail": detail, **cause._asdict()})
    if strangers > 0:
        figures.strange.add(key)
    if row.phantom is not None and not figure.phantom and figure.certainty >= LEAST_CONFIDENCE:
        figures.resolved.append(row.phantom)
    if row.unplanned is not None:
        figures.resolved.append(row.unplanned)
    if row.wrong is not None and believed:
        figures.resolved.append(row.wrong)


def _written(row: Row, figure: Figure, *, believed: bool) -> dict[str, Any]:
    return {
        "site": row.site,
        "gtin": row.gtin,
        # Where no channel is left, no shelf says anything.
        "sensed": row.units if believed or row.units is None else row.sensed,
        "sensed_at": row.ts if believed or row.units is None else row.sensed_at,
        "confidence": row.confidence,
        "device": row.device,
        "boot": row.boot,
        "seq": row.seq,
        "quantity": figure.quantity,
        "certainty": figure.certainty,
        "differences": list(figure.differences),
        "settled": figure.settled,
        "sure_at": row.ts if believed and figure.certainty >= LEAST_CONFIDENCE else row.sure_at,
    }


def _backroom(row: Row, count: Row | None, rise: int, *, believed: bool) -> tuple[int, int]:
    """Return what stands in the backroom, and what was put up that never came in by scan.

    What is received goes there until the shelf has risen by as much. A shelf that is new begins with the books: what it
    does not show of them is in the backroom.
    """
    if row.units is None:
        return 0, 0
    if row.sensed is None:
        return max(row.ledger - row.units, 0) if believed else 0, 0
    backroom = row.backroom + max(count.arrived if count else 0, 0)
    if not believed or rise < min(_REFILL_UNITS, max(row.items_per_case // 2, 1)):
        return backroom, 0
    carried = min(rise, backroom)
    extra = rise - carried
    # Where sales are scanned the differences tell this better.
    unscanned = extra if row.received and not row.sold_lately and extra >= _REFILL_UNITS else 0
    # What the books do not have is not in the backroom: it was sold from the shelf between two readings.
    return min(backroom - carried, max(row.ledger - row.units, 0)), unscanned


def _keep(row: Row, figure: Figure, *, believed: bool) -> Figure:
    """Let the last good figure stand where a shelf cannot be believed and the ledger tells no sales."""
    if believed or row.units is None or row.sold_lately or row.quantity is None:
        return figure
    return figure._replace(quantity=row.quantity, certainty=min(row.certainty, 0.4))
