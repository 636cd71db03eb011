"""`codefence coords`: positions from one reference system to another."""

import csv
import sys
from collections.abc import Iterator
from typing import Final

import click

from cli.geography.tables import Row, chunks, open_table, positions, write_rows
from contracts.wording import counted
from geofence.coordinates import Crs, convert
from geofence.errors import GeofenceError
from geofence.maps import load_installed_map

_EXAMPLE: Final = """\b
Example:
  codefence coords convert --from gcj02 --to wgs84 < shops.csv > shops-wgs84.csv
"""
_SYSTEMS: Final = click.Choice([each.value for each in Crs], case_sensitive=False)


@click.group()
def coords() -> None:
    """Convert positions between WGS-84, GCJ-02 and BD-09."""


@coords.command("convert", epilog=_EXAMPLE)
@click.option("--from", "source", type=_SYSTEMS, required=True, help="The system that the input is in.")
@click.option("--to", "target", type=_SYSTEMS, required=True, help="The system wanted.")
def convert_positions(source: str, target: str) -> None:
    """Read CSV with columns `lon` and `lat` from standard input, write it converted to standard output.

    Other columns pass through. A row without a usable position keeps what it has and says why in the column `error`;
    the exit code is then 1.
    """
    try:
        mainland = load_installed_map().mainland()
    except GeofenceError as error:
        raise click.ClickException(f"{error} {error.advice}") from error
    table = open_table(sys.stdin, ("lon", "lat"))
    names = [*(name for name in table.names if name != "error"), "error"]
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(names)
    path = (Crs(source), Crs(target))
    failed = 0

    def converted(rows: list[Row]) -> Iterator[Row]:
        good, lon, lat = positions(rows)
        lons, lats = convert(lon, lat, path, mainland)
        for row, x, y in zip(good, lons.tolist(), lats.tolist(), strict=True):
            row |= {"lon": f"{x:.9f}", "lat": f"{y:.9f}"}
        yield from rows

    for part in chunks(table):
        failed += write_rows(writer, names, converted(part))
    if failed:
        click.echo(f"{counted(failed, 'row')} without a usable position; see the column `error`", err=True)
        sys.exit(1)
