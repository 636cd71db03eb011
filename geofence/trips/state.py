"""Everything that a trip's judgement remembers between two fixes; plain data, so that it can be stored."""

from dataclasses import dataclass, field

from geofence.trips.episodes import Episode
from geofence.trips.reports import Fix, Handling


@dataclass(slots=True)
class Hypothesis:
    """One way in which the truck may be following the route; metres along it, moments in milliseconds, degrees.

    `cost` grows with what would be odd of it, in metres. `peak` is the farthest it came since it last turned, `low`
    how far back it went from there; `missed` fixes in a row did not fit. `leap_m` is a stretch of the route that there
    was no time to drive.
    """

    s: float
    at: int
    place: tuple[float, float]
    cost: float
    width: float
    away: float
    peak: float
    peak_at: int
    low: float
    missed: int = 0
    leap_m: float = 0.0
    leap_from: int = 0
    leap_to: int = 0
    leap_fixes: int = 0


@dataclass(slots=True)
class Presence:
    """Whether the truck is at one site; `since` is when it began to seem otherwise, `count` fixes ago."""

    inside: bool = False
    entered: int = 0
    count: int = 0
    since: int = 0


@dataclass(slots=True)
class StopState:
    """What became of one stop; `short_s` is a visit that was too short to count."""

    arrived: int | None = None
    left: int | None = None
    short_s: float | None = None
    settled: bool = False


@dataclass(slots=True)
class State:
    """The memory of one trip."""

    stops: list[StopState] = field(default_factory=list)
    waiting: list[Fix] = field(default_factory=list)
    handled: list[Handling] = field(default_factory=list)
    newest: int = 0
    judged: int = 0
    last: Fix | None = None
    suspect: Fix | None = None
    heard: int = 0
    hypotheses: list[Hypothesis] = field(default_factory=list)
    away: list[int] = field(default_factory=list)
    away_m: float = 0.0
    back: int = 0
    back_at: int = 0
    past: int = 0
    sites: dict[str, Presence] = field(default_factory=dict)
    next_stop: int = 0
    anchor: Fix | None = None
    anchor_seen: int = 0
    moved: int = 0
    pending: list[Handling] = field(default_factory=list)
    finished: int | None = None
    episodes: list[Episode] = field(default_factory=list)
    told: list[tuple[str, Episode]] = field(default_factory=list)
    changed: bool = False
