"""Cities with their division code, centre (WGS-84 degrees) and rounded population."""

import csv
from functools import cache
from importlib import resources
from typing import NamedTuple


class Place(NamedTuple):
    """One city."""

    adcode: str
    name_zh: str
    name_en: str
    lon: float
    lat: float
    population: int


@cache
def load_places() -> tuple[Place, ...]:
    """Return every city of `places.csv`."""
    with resources.files("trace_service").joinpath("places.csv").open(encoding="utf-8") as lines:
        return tuple(
            Place(
                row["adcode"],
                row["name_zh"],
                row["name_en"],
                float(row["lon"]),
                float(row["lat"]),
                int(row["population"]),
            )
            for row in csv.DictReader(lines)
        )
