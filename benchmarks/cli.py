"""`codefence bench`: run one benchmark beside its obvious alternatives, or list them all."""

import importlib
import json
import sys
from functools import partial
from typing import Any

import click

from benchmarks import frame
from ingest.cli.parts import log_json

_EPILOG = """\b
Examples:
  codefence bench               list the benchmarks
  codefence bench scan          run one and print a table
  codefence bench scan --json   one JSON object on standard output
  codefence bench geofence --points 10000000

\b
Exit codes:
  0  every target was met, or the data is not on this machine
  1  a target was missed
  2  wrong usage
"""


@click.command(epilog=_EPILOG)
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
@click.option("--points", type=click.IntRange(min=1), help="For geofence: how many points a map to compare with GEOS.")
def bench(name: str | None, points: int | None, *, as_json: bool) -> None:
    """Run the benchmark NAME; without a NAME, list them all."""
    known = frame.names()
    if name is None:
        _list(known, as_json=as_json)
        return
    if name not in known:
        raise click.BadParameter(f"{name!r} is none of {', '.join(known)}", param_hint="NAME")
    log_json()  # to standard error, beside the progress
    module = frame.as_benchmark(importlib.import_module(f"benchmarks.{name}"))
    work = module.run
    if points is not None:
        if not hasattr(module, "run_points"):
            raise click.BadParameter(f"{name} compares no points", param_hint="--points")
        work = partial(module.run_points, points=points)
    try:
        outcome = work(lambda line: click.echo(line, err=True))
    except frame.DataMissingError as missing:
        _skip(name, missing, as_json=as_json)
        return
    report = {
        "name": name,
        "machine": frame.machine(),
        "figures": dict(outcome.figures),
        "targets": {key: list(target) for key, target in outcome.targets.items()},
        "met": outcome.met,
    }
    click.echo(json.dumps(report, ensure_ascii=False) if as_json else _table(report, outcome))
    if not outcome.met:
        sys.exit(1)


def _list(known: dict[str, str], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(known, ensure_ascii=False))
        return
    width = max(map(len, known), default=0)
    for name, summary in known.items():
        click.echo(f"{name:<{width}}  {summary}")


def _skip(name: str, missing: frame.DataMissingError, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"name": name, "machine": frame.machine(), "skipped": missing.message, "met": None}))
    else:
        click.echo(f"{name}: skipped, {missing.message}. {missing.advice}")


def _table(report: dict[str, Any], outcome: frame.Outcome) -> str:
    width = max(map(len, outcome.figures), default=0)
    lines = [f"{report['name']} on {', '.join(f'{key} {value}' for key, value in report['machine'].items())}", ""]
    for key, figure in outcome.figures.items():
        target = outcome.targets.get(key)
        verdict = ""
        if target is not None:
            mark = "met" if target.is_met(figure) else "MISSED"
            verdict = f"  target {target.comparison} {target.bound}  {mark}"
        lines.append(f"{key:<{width}}  {_shown(figure):>10}{verdict}")
    return "\n".join(lines)


def _shown(figure: frame.Figure) -> str:
    return f"{figure:,.2f}" if isinstance(figure, float) else str(figure)
