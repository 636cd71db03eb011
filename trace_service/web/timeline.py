"""The journey of a case as steps, the missing ones included."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from trace_service.web.inquiries import Journey
from trace_service.web.models import CustodyEvent, Evidence

# The steps that every case should have on record before anyone buys it.
EXPECTED: Final = ("packing", "shipping", "receiving")


@dataclass(frozen=True, slots=True)
class Step:
    """One step: when and how often it was recorded; without `first` it is missing."""

    name: str
    first: CustodyEvent | None
    count: int


@dataclass(frozen=True, slots=True)
class Timeline:
    """One case: its steps in order, and the scans that gave it away."""

    case_unit: str
    steps: list[Step]
    events: list[CustodyEvent]
    scans: list[Evidence]

    @property
    def found_at(self) -> datetime:
        """When the case was first seen where it should not be."""
        return self.scans[0].occurred_at


def timelines(journeys: Iterable[Journey]) -> list[Timeline]:
    """Return one timeline a case."""
    return [Timeline(journey.case_unit, _steps(journey.events), journey.events, journey.scans) for journey in journeys]


def _steps(events: list[CustodyEvent]) -> list[Step]:
    others = [event.biz_step for event in events if event.biz_step not in EXPECTED]
    names = [*EXPECTED, *dict.fromkeys(others)]
    found = {name: [event for event in events if event.biz_step == name] for name in names}
    return [Step(name, rows[0] if rows else None, len(rows)) for name, rows in found.items()]
