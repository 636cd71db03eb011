"""`codefence replenish backtest`: policies side by side on your own demand."""

import csv
import json
import time
from collections import Counter
from pathlib import Path
from typing import Any, Final

import click

from cli.replenish.tables import FESTIVALS, calendar_day, mapped_columns, named_days, price_list, time_zone
from trace_service.cli_parts import echo_rows, reported
from trace_service.replenishment.demand.history import History
from trace_service.replenishment.demand.table import Reading, Table, read_demand
from trace_service.replenishment.errors import NothingToPlanError
from trace_service.replenishment.trials.backtest import backtest as play_back
from trace_service.replenishment.trials.methods import METHODS
from trace_service.replenishment.trials.replay import Costs, Protocol, evaluated
from trace_service.replenishment.trials.report import page

_BACKTEST: Final = """\b
Examples:
  codefence replenish backtest demand.csv --from 2011-08-18 --json
  codefence replenish backtest demand.csv --policy codefence --policy ma48-fixed --from 2011-08-18 --out report
  codefence replenish backtest sales.csv.gz --column units=units_retail --prices sku.csv --from 2011-06-22

\b
Exit codes:
  0  played; rows that were refused or repaired are counted on standard error and in the report
  1  the table cannot be used, or no product has enough history before --from
  2  wrong usage
"""
_SHOWN: Final = 20


@click.command(epilog=_BACKTEST)
@click.argument("demand", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--policy", "policies", multiple=True, type=click.Choice(list(METHODS)), metavar="NAME",
              help=f"One of {', '.join(METHODS)}; may be repeated, all by default.")  # fmt: skip
@click.option("--from", "begin", required=True, metavar="DATE", help="First day that counts, such as 2011-08-18.")
@click.option("--to", "end", metavar="DATE", help="Last day that counts; the table's last by default.")
@click.option("--lead", type=click.IntRange(1, 365), default=5, show_default=True, help="Lead time, trading days.")
@click.option("--pack", type=click.IntRange(1, 10_000), default=6, show_default=True, help="Units in a case.")
@click.option("--refresh", type=click.IntRange(1, 365), default=6, show_default=True,
              help="Trading days from one look at the forecast to the next.")  # fmt: skip
@click.option("--warm-up", type=click.IntRange(0, 365), default=24, show_default=True,
              help="Trading days that are played before the count.")  # fmt: skip
@click.option("--margin", type=click.FloatRange(0, 0.95), default=0.3, show_default=True,
              help="Share of the price that a lost sale loses.")  # fmt: skip
@click.option("--holding", type=click.FloatRange(0, 10), default=0.2, show_default=True,
              help="Cost of holding stock for a year, share of its purchase price.")  # fmt: skip
@click.option("--column", "columns", multiple=True, metavar="NAME=HEADER",
              help="Another header for a column, such as units=units_retail; may be repeated.")  # fmt: skip
