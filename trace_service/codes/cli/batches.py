"""`codefence codes commission` and `codefence codes scrap`: what becomes of a batch's printed labels."""

import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import click
import msgspec

from trace_service.codes.batches import BatchError, Spans, find, spans
from trace_service.codes.batches import commission as commission_batch
from trace_service.codes.batches import scrap as scrap_labels
from trace_service.codes.lookup import counters_of
from trace_service.codes.opened import opened
from trace_service.codes.queries import SQL
from trace_service.codes.reporting import OneLineCommand, RefusedError, reported
from trace_service.codes.values import GTIN, SPAN, TENANT

_CODES = """
\b
Exit codes:
  0  done
  1  the database cannot be reached
  2  a value is wrong or the request is refused; nothing was changed
"""
_COMMISSION = """\b
Examples:
  codefence codes commission --tenant acme --batch 17
  codefence codes commission --tenant acme --batch 17 --unprinted 4000-4999 --unprinted 7
"""
_SCRAP = """\b
Examples:
  codefence codes scrap --tenant acme --reason "torn on the roll" < labels.txt
  codefence codes scrap --tenant acme --batch 17 --counters 100-199 --reason "misprinted"
"""


@click.command(cls=OneLineCommand, epilog="\b\nExample:\n  codefence codes batches --tenant acme --lot L42 --json")
@click.option("--tenant", type=TENANT, required=True, help="The brand whose batches these are.")
@click.option("--gtin", type=GTIN, help="Only those of this product.")
@click.option("--lot", help="Only those of this lot.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@reported
def batches(*, tenant: str, gtin: str | None, lot: str | None, as_json: bool) -> None:
    """List batches: counters, lot, dates, labels that are out of them, and when they were commissioned.

    With --json the output is a file for `codes verify --batches`.
    """
    wanted = {"brand": tenant, "gtin": gtin, "lot": lot}
    with opened("codes batches") as (connection, _):
        rows = connection.execute(SQL["list_batches"], wanted).fetchall()
    for row in rows:
        shown = {**row._asdict(), "excluded": spans(row.excluded)}
        click.echo(msgspec.json.encode(shown).decode() if as_json else _line(shown))


@click.command(cls=OneLineCommand, epilog=_COMMISSION + _CODES)
@click.option("--tenant", type=TENANT, required=True, help="The brand whose batch it is.")
@click.option("--batch", type=click.IntRange(min=1), required=True, help="The batch's number.")
@click.option("--unprinted", type=SPAN, multiple=True, help="Counters whose labels were never printed.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
@reported
def commission(*, tenant: str, batch: int, unprinted: Spans, as_json: bool) -> None:
    """Turn the printed labels of a batch into goods; what was scrapped or not printed stays out for good."""
    with opened("codes commission") as (connection, _):
        count = commission_batch(connection, tenant, batch, unprinted=unprinted)
    _say({"batch": batch, "commissioned": count}, as_json=as_json)


@click.command(cls=OneLineCommand, epilog=_SCRAP + _CODES)
@click.option("--tenant", type=TENANT, required=True, help="The brand whose labels these are.")
@click.option("--batch", type=click.IntRange(min=1), help="With --counters: the batch's number.")
@click.option("--counters", type=SPAN, multiple=True, help="Counters of the batch; else labels are read.")
@click.option("--reason", required=True, help="Why; it is kept with the labels.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
@reported
def scrap(*, tenant: str, batch: int | None, counters: Spans, reason: str, as_json: bool) -> None:
    """Take labels out of their batches, so that nobody can use them: given counters, or codes from standard input.

    All or none: one code that is not of this brand, or an item that custody has seen, and nothing is scrapped.
    """
    if bool(counters) != (batch is not None) or not reason.strip():
        raise RefusedError("--batch and --counters go together, and --reason says why.")
    with opened("codes scrap") as (connection, keys), connection.transaction():
        wanted = {batch: counters} if batch is not None else _read(counters_of(connection, keys, tenant, _lines()))
        total = sum(
            scrap_labels(connection, keys, find(connection, tenant, number), ranges, reason.strip())
            for number, ranges in sorted(wanted.items())
        )
    _say({"scrapped": total, "batches": sorted(wanted)}, as_json=as_json)


def _lines() -> Iterable[str]:
    return (line.rstrip(b"\r\n").decode("utf-8", "replace") for line in sys.stdin.buffer)


def _read(found: Iterable[tuple[str, tuple[int, int] | None]]) -> dict[int, Spans]:
    ranges: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for number, (text, place) in enumerate(found, start=1):
        if place is None:
            raise BatchError(f"line {number}: {text[:80]!r} is no issued code of this brand", advice="Scan it again.")
        ranges[place[0]].append((place[1], place[1]))
    if not ranges:
        raise BatchError("no label was given", advice="Pipe one code a line into the command.")
    return {batch: tuple(each) for batch, each in ranges.items()}


def _line(batch: Mapping[str, Any]) -> str:
    last = batch["start"] + batch["count"] - 1
    out = sum(high - low + 1 for low, high in batch["excluded"])
    state = f"commissioned {batch['commissioned_at']:%Y-%m-%d %H:%M} UTC" if batch["commissioned_at"] else "printed"
    return (
        f"batch {batch['batch']}  {batch['gtin']}  epoch {batch['epoch']}  counters {batch['start']} to {last}, "
        f"{out} out  lot {batch['lot']}  {state}"
    )


def _say(answer: dict[str, object], *, as_json: bool) -> None:
    text = msgspec.json.encode(answer).decode() if as_json else ", ".join(f"{k} {v}" for k, v in answer.items())
    click.echo(text)
