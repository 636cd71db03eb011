"""`codefence geofence`: positions against drawn territories."""

import csv
import json
import math
import sys
from pathlib import Path
from typing import Final, TextIO

import click
import numpy as np

from cli.geography.maps import import_map, maps
from cli.geography.picture import picture
from cli.geography.tables import Row, chunks, open_table, positions, write_rows
from contracts.wording import counted
from geofence.coordinates import FloatArray
from geofence.errors import GeofenceError
from geofence.evidence import LARGEST_ACCURACY_M, RADIUS_PER_SIGMA, GpsEvidence, Platform
from geofence.explain import explain as steps_of
from geofence.fences import Fence, Fences, read_fences
from geofence.finding import DEFAULT_POLICY
from geofence.verdicts.alone import judged_alone

_EXAMPLE: Final = """\b
Examples:
  codefence geofence check --territories dealers.geojson --points scans.csv > judged.csv
  codefence geofence check --territories dealers.geojson --points scans.csv --for D-CHENGDU
"""
_EXPLAIN: Final = """\b
Example:
  codefence geofence explain --territories dealers.geojson --for D-CHENGDU --at 104.07,30.67 --accuracy 65 --svg why.svg

\b
Exit codes:
  0  explained
  1  territories that cannot be used, or a position that is none
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
            _judge(good, fence, (lon, lat), RADIUS_PER_SIGMA[Platform(platform)])
        failed += write_rows(writer, names, part)
    if failed:
        click.echo(f"{counted(failed, 'row')} could not be judged; see the column `error`", err=True)
        sys.exit(1)


def _judge(rows: list[Row], fence: Fence, places: tuple[FloatArray, FloatArray], radius_per_sigma: float) -> None:
    radius = np.array([_radius(row) for row in rows])
    known = np.flatnonzero((radius >= 0) & (radius <= LARGEST_ACCURACY_M))
    lon, lat = (each[known] for each in places)
    shares, metres = fence.judge_many(lon, lat, radius[known] / radius_per_sigma)
    for row in rows:
        row["error"] = f"accuracy_m must be a number of metres, 0 to {LARGEST_ACCURACY_M:,.0f}"
    for number, share, far in zip(known.tolist(), shares.tolist(), metres.tolist(), strict=True):
        judged = {"verdict": DEFAULT_POLICY.verdict(share).value, "p_inside": f"{share:.4f}"}
        rows[number].update(judged, signed_distance_m=f"{far:.1f}", error="")


def _radius(row: Row) -> float:
    try:
        return float(row.get("accuracy_m") or 0)
    except ValueError:
        return math.nan


@geofence.command(epilog=_EXPLAIN)
@click.option("--territories", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=True,
              help="GeoJSON FeatureCollection of polygons in WGS-84; each feature has an `id`.")  # fmt: skip
@click.option("--for", "asked", required=True, help="Id of the feature that the position is held against.")
@click.option("--at", "place", required=True, metavar="LON,LAT", help="The position, WGS-84 degrees.")
@click.option("--accuracy", type=click.FloatRange(0), default=0.0, show_default=True, help="Its radius in metres.")
@click.option("--platform", type=click.Choice([each.value for each in Platform]), default="web", show_default=True,
              help="Who reported the radius: each means another share of the error by it.")  # fmt: skip
@click.option("--svg", type=click.Path(dir_okay=False, path_type=Path), help="Draw border, error and position here.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def explain(  # noqa: PLR0913  one argument an option
    *, territories: Path, asked: str, place: str, accuracy: float, platform: str, svg: Path | None, as_json: bool
) -> None:
    """Say step by step how likely one position lies in a territory, and why."""
    try:
        shapes = read_fences(territories.read_bytes())
        lon, lat = (float(each) for each in place.split(","))
        finding = judged_alone(shapes, asked, GpsEvidence(lon, lat, accuracy, Platform(platform)))
    except ValueError as error:
        raise click.BadParameter(f"{place!r} is no LON,LAT", param_hint="--at") from error
    except GeofenceError as error:
        raise click.ClickException(f"{error}. {error.advice}") from error
    if svg is not None:
        try:
            svg.write_text(picture(finding, shapes[asked]), encoding="utf-8")
        except OSError as error:
            raise click.ClickException(f"cannot write {svg}: {error.strerror}") from error
    steps = [{"step": each.code.value, **each.values} for each in steps_of(finding)]
    if as_json:
        click.echo(json.dumps({"steps": steps}, ensure_ascii=False))
        return
    for step in steps:
        values = ", ".join(f"{name} {_shown(value)}" for name, value in step.items() if name != "step")
        click.echo(f"{step['step']:<12} {values}")


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6f}".rstrip("0").rstrip(".")
    return ", ".join(value) if isinstance(value, list) else "none" if value is None else str(value)
