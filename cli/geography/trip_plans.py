"""Plans of trips in files, as `PUT /api/v1/trips` takes them."""

from pathlib import Path

import click
from pydantic import ValidationError

from geofence.errors import GeofenceError
from geofence.trips import TripPlan
from trace_service.trips.model import Plan


def read_trip_plan(path: Path) -> TripPlan:
    """Return the plan in a file, called as the file is; raises a ClickException where it is none."""
    try:
        return Plan.model_validate_json(path.read_bytes()).trip(path.stem)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise click.ClickException(f"{path}: {where}: {first['msg']}. See docs/trips.md.") from error
    except GeofenceError as error:
        raise click.ClickException(f"{path}: {error}. {error.advice}") from error
