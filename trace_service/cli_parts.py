"""What the commands of the trace service share: coded errors as one line, tables for people, JSON for machines."""

import functools
import json
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Final, ParamSpec

import click
import psycopg

from contracts.errors import CodefenceError
from geofence.errors import GeofenceError

_P = ParamSpec("_P")
_GAP: Final = "  "


def reported(command: Callable[_P, None]) -> Callable[_P, None]:
    """Turn a coded error into one line with its advice, and exit code 1."""

    @functools.wraps(command)
    def wrapper(*args: _P.args, **kwargs: _P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except (CodefenceError, GeofenceError) as error:
            raise click.ClickException(f"{error.code}: {error}. {error.advice}".rstrip()) from error
        except psycopg.OperationalError as error:
            raise click.ClickException(f"DATABASE: {error} Check the address and that the database runs.") from error

    return wrapper


def echo_rows(rows: Iterable[Mapping[str, object]], *, as_json: bool) -> None:
    """Print rows: a JSON object a line, or columns under their names."""
    shown = [{name: _plain(value) for name, value in row.items()} for row in rows]
    if as_json:
        for row in shown:
            click.echo(json.dumps(row, ensure_ascii=False))
        return
    if not shown:
        return
    texts = [list(shown[0]), *([_cell(value) for value in row.values()] for row in shown)]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    for line in texts:
        click.echo(_GAP.join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())


def _plain(value: object) -> object:
    return value.isoformat(timespec="seconds") if isinstance(value, datetime) else value


def _cell(value: object) -> str:
    if isinstance(value, list | tuple):
        return ",".join(map(str, value))
    return "-" if value is None else str(value)
