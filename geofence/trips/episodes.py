"""What goes wrong on a trip, told once from beginning to end."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

MOST_EVIDENCE: Final = 12


class Kind(StrEnum):
    """What a plan can be violated by."""

    OFF_ROUTE = "off_route"
    WRONG_WAY = "wrong_way"
    SKIPPED_STOP = "skipped_stop"
    LONG_STOP = "long_stop"
    OVERSTAY = "overstay"
    LATE_DEPARTURE = "late_departure"
    LATE_ARRIVAL = "late_arrival"
    LEFT_EARLY = "left_early"
    MISSING_SIGNAL = "missing_signal"
    UNLOAD_OUTSIDE = "unload_outside"
    FORBIDDEN_SITE = "forbidden_site"


class Severity(StrEnum):
    """How soon somebody should look."""

    NOTICE = "notice"
    WARNING = "warning"
    CRITICAL = "critical"


SEVERITY: Final = {
    Kind.OFF_ROUTE: Severity.WARNING,
    Kind.WRONG_WAY: Severity.NOTICE,
    Kind.SKIPPED_STOP: Severity.WARNING,
    Kind.LONG_STOP: Severity.WARNING,
    Kind.OVERSTAY: Severity.NOTICE,
    Kind.LATE_DEPARTURE: Severity.NOTICE,
    Kind.LATE_ARRIVAL: Severity.NOTICE,
    Kind.LEFT_EARLY: Severity.NOTICE,
    Kind.MISSING_SIGNAL: Severity.WARNING,
    Kind.UNLOAD_OUTSIDE: Severity.CRITICAL,
    Kind.FORBIDDEN_SITE: Severity.CRITICAL,
}


class NoteCode(StrEnum):
    """Why; the numbers that each carries are named beside it."""

    AWAY_FROM_CORRIDOR = "away_from_corridor"  # metres, width_m
    SHORTCUT = "shortcut"  # route_m, seconds
    MOVED_BACK = "moved_back"  # metres
    NEVER_VISITED = "never_visited"  # stop
    STAYED_TOO_SHORT = "stayed_too_short"  # stop, seconds, least_s
    STOOD = "stood"  # seconds
    STAYED = "stayed"  # stop, seconds, most_s
    AFTER_SCHEDULE = "after_schedule"  # stop, seconds
    BEFORE_SCHEDULE = "before_schedule"  # stop, seconds
    SILENT = "silent"  # seconds
    NEVER_HEARD = "never_heard"
    DOOR_OPENED = "door_opened"  # metres to the nearest site, amount
    WEIGHT_DROPPED = "weight_dropped"  # metres, amount
    ITEMS_RECEIVED = "items_received"  # metres, amount
    INSIDE = "inside"  # seconds
    CROSSED_BETWEEN_FIXES = "crossed_between_fixes"  # metres


@dataclass(slots=True)
class Note:
    """One coded statement; `numbers` are what an interface needs to say it."""

    code: NoteCode
    numbers: dict[str, float] = field(default_factory=dict)


@dataclass(slots=True)
class Episode:
    """One violation: `start` and `end` in milliseconds, None while it goes on; `evidence` are moments of fixes.

    `subject` is the site or the number of the stop that it is about, or empty.
    """

    kind: Kind
    subject: str
    start: int
    raised_at: int
    severity: Severity
    notes: list[Note]
    evidence: list[int] = field(default_factory=list)
    end: int | None = None

    @property
    def id(self) -> str:
        """What tells it from the trip's other episodes."""
        return f"{self.kind}:{self.subject}:{self.start}"

    def see(self, at: int) -> None:
        """Add a fix to the evidence: the first ones are kept, and the last."""
        if self.evidence and self.evidence[-1] == at:
            return
        if len(self.evidence) >= MOST_EVIDENCE:
            self.evidence[-1] = at
        else:
            self.evidence.append(at)

    def note(self, code: NoteCode, **numbers: float) -> None:
        """State a reason, replacing what was said under the same code."""
        self.notes = [each for each in self.notes if each.code is not code]
        self.notes.append(Note(code, {name: round(value, 1) for name, value in numbers.items()}))


class Action(StrEnum):
    """What became of an episode."""

    RAISED = "raised"
    UPDATED = "updated"
    ENDED = "ended"
    RETRACTED = "retracted"


@dataclass(frozen=True, slots=True)
class Change:
    """News of one episode; `id` is that of its first mention, also where a late fix moved its start."""

    action: Action
    id: str
    episode: Episode


def differences(
    before: list[tuple[str, Episode]], after: list[Episode]
) -> tuple[list[Change], list[tuple[str, Episode]]]:
    """Return what changed from what was told to what is known now, and what counts as told from now on."""
    changes: list[Change] = []
    told: list[tuple[str, Episode]] = []
    open_ids = list(before)
    for episode in after:
        match = next((each for each in open_ids if _same(each[1], episode)), None)
        if match is None:
            changes.append(Change(Action.RAISED, episode.id, episode))
            if episode.end is not None:
                changes.append(Change(Action.ENDED, episode.id, episode))
            told.append((episode.id, episode))
            continue
        open_ids.remove(match)
        name, old = match
        if old.end is None and episode.end is not None:
            changes.append(Change(Action.ENDED, name, episode))
        elif (old.start, old.end) != (episode.start, episode.end):
            changes.append(Change(Action.UPDATED, name, episode))
        told.append((name, episode))
    changes += [Change(Action.RETRACTED, name, old) for name, old in open_ids]
    return changes, told


def _same(one: Episode, other: Episode) -> bool:
    if (one.kind, one.subject) != (other.kind, other.subject):
        return False
    ends = min(one.end or 2**62, other.end or 2**62)
    return max(one.start, other.start) <= ends
