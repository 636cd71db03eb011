"""Reports of trackers as rows of a table, and episodes as objects."""

from datetime import datetime
from typing import Any, Final

from cli.geography.tables import Row
from geofence.trips import Episode, Fix, Handling, HandlingKind, Report

# The last millisecond that a calendar has: the year 9999.
_LAST: Final = 253_402_300_799_999


def report_of(row: Row, device: str) -> Report:
    """Return the report of a row with at, lon, lat and accuracy_m, or with handling and amount.

    Raises ValueError or CoordinateError for what is none.
    """
    at = _moment(row["at"])
    if row.get("handling"):
        return Handling(at, device, HandlingKind(row["handling"]), float(row.get("amount") or 1.0))
    return Fix(at, device, float(row["lon"]), float(row["lat"]), float(row["accuracy_m"]))


def shown(episode: Episode) -> dict[str, Any]:
    """Return an episode as JSON has it; times in milliseconds since the epoch."""
    return {
        "kind": episode.kind,
        "subject": episode.subject,
        "severity": episode.severity,
        "start": episode.start,
        "end": episode.end,
        "notes": [{"code": note.code, "numbers": note.numbers} for note in episode.notes],
        "evidence": episode.evidence,
    }


def _moment(text: str) -> int:
    if text.isdecimal():
        if int(text) > _LAST:
            raise ValueError(f"{text[:40]} is no time in milliseconds since the epoch")
        return int(text)
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return round(moment.timestamp() * 1000)
