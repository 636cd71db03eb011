"""`codefence replenish promotion`: what a brand plans to promote, so that the nightly run orders for it in time."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import click

from cli.replenish.tables import calendar_day, promotion_list
from trace_service.bootstrap import load_settings
from trace_service.cli_parts import echo_rows, reported
from trace_service.domain.zones import STORE_ZONE
from trace_service.replenishment.demand.coming import GREATEST_UPLIFT, LEAST_UPLIFT, LONGEST_PROMOTION, Promotion
from trace_service.replenishment.promotions import cancel as cancel_one
from trace_service.replenishment.promotions import listed, plan
from trace_service.store.brands import require_brand
from trace_service.store.connection import Connection, connect

_ADD: Final = """\b
Examples:
  codefence replenish promotion add 09506000134352 --brand qingyuan --from 2026-11-09 --to 2026-11-11 --uplift 1.8
  codefence replenish promotion add 09506000134352 --brand qingyuan --from 2026-11-09 --to 2026-11-11 \\
      --site S-CHENGDU-01 --name "Double 11"

\b
Exit codes:
  0  planned, or standing already
  1  a product that is not the brand's, or not in stock there
  2  wrong usage
"""
_LOAD: Final = """\b
Example:
  codefence replenish promotion load promotions.csv --brand qingyuan

\b
Columns: sku (a GTIN-14), from, to, and perhaps nodes (sites, with spaces between), uplift and name.

\b
Exit codes:
  0  all of them are planned
  1  nothing is: a line cannot be used, and the message says which
"""
_LIST: Final = "\b\nExample:\n  codefence replenish promotion list --brand qingyuan --since 2026-01-01 --json"
_CANCEL: Final = """\b
Example:
  codefence replenish promotion cancel 7 --brand qingyuan

\b
Exit codes:
  0  cancelled
  1  there is no such promotion, or it is cancelled already
"""
_BY: Final = "command line"
_BRAND: Final = click.option("--brand", required=True, help="Whose promotions these are.")


@click.group()
def promotion() -> None:
    """Plan promotions, list and cancel them."""


@contextmanager
def _database() -> Iterator[Connection]:
    with connect(load_settings().database_url.get_secret_value(), "replenish promotion") as connection:
        yield connection


@promotion.command(epilog=_ADD)
@click.argument("gtin")
@_BRAND
@click.option("--from", "first", required=True, metavar="DATE", help="First day.")
@click.option("--to", "last", required=True, metavar="DATE", help="Last day.")
@click.option("--site", "sites", multiple=True, help="Where; may be repeated, everywhere by default.")
@click.option("--uplift", type=click.FloatRange(LEAST_UPLIFT, GREATEST_UPLIFT),
              help="Expected factor on demand; what past promotions have shown by default.")  # fmt: skip
@click.option("--name", default="", help="What it is called.")
@reported
def add(gtin: str, brand: str, **given: Any) -> None:  # noqa: ANN401  click's options
    """Plan a promotion of the product GTIN."""
    first, last = calendar_day(given["first"], "--from"), calendar_day(given["last"], "--to")
    if not timedelta(0) <= last - first <= LONGEST_PROMOTION:
        raise click.BadParameter("a promotion lasts a day to a year", param_hint="--to")
    wanted = Promotion(gtin, first, last, frozenset(given["sites"]), given["uplift"], given["name"])
    with _database() as connection:
        made = plan(connection, brand, [wanted], _BY)
    click.echo("planned" if made else "stands already", err=True)


@promotion.command(epilog=_LOAD)
@click.argument("table", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@_BRAND
@reported
def load(table: Path, brand: str) -> None:
    """Plan the promotions in the CSV TABLE, all or none."""
    wanted = promotion_list(table)
    with _database() as connection:
        made = plan(connection, brand, wanted, _BY)
    click.echo(f"{made:,} of {len(wanted):,} planned, the others stand already", err=True)


@promotion.command("list", epilog=_LIST)
@_BRAND
@click.option("--since", metavar="DATE", help="Those that end then or later; today by default.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line on standard output.")
@reported
def list_(brand: str, since: str | None, *, as_json: bool) -> None:
    """List promotions, cancelled ones included."""
    today = datetime.now(UTC).astimezone(STORE_ZONE).date()
    first: date = calendar_day(since, "--since") if since else today
    with _database() as connection:
        require_brand(connection, brand)
        rows = listed(connection, brand, first, cancelled=True)
    shown = [
        {
            "id": row["id"], "gtin": row["gtin"], "from": row["first_day"].isoformat(),
            "to": row["last_day"].isoformat(), "sites": " ".join(row["sites"]), "uplift": row["uplift"],
            "name": row["name"], "cancelled": row["cancelled_at"] is not None,
        }
        for row in rows
    ]  # fmt: skip
    echo_rows(shown, as_json=as_json)


@promotion.command(epilog=_CANCEL)
@click.argument("number", type=click.IntRange(1))
@_BRAND
@reported
def cancel(number: int, brand: str) -> None:
    """Cancel promotion NUMBER; what it was stays on record."""
    with _database() as connection:
        if not cancel_one(connection, brand, number, _BY):
            raise click.ClickException(f"{brand} has no promotion {number} that stands")
