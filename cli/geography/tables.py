"""CSV tables of positions: read in parts, each row with its own error, so that one bad row stops nothing."""

import csv
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, Final, NamedTuple, TextIO

import click
import numpy as np
from numpy.typing import NDArray

from geofence.coordinates import validated
from geofence.errors import CoordinateError

_PART: Final = 50_000
# What stands beyond the last named column; no name begins with a blank.
_BEYOND: Final = " "
Row = dict[str, str]


class Table(NamedTuple):
    """A CSV table: the names of its columns, and its rows."""

    names: list[str]
    rows: Iterator[Row]


def open_table(stream: TextIO, needed: tuple[str, ...]) -> Table:
    """Return a table with at least the columns `needed`.

    Raises a ClickException where one is missing, or two have one name.
    """
    reader = csv.DictReader(stream, restkey=_BEYOND, restval="")
    try:
        # After a byte order mark a quoted name is none to the reader: its quotes stay.
        names = [name.strip().lstrip("\ufeff").strip('"') for name in reader.fieldnames or ()]
    except (csv.Error, UnicodeDecodeError) as error:
        raise _unreadable(reader, error) from error
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise click.ClickException(f"the table has the column {twice[0]!r} twice: give each a name of its own")
    missing = [name for name in needed if name not in names]
    if missing:
        raise click.ClickException(f"the table has no column {', '.join(missing)}: its first line must name them")
    reader.fieldnames = names
    return Table(names, _rows(reader))


def _rows(reader: "csv.DictReader[str]") -> Iterator[Row]:
    try:
        for row in reader:
            row.pop(_BEYOND, None)
            yield {**row, "error": ""}
    except (csv.Error, UnicodeDecodeError) as error:
        raise _unreadable(reader, error) from error


def _unreadable(reader: "csv.DictReader[str]", error: Exception) -> click.ClickException:
    return click.ClickException(f"line {reader.line_num + 1} is no CSV in UTF-8: {error}")


def chunks(table: Table) -> Iterator[list[Row]]:
    """Return the rows in parts that fit into memory."""
    while part := list(islice(table.rows, _PART)):
        yield part


def positions(rows: Iterable[Row]) -> tuple[list[Row], NDArray[np.float64], NDArray[np.float64]]:
    """Return the rows with a usable position, and their longitudes and latitudes; the others get an `error`."""
    good, lon, lat = [], [], []
    for row in rows:
        try:
            x, y = float(row["lon"]), float(row["lat"])
            validated(x, y)
        except ValueError:
            row["error"] = "lon and lat must be numbers"
        except CoordinateError as error:
            row["error"] = f"{str(error).replace(' of point 0', '')}. {error.advice}"
        else:
            good.append(row)
            lon.append(x)
            lat.append(y)
    return good, np.array(lon), np.array(lat)


def write_rows(writer: Any, names: list[str], rows: Iterable[Row]) -> int:  # noqa: ANN401  csv has no public type
    """Write rows; return how many of them have an error."""
    failed = 0
    for row in rows:
        failed += bool(row["error"])
        writer.writerow([row.get(name, "") for name in names])
    return failed
