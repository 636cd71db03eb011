"""`codefence replenish plan`: water lines, dated orders and goods that will not sell, from two tables."""

import csv
import json
import sys
from collections.abc import Iterable
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

import click

from cli.replenish.tables import (
    FESTIVALS,
    mapped_columns,
    named_days,
    price_list,
    promotion_list,
    series_of,
    shelved,
    table_rows,
    time_zone,
    whole_number,
)
from trace_service.cli_parts import reported
from trace_service.replenishment.demand.coming import Coming
from trace_service.replenishment.demand.history import History
from trace_service.replenishment.demand.sheets import day_of
from trace_service.replenishment.demand.table import Reading, read_demand
from trace_service.replenishment.errors import DemandTableError
from trace_service.replenishment.night.actions import Lot
from trace_service.replenishment.night.planning import PLAN_DAYS, Plan, Stock, Wishes, make_plan
from trace_service.replenishment.night.waterlines import lead_times

_PLAN: Final = """\b
Examples:
  codefence replenish plan demand.csv --stock stock.csv --out plan
  codefence replenish plan demand.csv --stock stock.csv --lots lots.csv --fill .97 --json

\b
Exit codes:
  0  planned
  1  a table cannot be used
  2  wrong usage
"""
_FIELDS: Final = {
    "lines": ("node", "sku", "on_hand", "on_order", "mean_a_day", "safety", "warning", "maximum", "p_stockout",
              "evidence"),
    "orders": ("node", "sku", "order_on", "quantity", "arrives_on", "early_on", "occasion"),
    "actions": ("node", "sku", "action", "why", "units", "expected_left", "p_sold", "days"),
}  # fmt: skip

# Orders of the last planned day serve days beyond it.
_LOOK_BEYOND: Final = 60


