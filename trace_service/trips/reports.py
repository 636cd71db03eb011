"""What trackers report, stored as it came and queued for whoever judges the trips that it belongs to."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, TypeVar

from geofence.coordinates import Crs, Region, to_wgs84
from trace_service.store.connection import Connection
from trace_service.store.rows import recordset
from trace_service.trips.model import FixReport, HandlingReport, Refused, Reports, Taken
from trace_service.trips.queries import SQL

LATE: Final = timedelta(days=30)
EARLY: Final = timedelta(minutes=5)
_Report = TypeVar("_Report", FixReport, HandlingReport)


def take(connection: Connection, brand: str, reports: Reports, mainland: Region | None) -> Taken:
    """Store reports and queue them; those from beyond 30 days back or 5 minutes ahead are refused one by one.

    `mainland` is where GCJ-02 and BD-09 shift positions; without it only WGS-84 is taken for what it says.
    """
    now = datetime.now(UTC)
    refused: list[Refused] = []
    fixes = [_fix(each, mainland) for each in _timely("fixes", reports.fixes, now, refused)]
    handlings = [each.model_dump() for each in _timely("handlings", reports.handlings, now, refused)]
    # Sorted, so that two requests with the same reports wait for one another instead of deadlocking.
    for rows in (fixes, handlings):
        rows.sort(key=lambda row: (row["device"], row["at"]))
    with connection.transaction():
        fresh = connection.execute(SQL["insert_fixes"], {"brand": brand, "rows": recordset(fixes)}).fetchall()
        fresh += connection.execute(SQL["insert_handlings"], {"brand": brand, "rows": recordset(handlings)}).fetchall()
        if fresh:
            columns = {"devices": [row.device for row in fresh], "ats": [row.at for row in fresh]}
            kinds = {"kinds": [row.kind for row in fresh], "brand": brand}
            connection.execute(SQL["queue_news"], columns | kinds)
    count = len(fixes) + len(handlings)
    return Taken(stored=len(fresh), repeated=count - len(fresh), refused=refused)


def _timely(
    name: Literal["fixes", "handlings"], reports: Sequence[_Report], now: datetime, refused: list[Refused]
) -> list[_Report]:
    good = []
    for index, report in enumerate(reports):
        if now - LATE <= report.at <= now + EARLY:
            good.append(report)
        else:
            refused.append(Refused(list=name, index=index, reason="time_out_of_range"))
    return good


def _fix(report: FixReport, mainland: Region | None) -> dict[str, Any]:
    lon, lat = report.lon, report.lat
    if report.crs is not Crs.WGS84 and mainland is not None:
        lons, lats = to_wgs84(lon, lat, report.crs, mainland)
        lon, lat = float(lons[0]), float(lats[0])
    at = report.at.replace(microsecond=report.at.microsecond // 1000 * 1000)
    return report.model_dump() | {"at": at, "lon": lon, "lat": lat, "raw_lon": report.lon, "raw_lat": report.lat}
