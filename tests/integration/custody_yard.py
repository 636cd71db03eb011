"""A yard for custody tests: the demo brand's sites and dealers, and events captured as other sources send them."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from conftest import TestDatabase
from trace_market import HOST, KEYS

from trace_service.demo import run_demo
from trace_service.domain.events import Event, Refusal, Source, Step
from trace_service.processing.capture import capture
from trace_service.processing.history import UnitState, state_at
from trace_service.store.connection import Connection, connect

START = datetime(2026, 3, 2, 8, tzinfo=UTC)
BRAND, PRODUCT = "qingyuan", "/01/09506000134352"
PALLET, CASE, OTHER_CASE = "/00/395060001000000015", "/00/395060001000000022", "/00/395060001000000039"


def at(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


def item(number: int) -> str:
    return f"{PRODUCT}/21/ITEM{number}"


@dataclass
class Yard:
    database: TestDatabase
    demo: bool = True
    connection: Connection = field(init=False)
    boot: uuid.UUID = field(default_factory=uuid.uuid4)
    numbers: int = 0

    def __post_init__(self) -> None:
        self.connection = connect(self.database.trace_dsn, "custody yard")
        if self.demo:
            run_demo(self.connection, KEYS, HOST)

    def event(self, step: Step, minutes: float, unit: str = CASE, site: str = "dc-east", **more: Any) -> Event:  # noqa: ANN401  passed on
        self.numbers += 1
        if step is Step.SHIP:
            more = {"dealer": "D-CHENGDU", "shipment": "SO-1", **more}
        return Event(unit, step, site, at(minutes), Source("epcis", self.boot, self.numbers), **more)

    def capture(self, *events: Event, connection: Connection | None = None) -> Sequence[Refusal | None]:
        found = self.capture_all(events, connection)
        return [found[event.source] for event in events]

    def capture_all(
        self, events: Sequence[Event], connection: Connection | None = None
    ) -> Mapping[Source, Refusal | None]:
        connection = connection or self.connection
        with connection.transaction():
            return capture(connection, BRAND, events)

    def state(self, unit: str, minutes: float, known_at: datetime | None = None) -> UnitState:
        return state_at(self.connection, BRAND, unit, at(minutes), known_at)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in self.connection.execute(query)]  # type: ignore[call-overload]

    def written(self) -> int:
        """Return how many rows of custody there are."""
        tables = "custody_event", "containment", "binding", "custody_reliance", "shipment", "custody_content"
        with psycopg.connect(self.database.owner_dsn) as owner:
            counts = [owner.execute(f"SELECT count(*) FROM trace.{table}").fetchall() for table in tables]  # type: ignore[call-overload]  # noqa: S608  names of ours
        return sum(count for ((count,),) in counts)

    def now(self) -> datetime:
        moment = self.rows("SELECT clock_timestamp()")[0][0]
        assert isinstance(moment, datetime)
        return moment

    def packed_pallet(self, items: int = 3) -> list[str]:
        """Commission items, pack them into a case and the case on a pallet."""
        units = [item(number) for number in range(items)]
        made = [self.event(Step.COMMISSION, 0, unit, "factory") for unit in units]
        packed = [self.event(Step.PACK, 1, unit, "factory", parent=CASE) for unit in units]
        assert set(self.capture(*made, *packed, self.event(Step.PACK, 2, CASE, parent=PALLET))) == {None}
        return units
