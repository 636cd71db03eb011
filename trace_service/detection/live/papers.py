"""Shipments as papers, told again whenever a unit joins or leaves them."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from datetime import datetime
from typing import Any

from trace_service.detection.live.feed import milliseconds
from trace_service.detection.live.queries import SQL
from trace_service.detection.observations import Shipment
from trace_service.domain.events import Event
from trace_service.store.connection import Connection


def shipments(connection: Connection, brand: str, numbers: Collection[str], received: datetime) -> Iterator[Shipment]:
    """Yield shipments to dealers as they stand now, in the order of their departure."""
    if not numbers:
        return
    for row in connection.execute(SQL["shipments_of"], {"brand": brand, "numbers": sorted(numbers)}):
        own = row.sender == row.dealer
        yield Shipment(
            key=row.shipment,
            kind=_kind(row),
            sender=row.sender or brand,
            # A delivery to a shop of the sender's own names no other dealer.
            receiver="" if own else row.dealer,
            departed_at=milliseconds(row.departed),
            received_at=milliseconds(received),
            items=row.items,
            cases=tuple(row.cases or ()),
            arrived_at=None if row.arrived is None else milliseconds(row.arrived),
        )


def _kind(row: Any) -> str:  # noqa: ANN401  a row
    if row.sender == row.dealer:
        return "delivery"
    if row.sender is not None and row.sender_above == row.dealer:
        return "return"
    if row.sender == row.above:
        return "order"
    return "dropship" if row.sender is None else "transfer"


def returned(brand: str, events: Iterable[Event], sender: str, received: datetime) -> Iterator[Shipment]:
    """Yield what these events, accepted returns of one dealer, send back to the brand."""
    cases: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        cases[event.shipment or ""].append(event)
    for number, found in sorted(cases.items()):
        if number:
            departed = min(each.occurred_at for each in found)
            units = tuple(sorted({each.unit for each in found}))
            yield Shipment(
                key=number,
                kind="return",
                sender=sender,
                receiver=brand,
                departed_at=milliseconds(departed),
                received_at=milliseconds(received),
                items=0,
                cases=units,
            )
