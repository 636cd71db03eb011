"""How `codefence territory` shows reports and simulations."""

import json
from collections.abc import Iterable
from datetime import datetime

import click

from contracts.wording import counted
from geofence.proposed.remarks import Remark
from trace_service.cli_parts import echo_rows
from trace_service.territories.drafts import as_row
from trace_service.territories.simulation import Simulation

_SHOWN = 12


def echo_remarks(remarks: Iterable[Remark], *, as_json: bool) -> None:
    """Print remarks, a line each with the first divisions, or one JSON object."""
    if as_json:
        click.echo(json.dumps({"remarks": [as_row(each) for each in remarks]}, ensure_ascii=False))
        return
    for each in remarks:
        click.echo(f"{each.severity}: {each.code}: {each.where}: {each.words}")
        if each.adcodes:
            more = f" … {len(each.adcodes) - _SHOWN} more" if len(each.adcodes) > _SHOWN else ""
            click.echo(f"  {' '.join(each.adcodes[:_SHOWN])}{more}")


def echo_simulation(found: Simulation, *, as_json: bool) -> None:
    """Print counts of changes and examples, or one JSON object."""
    row = found.as_row()
    if as_json:
        click.echo(json.dumps(row, ensure_ascii=False, default=_text))
        return
    click.echo(
        f"{counted(found.scans, 'scan')}, {found.judged} judged again, {counted(found.changed, 'verdict')} would change"
    )
    for name in ("transitions", "places", "examples"):
        if row[name]:
            click.echo(f"\n{name}:")
            echo_rows(row[name], as_json=False)


def _text(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
