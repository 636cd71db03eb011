"""Events of custody that an alert cites and no device of the brand scanned: what partners and clerks put on record."""

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from trace_service.store.rows import key_columns
from trace_service.web.database import Database
from trace_service.web.errors import NotFoundError
from trace_service.web.models import Alert, Message

Number = tuple[str, UUID, int]


class Record(Message):
    """One event as it was captured; `refused` is the rule of custody that it breaks, `units` how many it names.

    `document` is the EPCIS event that it came in, as it was sent, and `event_id` the name that document bears. Evidence
    comes before paperwork, so that its place may be known to nobody.
    """

    unit: str
    biz_step: str
    site: str
    site_name_zh: str | None
    site_name_en: str | None
    dealer: str | None
    dealer_name_zh: str | None
    dealer_name_en: str | None
    shipment: str | None
    parent: str | None
    occurred_at: datetime
    recorded_at: datetime
    refused: str | None
    units: int
    event_id: str | None
    document: dict[str, Any] | None

    @property
    def text(self) -> str:
        """The document as it is read."""
        return json.dumps(self.document, ensure_ascii=False, indent=2) if self.document else ""


async def records(database: Database, brand: str, alerts: Iterable[Alert]) -> list[Record]:
    """Return what alerts cite besides scans, oldest first."""
    numbers = {
        number for alert in alerts for each in alert.parameters.get("records") or () if (number := _parsed(each))
    }
    return await _found(database, brand, numbers) if numbers else []


async def record(database: Database, brand: str, message: Number) -> Record:
    """Return one event by its number. Raises NotFoundError."""
    found = await _found(database, brand, {message})
    if not found:
        device, boot, seq = message
        raise NotFoundError(f"no message {device}/{boot}/{seq}")
    return found[0]


async def _found(database: Database, brand: str, numbers: Iterable[Number]) -> list[Record]:
    return await database.many("records", Record, {"brand": brand, **key_columns(numbers)})


def _parsed(number: object) -> Number | None:
    """Return a stored number as its parts, None for what is none."""
    device, _, rest = str(number).partition("/")
    boot, _, seq = rest.partition("/")
    try:
        return device, UUID(boot), int(seq)
    except ValueError:
        return None
