"""The journey of a case as steps, the missing ones included."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from trace_service.web.inquiries import Journey
from trace_service.web.models import CustodyEvent, Evidence

# The steps that every case should have on record before anyone buys it, and where a missing one is shown.
_FIRST: Final = ("packing", "shipping")
_LAST: Final = "receiving"
# So many journeys a page draws; it counts all, and says how many are not drawn.
DRAWN: Final = 200
# Of steps before the one that counts, so many are shown: those at the beginning, and the last ones.
_MOST: Final = 6
_BEGIN: Final = 2
# Scans by people and tills: others are steps of custody themselves.
_FOUND: Final = frozenset({"consumer", "sell", "inspect", "observe"})


@dataclass(frozen=True, slots=True)
class Step:
    """One step at one place: what was recorded there first; without `first` it is missing.

    `scan` is the first of those that an alert rests on: a step `found`, or the step of custody that it was itself.
    `count` steps are left out here.
    """

    name: str
    first: CustodyEvent | None
    scan: Evidence | None = None
    count: int = 0


@dataclass(frozen=True, slots=True)
class Timeline:
    """One case: its steps in order, and the scans that gave it away."""

    case_unit: str
    steps: list[Step]
    events: list[CustodyEvent]
    scans: list[Evidence]


def timelines(journeys: Iterable[Journey]) -> list[Timeline]:
    """Return one timeline a case of which anything is on record or expected; codes that nobody issued have none."""
    return [
        Timeline(journey.case_unit, _with_scan(_steps(journey.events), journey.scans), journey.events, journey.scans)
        for journey in journeys
        if journey.events or any(scan.code_state != "unknown" for scan in journey.scans)
    ]


def _with_scan(steps: list[Step], scans: Sequence[Evidence]) -> list[Step]:
    if not scans:
        return _shortened(steps, len(steps) - 1)
    scan = scans[0]
    own = [at for at, each in enumerate(steps) if each.first and each.first.occurred_at == scan.occurred_at]
    if scan.activity not in _FOUND and own:
        at = own[0]
        return _shortened([*steps[:at], replace(steps[at], scan=scan), *steps[at + 1 :]], at)
    found = Step("found" if scan.activity in _FOUND else "evidence", None, scan)
    later = (at for at, each in enumerate(steps) if each.first and each.first.occurred_at > scan.occurred_at)
    at = next(later, len(steps))
    return _shortened([*steps[:at], found, *steps[at:]], at)


def _shortened(steps: list[Step], at: int) -> list[Step]:
    """Return the first steps and those about the one `at`, with how many are left out between and behind."""
    after = steps[at + 1 :]
    behind = after if len(after) <= 1 else [Step("more", None, count=len(after))]
    before = steps[:at]
    if len(before) > _MOST:
        middle = Step("more", None, count=len(before) - _MOST + 1)
        before = [*before[:_BEGIN], middle, *before[_BEGIN - _MOST + 1 :]]
    return [*before, steps[at], *behind]


def _steps(events: Sequence[CustodyEvent]) -> list[Step]:
    """Return every step in the order in which it was recorded, the same at the same place once in a row."""
    found: list[Step] = []
    for event in events:
        before = found[-1].first if found else None
        if before is None or (before.biz_step, before.site) != (event.biz_step, event.site):
            found.append(Step(event.biz_step, event))
    names = {each.name for each in found}
    missing = [Step(name, None) for name in _FIRST if name not in names]
    at = 1 if names & {"packing"} else 0  # nothing comes before it was packed
    found[at:at] = missing
    return found if _LAST in names else [*found, Step(_LAST, None)]
