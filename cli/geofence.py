"""`codefence geofence`: positions against drawn territories."""

import csv
import math
import sys
from pathlib import Path
from typing import Final, TextIO

import click

from cli.maps import import_map, maps
from cli.tables import Row, chunks, open_table, positions, write_rows
from geofence.errors import GeofenceError
from geofence.evidence import RADIUS_PER_SIGMA, Platform
from geofence.fences import Fence, Fences, read_fences

_EXAMPLE: Final = """\b
Examples:
  codefence geofence check --territories dealers.geojson --points scans.csv > judged.csv
  codefence geofence check --territories dealers.geojson --points scans.csv --for D-CHENGDU
"""
_JUDGED: Final = ("verdict", "p_inside", "signed_distance_m")


@click.group()
def geofence() -> None:
    """Judge positions against territories."""


geofence.add_command(maps)
geofence.add_command(import_map)


@geofence.command(epilog=_EXAMPLE)
@click.option("--territories", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=True,
              help="GeoJSON FeatureCollection of polygons in WGS-84; each feature has an `id`.")  # fmt: skip
@click.option("--points", type=click.File("r", encoding="utf-8-sig"), required=True,
              help="CSV with lon, lat and perhaps accuracy_m, a radius in metres; - is standard input.")  # fmt: skip
@click.option("--for", "asked", help="Id of a feature: adds verdict, p_inside and signed_distance_m for it.")
@click.option("--platform", type=click.Choice([each.value for each in Platform]), default="web", show_default=True,
              help="Who reported accuracy_m: each means another share of the error by it.")  # fmt: skip
def check(territories: Path, points: TextIO, asked: str | None, platform: str) -> None:
    """Write the points with `inside`, the ids of all territories that cover them, joined by `;`.

    Borders belong to the territory; a negative distance lies inside. A bad row says why in the column `error`, and the
    exit code is then 1. Territories that cannot be used end the command with the feature and the reason.
    """
    try:
        fences = Fences(read_fences(territories.read_bytes()))
        fence = fences.fence(asked) if asked is not None else None
    except GeofenceError as error:
        raise click.ClickException(f"{territories}: {error}. {error.advice}") from error
    table = open_table(points, ("lon", "lat"))
    added = ("inside", *(_JUDGED if fence else ()), "error")
    names = [*(name for name in table.names if name not in added), *added]
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(names)
    failed = 0
    for part in chunks(table):
        good, lon, lat = positions(part)
        for row, ids in zip(good, fences.inside(lon, lat), strict=True):
            row["inside"] = ";".join(ids)
        if fence:
            for row, x, y in zip(good, lon.tolist(), lat.tolist(), strict=True):
                _judge(row, fence, (x, y), RADIUS_PER_SIGMA[Platform(platform)])
        failed += write_rows(writer, names, part)
    if failed:
        click.echo(f"{failed} rows could not be judged; see the column `error`", err=True)
        sys.exit(1)


def _judge(row: Row, fence: Fence, place: tuple[float, float], radius_per_sigma: float) -> None:
    try:
        radius = float(row.get("accuracy_m") or 0)
    except ValueError:
        radius = math.nan
    if not (math.isfinite(radius) and radius >= 0):
        row["error"] = "accuracy_m must be a number of metres, 0 or more"
        return
    judged = fence.judge(*place, radius / radius_per_sigma)
    row["verdict"] = judged.verdict.value
    row["p_inside"] = f"{judged.p_inside:.4f}"
    row["signed_distance_m"] = f"{judged.signed_distance_m:.1f}"
