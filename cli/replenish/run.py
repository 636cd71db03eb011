"""`codefence replenish run` and `load`: the nightly work on the database, and demand that the customer already has."""

import json
import sys
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click

from cli.replenish.tables import gtin_of, mapped_columns, time_zone
from trace_service.bootstrap import load_settings
from trace_service.cli_parts import reported
from trace_service.replenishment.demand.table import Reading, read_demand
from trace_service.replenishment.lines import configured
from trace_service.replenishment.night.runs import run as run_brand
from trace_service.replenishment.night.shards import here, on_cluster
from trace_service.replenishment.queries import SQL
from trace_service.store.brands import require_brand
from trace_service.store.connection import Connection, connect
from trace_service.store.rows import recordset

_RUN: Final = """\b
Examples:
  codefence replenish run                 every brand; once a night, after the stores close
  codefence replenish run --brand qingyuan --json
  codefence replenish run --dask tcp://10.0.0.7:8786    shards of 20,000 places on a cluster, for millions of them

\b
Exit codes:
  0  done; a brand with less than a fortnight of sales keeps its configured lines
  1  no such brand, or the database or the Dask scheduler does not answer
  3  another run of a brand was at it: nothing was done for that brand
"""
_LOAD: Final = """\b
Examples:
  codefence replenish load sales.csv --brand qingyuan
  codefence replenish load sales.csv --brand qingyuan --column node=store --column sku=gtin

\b
Exit codes:
  0  taken over; what was left out (no lines there, an unusable row) is counted and named on standard error
  1  no such brand, or the table cannot be used
"""
_BUSY: Final = 3
_AT_ONCE: Final = 5_000
_NAMED: Final = 5


@click.command(epilog=_RUN)
@click.option("--brand", help="One brand; all of them by default.")
@click.option("--fill", type=click.FloatRange(0.5, 0.999), default=0.95, show_default=True, help="Fill rate to aim at.")
@click.option("--dask", "scheduler", metavar="SCHEDULER", help="Address of a Dask scheduler that plans the shards.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a brand on standard output.")
@reported
def run(brand: str | None, *, fill: float, scheduler: str | None, as_json: bool) -> None:
    """Count sales, draw every store's water lines anew, plan 30 days, and make the proposals that follow."""
    busy = False
    where = nullcontext(here) if scheduler is None else on_cluster(scheduler)
    dsn = load_settings().database_url.get_secret_value()
    with where as compute, connect(dsn, "replenish run") as connection:
        if brand is not None:
            require_brand(connection, brand)
        for row in connection.execute(SQL["brands_with_stock"], {"brand": brand}).fetchall():
            report = run_brand(connection, row.brand, datetime.now(UTC), fill, compute)
            busy = busy or report is None
            if report is None:
                click.echo(f"{row.brand}: another run is at it", err=True)
            elif as_json:
                click.echo(json.dumps(asdict(report), ensure_ascii=False))
            elif not report.ready:
                click.echo(f"{row.brand}: less than a fortnight of sales, the configured lines stay")
            else:
                made = ", ".join(f"{count} {kind}" for kind, count in sorted(report.open.items())) or "no proposals"
                click.echo(
                    f"{row.brand}: {report.own_lines} of {report.places} places by their own demand; open: {made}"
                )
    if busy:
        sys.exit(_BUSY)


@click.command(epilog=_LOAD)
@click.argument("demand", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--brand", required=True, help="Whose stores and products these are.")
@click.option("--column", "columns", multiple=True, metavar="NAME=HEADER", help="Another header for a column.")
@click.option("--zone", default="Asia/Shanghai", show_default=True, help="Time zone whose days count.")
@reported
def load(demand: Path, *, brand: str, columns: tuple[str, ...], zone: str) -> None:
    """Take over sales on record: DEMAND as for `backtest`, node being the store's id and sku the GTIN-14."""
    table = read_demand(demand, Reading(columns=mapped_columns(columns), zone=time_zone(zone)))
    history = table.history
    rows = [
        {"site": series.node, "gtin": gtin_of(series.sku), "day": day, "units": round(history.units[at, place]),
         "sold_out": not (history.known[at, place] or history.units[at, place]),
         "promoted": bool(history.promoted[at, place])}
        for at, series in enumerate(history.series) for place, day in enumerate(history.days)
        if history.units[at, place] > 0 or not history.known[at, place]
    ]  # fmt: skip
    dsn = load_settings().database_url.get_secret_value()
    with connect(dsn, "replenish load") as connection, connection.transaction():
        require_brand(connection, brand)
        taken = sum(_load(connection, brand, part) for part in _parts(rows))
        placed = {(each["site"], each["gtin"]) for each in configured(connection, brand)}
    click.echo(f"{taken:,} of {len(rows):,} days taken over, {len(table.flags):,} flags in the table", err=True)
    strange = sorted({f"{row['site']} {row['gtin']}" for row in rows if (row["site"], row["gtin"]) not in placed})
    if strange:
        more = ", …" if len(strange) > _NAMED else ""
        click.echo(f"no lines at: {', '.join(strange[:_NAMED])}{more} (codefence replenish lines load)", err=True)
    for flag in table.flags[:_NAMED]:
        where = "the table" if flag.line is None else f"line {flag.line:,}, column {flag.column}"
        click.echo(f"{where}: {flag.reason} ({flag.done}) {flag.detail}", err=True)


def _parts(rows: list[dict[str, Any]]) -> Iterable[list[dict[str, Any]]]:
    return (rows[start : start + _AT_ONCE] for start in range(0, len(rows), _AT_ONCE))


def _load(connection: Connection, brand: str, rows: list[dict[str, Any]]) -> int:
    return len(connection.execute(SQL["load_sales"], {"brand": brand, "rows": recordset(rows)}).fetchall())
