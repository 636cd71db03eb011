"""The nightly run: demand from sales, water lines and plan from demand, and the proposals that follow."""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from trace_service.domain.zones import STORE_ZONE
from trace_service.replenishment.night.kinds import KINDS, Proposed, counts, transfers
from trace_service.replenishment.night.leftovers import leftovers
from trace_service.replenishment.night.planning import Plan, Wishes
from trace_service.replenishment.night.records import LEAST_CERTAINTY, LEAST_EVIDENCE, Records, read_records
from trace_service.replenishment.night.shards import Compute, here, plan_in_shards
from trace_service.replenishment.proposals import Place, review
from trace_service.replenishment.queries import SQL
from trace_service.replenishment.suspects import write_suspects
from trace_service.store.connection import Connection, one
from trace_service.store.locks import lock
from trace_service.store.queries import SQL as STORE_SQL
from trace_service.store.rows import recordset

RECOUNTED_DAYS: Final = 35
WEIGHED_DAYS: Final = 14
"""Readings are many: a shelf that was cut off for longer loses what it saw before."""
_AT_ONCE: Final = 200


@dataclass(frozen=True, slots=True)
class Report:
    """What one run did for one brand; `ready` is False while there is too little history for lines of its own.

    `service` is None where it could not be calibrated; `open` counts open proposals by kind.
    """

    brand: str
    ready: bool
    places: int
    own_lines: int
    planned_orders: int
    service: float | None
    open: dict[str, int]


def run(connection: Connection, brand: str, now: datetime, fill: float, compute: Compute = here) -> Report | None:
    """Do the nightly work of one brand; return None where another run is at it.

    While there is too little history for lines of its own, sales are counted and suspect goods noted, no more: the
    configured lines stay in force. `compute` says where the shards of a large brand are planned: here, or on a cluster.
    """
    today = now.astimezone(STORE_ZONE).date()
    with connection.transaction():
        if not one(connection, SQL["one_run"], {"brand": brand}).had:
            return None
        key = {
            "brand": brand, "today": today, "since": today - timedelta(days=RECOUNTED_DAYS), "zone": str(STORE_ZONE),
            "weighed_since": today - timedelta(days=WEIGHED_DAYS),
        }  # fmt: skip
        for query in ("count_sales", "count_weighed", "note_sold_out"):
            connection.execute(SQL[query], key)
        write_suspects(connection, brand)
        records = read_records(connection, brand, today)
        if records is None:
            return Report(brand, ready=False, places=0, own_lines=0, planned_orders=0, service=None, open={})
        wishes = Wishes(fill, bias=records.bias, coming=records.coming)
        plan = plan_in_shards(records.history, records.stock, records.lead, wishes, compute)
        _write(connection, brand, records, plan)
        candidates = connection.execute(SQL["count_candidates"], {"brand": brand, "certainty": LEAST_CERTAINTY})
        urgent = transfers(records, plan)
        # Of two rows of one way the later holds: what is left goes with what is urgent.
        made = [*urgent, *leftovers(records, plan, urgent), *counts(records, candidates.fetchall())]
        _settle(connection, brand, made)
    _orders(connection, records)
    connection.execute(STORE_SQL["tell_console"], {"payloads": [json.dumps({"kind": "proposal", "brand": brand})]})
    standing = connection.execute(SQL["open_kinds"], {"brand": brand}).fetchall()
    return Report(
        brand, ready=True, places=len(records.rows), own_lines=int((plan.evidence >= LEAST_EVIDENCE).sum()),
        planned_orders=len(plan.orders), service=round(plan.service, 4) if plan.calibrated else None,
        open={row.kind: row.number for row in standing},
    )  # fmt: skip


def _write(connection: Connection, brand: str, records: Records, plan: Plan) -> None:
    """Keep lines and plan; the next run's replace them."""
    demand, lines, lead = plan.demand, plan.lines, plan.lead
    rows = [
        {
            "site": row.site, "gtin": row.gtin, "mean": float(plan.near[at] / records.bias[at]),
            "ratio": float(demand.ratio[at]), "bias": float(records.bias[at]), "lead_days": float(lead.mean[at]),
            "lead_variance": float(lead.variance[at]), "service": float(demand.service[at]),
            "safety": int(lines.safety[at]), "warning": int(lines.warning[at]),
            "maximum": int(max(lines.maximum[at], lines.warning[at])), "evidence": float(plan.evidence[at]),
            "model": plan.model, "history_days": len(records.history.days), "occasion": moved.occasion if moved else "",
            "occasion_from": moved.since if moved else None, "occasion_units": moved.units if moved else 0.0,
        }
        for at, (row, moved) in enumerate(zip(records.rows, plan.moved, strict=True))
    ]  # fmt: skip
    connection.execute(SQL["write_lines"], {"brand": brand, "rows": recordset(rows)})
    orders = [
        {
            "site": records.rows[each.series].site, "gtin": records.rows[each.series].gtin,
            "order_on": records.today + timedelta(days=each.day), "quantity": each.quantity,
            "arrives_on": records.today + timedelta(days=each.arrives),
            "early_on": records.today + timedelta(days=each.early_day), "model": plan.model,
            "occasion": each.occasion,
        }
        for each in plan.orders
        if plan.evidence[each.series] >= LEAST_EVIDENCE
    ]  # fmt: skip
    connection.execute(SQL["forget_plan"], {"brand": brand})
    connection.execute(SQL["write_plan"], {"brand": brand, "rows": recordset(orders)})
    ahead = [
        {"day": each.day, "name": each.name, "factor": each.factor, "product_line": records.product_lines[each.group]}
        for each in plan.occasions
    ]
    connection.execute(SQL["forget_coming"], {"brand": brand})
    connection.execute(SQL["write_coming"], {"brand": brand, "rows": recordset(ahead)})


def _settle(connection: Connection, brand: str, made: list[Proposed]) -> None:
    """Bring the run's own kinds of proposals to what is proposed now; what was decided lately stays decided."""
    standing = connection.execute(SQL["standing"], {"brand": brand, "kinds": list(KINDS)}).fetchall()
    held = {_key(row.kind, row.site, row.to_site, row.gtin): row for row in standing}
    wanted = {_key(each["kind"], each["site"], each["to_site"] or "", each["gtin"]): each for each in made}
    fresh = [{**each, "brand": brand} for key, each in wanted.items() if key not in held]
    changed = [
        {**each, "id": held[key].id}
        for key, each in wanted.items()
        if key in held
        and held[key].state == "open"
        and (held[key].quantity, held[key].reason) != (each["quantity"], each["reason"])
    ]
    gone = [{"id": row.id} for key, row in held.items() if row.state == "open" and key not in wanted]
    for query, rows in (("insert_proposals", fresh), ("update_proposals", changed), ("withdraw_proposals", gone)):
        if rows:
            connection.execute(SQL[query], {"rows": recordset(rows)})


def _key(kind: str, site: str, to_site: str, gtin: str) -> tuple[str, str, str, str]:
    return kind, site, to_site, gtin


def _orders(connection: Connection, records: Records) -> None:
    """Look at every place's order under its new lines, a few at a time, locked as the live path locks them."""
    places = [Place(row.site, row.gtin) for row in records.rows]
    for start in range(0, len(places), _AT_ONCE):
        part = places[start : start + _AT_ONCE]
        with connection.transaction():
            lock(connection, {f"stock {place.site} {place.gtin}" for place in part})
            review(connection, part, [], None)