@click.option("--node", default="all", show_default=True, help="The node where the table has no such column.")
@click.option("--zone", default="UTC", show_default=True, help="Time zone whose days count where dates carry times.")
@click.option("--prices", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="CSV with sku and price, where the table has no prices.")  # fmt: skip
@click.option("--holidays", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="CSV with date and name: days whose effect is to be learned by name.")  # fmt: skip
@FESTIVALS
@click.option("--out", type=click.Path(file_okay=False, path_type=Path),
              help="Folder for report.html, report.json and flags.csv.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
@reported
def backtest(demand: Path, *, out: Path | None, as_json: bool, **options: Any) -> None:  # noqa: ANN401  click's options
    """Play policies side by side over the demand in DEMAND, a CSV of node, sku, date and units."""
    began = time.process_time()
    reading = Reading(
        columns=mapped_columns(options["columns"]), node=options["node"], zone=time_zone(options["zone"]),
        lead=options["lead"], pack=options["pack"], prices=price_list(options["prices"]),
    )  # fmt: skip
    table = read_demand(demand, reading)
    history, protocol = _counted(table.history, options)
    names = list(dict.fromkeys(options["policies"])) or list(METHODS)
    click.echo(f"{len(history.series):,} products of {len(table.history.series):,}: {', '.join(names)}", err=True)
    special = named_days(options["festivals"], options["holidays"], (history.days[0], history.days[-1]))
    policies = play_back(history, names, protocol, special)
    report = {"file": demand.name, **_facts(table, history, protocol), "policies": policies}
    report["cpu_seconds"] = round(time.process_time() - began, 2)
    _tell(table)
    if out is not None:
        _write(out, report, table)
    if as_json:
        click.echo(json.dumps(report, ensure_ascii=False))
    else:
        echo_rows([_line(each) for each in policies], as_json=False)


def _counted(history: History, options: dict[str, Any]) -> tuple[History, Protocol]:
    begin = history.at_or_after(calendar_day(options["begin"], "--from"))
    end = len(history.days)
    if options["end"] is not None:
        last = calendar_day(options["end"], "--to")
        end = sum(day <= last for day in history.days)
    if begin >= end:
        raise NothingToPlanError(
            f"there is no trading day from {options['begin']} on",
            advice=f"The table runs from {history.days[0]} to {history.days[-1]}.",
        )
    chosen = evaluated(history, begin)
    if not chosen.any():
        raise NothingToPlanError(
            f"no product has ten days with sales, the first of them 60 trading days before {history.days[begin]}",
            advice="Give a later --from, or a longer history.",
        )
    costs = Costs(options["margin"], options["holding"])
    return history.only(chosen), Protocol(begin, end, options["refresh"], options["warm_up"], costs)


def _facts(table: Table, history: History, protocol: Protocol) -> dict[str, Any]:
    days = history.days
    return {
        "from": days[protocol.begin].isoformat(), "to": days[protocol.end - 1].isoformat(),
        "trading_days": protocol.end - protocol.begin, "history_days": protocol.begin, "rows": table.rows,
        "series": len(table.history.series), "evaluated": len(history.series),
        "lead": sorted({int(each) for each in history.lead}), "pack": sorted({int(each) for each in history.pack}),
        "refresh": protocol.refresh, "warm_up": protocol.warm_up, "priced": history.priced,
        "sold_out_days": table.sold_out_days, "flags": dict(Counter(flag.reason for flag in table.flags)),
        "flagged": [flag._asdict() for flag in table.flags[:_SHOWN]],
    }  # fmt: skip


def _line(policy: dict[str, Any]) -> dict[str, Any]:
    return {
        "policy": policy["policy"], "cover 95 %": policy["cover_days"]["95"], "97 %": policy["cover_days"]["97"],
        "fill at 8": policy["fill_at_8_days"], "WRMSSE 14": policy["wrmsse"]["14"], "28": policy["wrmsse"]["28"],
        "pinball 4": policy["pinball"]["4"], "8": policy["pinball"]["8"], "waste %": policy["waste_percent"],
        "cost %": policy["cost_percent"],
    }  # fmt: skip


def _tell(table: Table) -> None:
    for (reason, done), count in Counter((flag.reason, flag.done) for flag in table.flags).most_common():
        first = next(flag for flag in table.flags if flag.reason == reason)
        where = f"line {first.line}, column {first.column}: " if first.line else ""
        click.echo(f"{count:,} × {reason} ({done}), first {where}{first.detail}", err=True)


def _write(out: Path, report: dict[str, Any], table: Table) -> None:
    out.mkdir(parents=True, exist_ok=True)
    (out / "report.json").write_text(json.dumps(report, ensure_ascii=False, indent=1), "utf-8")
    (out / "report.html").write_text(page(report), "utf-8")
    with (out / "flags.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["line", "column", "reason", "done", "detail"])
        writer.writerows(table.flags)
