"""Is this truck where its plan says? Corridors, stops, schedules and signals, judged fix by fix."""

from geofence.trips.episodes import Action, Change, Episode, Kind, Note, NoteCode, Severity
from geofence.trips.ground import Ground
from geofence.trips.judge import Judge, judge_trip
from geofence.trips.plan import Leg, Role, Site, Stop, TripPlan
from geofence.trips.reports import Fix, Handling, HandlingKind, Report
from geofence.trips.rules import DEFAULT_RULES, Rules
from geofence.trips.state import State

__all__ = [
    "DEFAULT_RULES",
    "Action",
    "Change",
    "Episode",
    "Fix",
    "Ground",
    "Handling",
    "HandlingKind",
    "Judge",
    "Kind",
    "Leg",
    "Note",
    "NoteCode",
    "Report",
    "Role",
    "Rules",
    "Severity",
    "Site",
    "State",
    "Stop",
    "TripPlan",
    "judge_trip",
]
