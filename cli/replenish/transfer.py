"""`codefence replenish transfer`: what to move between stores before anything is ordered."""

import csv
import json
from pathlib import Path
from typing import Any, Final

import click
import numpy as np

from cli.replenish.tables import mapped_columns, number, price_list, shelved, table_rows, time_zone
from trace_service.cli_parts import reported
from trace_service.replenishment.demand.history import History
from trace_service.replenishment.demand.kernel import Counts, Floats
from trace_service.replenishment.demand.table import Reading, read_demand
from trace_service.replenishment.errors import DemandTableError, NothingToPlanError
from trace_service.replenishment.night.lanes import plan as plan_lanes
from trace_service.replenishment.night.lanes import regions
from trace_service.replenishment.night.planning import Stock, Wishes, make_plan
from trace_service.replenishment.night.transfer import Goods, Moves, goods
from trace_service.replenishment.night.waterlines import lead_times

_TRANSFER: Final = """\b
Examples:
  codefence replenish transfer demand.csv --stock stock.csv --lanes lanes.csv --out moves.csv
  codefence replenish transfer demand.csv --stock stock.csv --lanes lanes.csv --places stores.csv --json

\b
Exit codes:
  0  planned; there may be nothing to move
  1  a table cannot be used
  2  wrong usage
"""
_REGION: Final = 25
_FIELDS: Final = ("sku", "from", "to", "units")


@click.command(epilog=_TRANSFER)
@click.argument("demand", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--stock", "stock_file", required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="CSV with node, sku, on_hand and perhaps on_order.")  # fmt: skip
@click.option("--lanes", "lanes_file", required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="CSV with from, to, unit_cost and perhaps trip_cost: where goods may go.")  # fmt: skip
@click.option("--places", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="CSV with node, lon and lat: trips then stay within regions of about 25 stores.")  # fmt: skip
@click.option("--margin", type=click.FloatRange(0, 0.95), default=0.3, show_default=True,
              help="Share of the price that a lost sale loses.")  # fmt: skip
@click.option("--days", type=click.FloatRange(1, 365), default=6, show_default=True,
              help="Days until the next delivery, which a store must last.")  # fmt: skip
@click.option("--column", "columns", multiple=True, metavar="NAME=HEADER", help="Another header for a column.")
@click.option("--zone", default="UTC", show_default=True, help="Time zone whose days count where dates carry times.")
@click.option("--prices", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="CSV with sku and price.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="File for the moves, CSV.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
@reported
def transfer(demand: Path, *, out: Path | None, as_json: bool, **options: Any) -> None:  # noqa: ANN401  click's options
    """Find the moves between stores that save more lost sales than they cost; donors keep their own P90."""
    reading = Reading(
        columns=mapped_columns(options["columns"]), zone=time_zone(options["zone"]),
        prices=price_list(options["prices"]),
    )  # fmt: skip
    history, stock = shelved(read_demand(demand, reading).history, options["stock_file"], reading)
    nodes = sorted({each.node for each in history.series})
    if len(nodes) == 1:
        raise NothingToPlanError("the tables name one node only", advice="Give a column node in both.")
    freight, trip = _lanes(options["lanes_file"], nodes)
    region = _regions(options["places"], nodes)
    names, products = _products(history, stock, nodes, (options["days"], options["margin"]))
    made = plan_lanes(products, freight, trip, region)
    rows = [row for name, moves in zip(names, made.moves, strict=False) for row in _rows(name, moves, nodes)]
    click.echo(f"{len(rows):,} moves over {made.lanes:,} lanes, worth {made.gain:,.2f} after freight", err=True)
    if as_json:
        click.echo(json.dumps({"gain": round(made.gain, 2), "lanes": made.lanes, "moves": rows}, ensure_ascii=False))
    else:
        with click.open_file(str(out or "-"), "w", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, _FIELDS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)


def _products(history: History, stock: Stock, nodes: list[str], terms: tuple[float, float]
              ) -> tuple[list[str], list[Goods]]:  # fmt: skip
    """Return every product with what each node can give and gain; nodes without it take no part."""
    days, margin = terms
    made = make_plan(history, stock, lead_times([[] for _ in history.series], history.lead.astype(float)),
                     Wishes(days=1))  # fmt: skip
    mean, ratio = made.demand.over(np.full(len(history.series), days))
    at_node = {node: at for at, node in enumerate(nodes)}
    by_sku: dict[str, list[int]] = {}
    for at, series in enumerate(history.series):
        by_sku.setdefault(series.sku, []).append(at)
    products = []
    for own in by_sku.values():
        here = np.array([at_node[history.series[at].node] for at in own])
        some = goods((stock.on_hand + stock.on_order)[own], mean[own], ratio[own], 1.0)
        spare = np.zeros(len(nodes), dtype=np.int64)
        spare[here] = np.minimum(some.spare, stock.on_hand[own])
        worth = np.zeros((len(nodes), some.worth.shape[1]))
        worth[here] = some.worth * history.price[own][:, None] * margin
        products.append(Goods(spare, worth))
    return list(by_sku), products


def _rows(sku: str, moves: Moves, nodes: list[str]) -> list[dict[str, Any]]:
    lanes = zip(moves.sender.tolist(), moves.receiver.tolist(), moves.units.tolist(), strict=True)
    return [{"sku": sku, "from": nodes[sender], "to": nodes[to], "units": units} for sender, to, units in lanes]


def _lanes(path: Path, nodes: list[str]) -> tuple[Floats, Floats]:
    at = {node: place for place, node in enumerate(nodes)}
    freight = np.full((len(nodes), len(nodes)), np.inf)
    trip = np.zeros_like(freight)
    for line, row in table_rows(path, ("from", "to", "unit_cost")):
        if row["from"] not in at or row["to"] not in at:
            raise DemandTableError(f"{path}, line {line}: {row['from']!r} or {row['to']!r} is no node of the demand")
        cell = at[row["from"]], at[row["to"]]
        if cell[0] != cell[1]:
            freight[cell] = number(path, line, "unit_cost", row["unit_cost"])
            trip[cell] = number(path, line, "trip_cost", row.get("trip_cost") or "0")
    return freight, trip


def _regions(path: Path | None, nodes: list[str]) -> Counts | None:
    if path is None:
        return None
    places = {row["node"]: (number(path, line, "lon", row["lon"]), number(path, line, "lat", row["lat"]))
              for line, row in table_rows(path, ("node", "lon", "lat"))}  # fmt: skip
    missing = [node for node in nodes if node not in places]
    if missing:
        raise DemandTableError(f"{path}: no place of {missing[0]!r}", advice="Every node needs one.")
    spot = np.array([places[node] for node in nodes])
    # A degree of longitude is shorter the further one is from the equator.
    spot[:, 0] *= np.cos(np.radians(spot[:, 1].mean()))
    return regions(spot, _REGION)
