"""`codefence replenish lines`: which products stand at which stores, and when to order before demand has taught it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import click

from cli.replenish.tables import line_list
from trace_service.bootstrap import load_settings
from trace_service.cli_parts import echo_rows, reported
from trace_service.replenishment.lines import configure, configured
from trace_service.store.brands import require_brand
from trace_service.store.connection import Connection, connect

_LOAD: Final = """\b
Example:
  codefence replenish lines load lines.csv --brand qingyuan

\b
Columns: node (a site), sku (a GTIN), reorder, maximum, and perhaps daily_demand, and managed (store or vendor).

\b
Exit codes:
  0  all of them hold
  1  a row cannot be used, or names a product or site that is not the brand's: nothing changed; or the database went
     away meanwhile: load it again
"""
_LIST: Final = "\b\nExample:\n  codefence replenish lines list --brand qingyuan --json"
_BRAND: Final = click.option("--brand", required=True, help="Whose stores and products these are.")


@click.group()
def lines() -> None:
    """Set and list which products stand at which stores, with the lines of a cold start."""


@contextmanager
def _database(brand: str) -> Iterator[Connection]:
    with connect(load_settings().database_url.get_secret_value(), "replenish lines") as connection:
        require_brand(connection, brand)
        yield connection


@lines.command(epilog=_LOAD)
@click.argument("table", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@_BRAND
@reported
def load(table: Path, brand: str) -> None:
    """Place products at stores by the CSV TABLE, or change their lines; one that is refused refuses all."""
    wanted = line_list(table)
    with _database(brand) as connection:
        changed = configure(connection, brand, wanted)
    click.echo(f"{changed:,} of {len(wanted):,} are new or changed, the others stand already", err=True)


@lines.command("list", epilog=_LIST)
@_BRAND
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line on standard output.")
@reported
def list_(brand: str, *, as_json: bool) -> None:
    """List the configured lines; those in force are in the interface and on the pages."""
    with _database(brand) as connection:
        rows = configured(connection, brand)
    echo_rows([{"node": row.pop("site"), "sku": row.pop("gtin"), **row} for row in rows], as_json=as_json)
