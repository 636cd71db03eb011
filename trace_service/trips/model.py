"""Trips as they travel: what a transport system sends, and what it is told."""

from datetime import datetime
from typing import Annotated, Final, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from geofence.coordinates import Crs
from geofence.trips import HandlingKind, Leg, Role, Site, Stop, TripPlan

NAME: Final = r"^[A-Za-z0-9_.:-]{1,64}$"
DEVICE: Final = r"^[A-Za-z0-9_-]{1,64}$"
Name = Annotated[str, Field(pattern=NAME)]
Device = Annotated[str, Field(pattern=DEVICE)]
Longitude = Annotated[float, Field(ge=-180, le=180)]
Latitude = Annotated[float, Field(ge=-90, le=90)]
Place = tuple[Longitude, Latitude]
Seconds = Annotated[int, Field(ge=0, le=7 * 86_400)]
MOST_REPORTS: Final = 1_000


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class SiteDraft(_Strict):
    """A place with a border, WGS-84: a circle around `centre`, or a closed ring."""

    role: Role = Role.STOP
    centre: Place
    radius_m: Annotated[float, Field(ge=0, le=20_000)] = 0.0
    ring: Annotated[tuple[Place, ...], Field(max_length=5_000)] = ()

    def site(self, name: str) -> Site:
        """Return it as the judgement takes it; raises PlanError."""
        return Site(name, self.role, *self.centre, self.radius_m, self.ring)


class NamedSite(SiteDraft):
    """A site with its id."""

    id: Name


class LegDraft(_Strict):
    """A line from one stop to the next; the corridor reaches `width_m` to either side."""

    line: Annotated[tuple[Place, ...], Field(min_length=2, max_length=50_000)]
    width_m: Annotated[float, Field(ge=20, le=20_000)]

    def leg(self) -> Leg:
        """Return it as the judgement takes it."""
        return Leg(self.line, self.width_m)


class RouteDraft(_Strict):
    """Legs in the order of driving."""

    legs: Annotated[tuple[LegDraft, ...], Field(min_length=1, max_length=200)]


class StopDraft(_Strict):
    """A site to be served, with its times."""

    site: Name
    opens: AwareDatetime | None = None
    closes: AwareDatetime | None = None
    min_dwell_s: Seconds = 0
    max_dwell_s: Annotated[int, Field(ge=1, le=7 * 86_400)] | None = None
    departs_by: AwareDatetime | None = None

    def stop(self) -> Stop:
        """Return it as the judgement takes it."""
        return Stop(
            self.site,
            milliseconds(self.opens),
            milliseconds(self.closes),
            self.min_dwell_s,
            self.max_dwell_s,
            milliseconds(self.departs_by),
        )


class TripDraft(_Strict):
    """A trip: the truck's reports from `begins` to `ends` belong to it.

    Legs are given here, or by the name of a stored route; sites here, or stored ones by the names that stops use.
    `allowed` and `forbidden` name stored sites.
    """

    device: Device
    begins: AwareDatetime
    ends: AwareDatetime
    stops: Annotated[tuple[StopDraft, ...], Field(min_length=2, max_length=200)]
    route: Name | None = None
    legs: Annotated[tuple[LegDraft, ...], Field(max_length=200)] = ()
    sites: Annotated[tuple[NamedSite, ...], Field(max_length=500)] = ()
    allowed: Annotated[tuple[Name, ...], Field(max_length=500)] = ()
    forbidden: Annotated[tuple[Name, ...], Field(max_length=500)] = ()

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.begins >= self.ends:
            raise ValueError("the trip ends before it begins")
        if bool(self.legs) == (self.route is not None):
            raise ValueError("give either legs or the name of a route")
        return self


class Plan(_Strict):
    """A trip's plan, complete in itself, as it is kept."""

    device: Device
    begins: AwareDatetime
    ends: AwareDatetime
    stops: tuple[StopDraft, ...]
    legs: tuple[LegDraft, ...]
    sites: tuple[NamedSite, ...]

    def trip(self, name: str) -> TripPlan:
        """Return it as the judgement takes it; raises PlanError naming what does not fit together."""
        return TripPlan(
            name,
            self.device,
            tuple(each.stop() for each in self.stops),
            tuple(each.leg() for each in self.legs),
            tuple(each.site(each.id) for each in self.sites),
        )


class FixReport(_Strict):
    """Where a truck was: degrees in `crs`, the 68 % radius in metres."""

    device: Device
    at: AwareDatetime
    lon: Longitude
    lat: Latitude
    accuracy_m: Annotated[float, Field(ge=0, le=100_000)]
    speed_mps: Annotated[float, Field(ge=0, le=500)] | None = None
    crs: Crs = Crs.WGS84


class HandlingReport(_Strict):
    """Goods were handled: a door was opened, kilograms left, items were scanned as received."""

    device: Device
    at: AwareDatetime
    kind: HandlingKind
    amount: Annotated[float, Field(gt=0, le=1_000_000)] = 1.0


class Reports(_Strict):
    """What trackers report, in any order; sent again it changes nothing."""

    fixes: Annotated[tuple[FixReport, ...], Field(max_length=MOST_REPORTS)] = ()
    handlings: Annotated[tuple[HandlingReport, ...], Field(max_length=MOST_REPORTS)] = ()


class Refused(BaseModel):
    """One report that was not taken, by its place in its list, and why."""

    list: Literal["fixes", "handlings"]
    index: int
    reason: Literal["time_out_of_range"]


class Taken(BaseModel):
    """How many reports are new, how many were known before, and which were refused."""

    stored: int
    repeated: int
    refused: list[Refused]


class Placed(BaseModel):
    """A trip's version in force."""

    trip: str
    version: int
    outcome: Literal["created", "changed", "unchanged"]


class Note(BaseModel):
    """One coded reason with its numbers."""

    code: str
    numbers: dict[str, float]


class Violation(BaseModel):
    """An episode as it is known now; `state` is `open`, `ended` or `retracted`."""

    trip: str
    id: str
    kind: str
    subject: str
    severity: str
    state: Literal["open", "ended", "retracted"]
    started_at: datetime
    ended_at: datetime | None
    known_at: datetime
    notes: list[Note]
    evidence: list[datetime]


class Trip(BaseModel):
    """A trip with how far it is; `stop` counts the stops behind it, `progress_m` metres along the route."""

    trip: str
    version: int
    device: str
    begins: datetime
    ends: datetime
    stop: int
    stops: int
    progress_m: float | None
    last_at: datetime | None
    finished_at: datetime | None
    violations: int


class TripList(BaseModel):
    """Trips, latest first; `before` is the parameter for the next part, null at the end."""

    trips: list[Trip]
    before: str | None


class TripDetail(BaseModel):
    """One trip with its violations, those taken back included."""

    trip: Trip
    violations: list[Violation]


class ViolationList(BaseModel):
    """Violations, newest news first; `before` is the parameter for the next part, null at the end."""

    violations: list[Violation]
    before: int | None


def milliseconds(moment: datetime | None) -> int | None:
    """Return a moment in milliseconds since the epoch."""
    return None if moment is None else round(moment.timestamp() * 1000)