@click.command(epilog=_PLAN)
@click.argument("demand", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--stock", "stock_file", required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="CSV with node, sku, on_hand and perhaps on_order, capacity.")  # fmt: skip
@click.option("--lots", "lots_file", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="CSV with node, sku, units and expires: what of the stock expires when.")  # fmt: skip
@click.option("--fill", type=click.FloatRange(0.5, 0.999), default=0.95, show_default=True,
              help="Fill rate to aim at; the service level for it is found by simulation.")  # fmt: skip
@click.option("--days", type=click.IntRange(1, 365), default=PLAN_DAYS, show_default=True, help="Length of the plan.")
@click.option("--cycle", type=click.FloatRange(0, 365), default=6, show_default=True,
              help="Days that an order should last beyond the warning line.")  # fmt: skip
@click.option("--lead", type=click.IntRange(1, 365), default=5, show_default=True, help="Lead time where unknown.")
@click.option("--pack", type=click.IntRange(1, 10_000), default=6, show_default=True, help="Units in a case.")
@click.option("--column", "columns", multiple=True, metavar="NAME=HEADER", help="Another header for a column.")
@click.option("--node", default="all", show_default=True, help="The node where the table has no such column.")
@click.option("--zone", default="UTC", show_default=True, help="Time zone whose days count where dates carry times.")
@click.option("--prices", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="CSV with sku and price.")
@click.option("--holidays", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="CSV: date and name.")
@FESTIVALS
@click.option("--promotions", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="CSV with sku, from, to and perhaps nodes, uplift, name; coming ones included.")  # fmt: skip
@click.option("--out", type=click.Path(file_okay=False, path_type=Path),
              help="Folder for lines.csv, orders.csv and actions.csv.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
@reported
def plan(demand: Path, *, out: Path | None, as_json: bool, **options: Any) -> None:  # noqa: ANN401  click's options
    """Draw water lines and plan orders from the demand in DEMAND and the stock of today, the day after its last."""
    reading = Reading(
        columns=mapped_columns(options["columns"]), node=options["node"], zone=time_zone(options["zone"]),
        lead=options["lead"], pack=options["pack"], prices=price_list(options["prices"]),
    )  # fmt: skip
    table = read_demand(demand, reading)
    history, stock = shelved(table.history, options["stock_file"], reading)
    stock = replace(stock, lots=_lots(options["lots_file"], history, options["node"]))
    wishes = Wishes(options["fill"], cycle=options["cycle"], days=options["days"],
                    coming=_coming(options, history.days))  # fmt: skip
    lead = lead_times([[] for _ in history.series], history.lead.astype(float))
    made = make_plan(history, stock, lead, wishes)
    doubt = "" if made.calibrated else " (not calibrated: too little history, or no level reaches the fill rate)"
    click.echo(f"{len(table.flags):,} flags in the demand; service level {made.service:.3f}{doubt}", err=True)
    parts = _parts(history, stock, made)
    if out is not None:
        _write(out, parts)
    if as_json:
        facts = {"model": made.model, "service": round(made.service, 4), "calibrated": made.calibrated}
        click.echo(json.dumps({**facts, "today": _today(history).isoformat(), **parts}, ensure_ascii=False))
    elif out is None:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(_FIELDS["orders"])
        writer.writerows([row[name] for name in _FIELDS["orders"]] for row in parts["orders"])


def _coming(options: dict[str, Any], days: tuple[date, ...]) -> Coming:
    """Return what the options say of days to come: festivals by calendar or file, and planned promotions."""
    last = days[-1] + timedelta(days=options["days"] + _LOOK_BEYOND)
    names = named_days(options["festivals"], options["holidays"], (days[0], last))
    return Coming(names, promotion_list(options["promotions"]))


def _today(history: History) -> date:
    return history.days[-1] + timedelta(days=1)


def _parts(history: History, stock: Stock, made: Plan) -> dict[str, list[dict[str, Any]]]:
    today = _today(history)
    lines = [
        {
            **series._asdict(), "on_hand": int(stock.on_hand[at]), "on_order": int(stock.on_order[at]),
            "mean_a_day": round(float(made.demand.mean[at]), 3), "safety": int(made.lines.safety[at]),
            "warning": int(made.lines.warning[at]), "maximum": int(made.lines.maximum[at]),
            "p_stockout": round(float(made.p_stockout[at]), 4), "evidence": round(float(made.evidence[at]), 3),
        }
        for at, series in enumerate(history.series)
    ]  # fmt: skip
    orders = [
        {
            **history.series[each.series]._asdict(), "order_on": _day(today, each.day), "quantity": each.quantity,
            "arrives_on": _day(today, each.arrives), "early_on": _day(today, each.early_day),
            "occasion": each.occasion,
        }
        for each in made.orders
    ]  # fmt: skip
    named = [("near_expiry", each) for each in made.expiring] + [("slow", each) for each in made.slow]
    actions = [
        {
            **history.series[each.series]._asdict(), "action": each.action, "why": why, "units": each.units,
            "expected_left": each.unsold, "p_sold": each.p_sold, "days": each.days,
        }
        for why, each in named
    ]  # fmt: skip
    return {"lines": lines, "orders": orders, "actions": actions}


def _day(today: date, days: int) -> str:
    return (today + timedelta(days=days)).isoformat()


def _lots(path: Path | None, history: History, node: str) -> list[Lot]:
    places = {series: at for at, series in enumerate(history.series)}
    found = []
    for line, row in table_rows(path, ("sku", "units", "expires")):
        at = places.get(series_of(row, node))
        if at is None:
            raise DemandTableError(f"{path}, line {line}, column sku: {row['sku']!r} is neither sold nor in stock")
        days = (_expires(path, line, row["expires"]) - _today(history)).days
        found.append(Lot(at, whole_number(path, line, "units", row["units"]), days))
    return found


def _expires(path: Path | None, line: int, text: str) -> date:
    try:
        return day_of(text)
    except ValueError as error:
        raise DemandTableError(f"{path}, line {line}, column expires: {text!r} is no date") from error


def _write(out: Path, parts: dict[str, list[dict[str, Any]]]) -> None:
    out.mkdir(parents=True, exist_ok=True)
    for name, rows in parts.items():
        with (out / f"{name}.csv").open("w", encoding="utf-8", newline="") as stream:
            _table(stream, _FIELDS[name], rows)


def _table(stream: Any, fields: Iterable[str], rows: list[dict[str, Any]]) -> None:  # noqa: ANN401  csv's own protocol
    writer = csv.DictWriter(stream, list(fields), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
