"""`codefence case`: list and show cases, pack and verify evidence, and how a brand works on them."""

import base64
import binascii
import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import click
import msgspec

from contracts.errors import ConfigurationError
from contracts.wording import counted
from trace_service.cases import service
from trace_service.cases.days import check_schedule, run_day
from trace_service.cases.machine import LIVE, State
from trace_service.cases.model import Policy
from trace_service.cases.outcomes import outcomes as reviewed
from trace_service.cases.pack import write_pack
from trace_service.cases.queries import SQL
from trace_service.cases.recalibration import recalibrate as refitted
from trace_service.cases.reproduce import reproduced
from trace_service.cases.sync import policy_of
from trace_service.cases.verify import PackError, verify_pack
from trace_service.cli.backfill import backfill
from trace_service.cli_parts import echo_rows, reported
from trace_service.codes.opened import opened
from trace_service.store.brands import require_brand

_EXAMPLES: Final = {
    "list": "codefence case list --brand qingyuan --state open --json",
    "show": "codefence case show 7 --brand qingyuan --json",
    "pack": "codefence case pack 7 --brand qingyuan --out case-7.zip",
    "verify": "codefence case verify case-7.zip --key kq9…=",
    "reproduce": "codefence case reproduce 7 --brand qingyuan",
    "outcomes": "codefence case outcomes --brand qingyuan --json > outcomes.jsonl",
    "policy": "codefence case policy --brand qingyuan --two-person-value 50000 --daily-budget 20",
    "day": "codefence case day --brand qingyuan",
    "recalibrate": "codefence case recalibrate --brand qingyuan --json",
}
_KEY_BYTES: Final = 32
_BRAND = click.option("--brand", required=True, help="Whose cases.")
_JSON = click.option("--json", "as_json", is_flag=True, help="Print a JSON object a line.")


def _example(command: str, codes: str = "") -> str:
    return f"\b\nExample:\n  {_EXAMPLES[command]}" + (f"\n\n\b\nExit codes:\n{codes}" if codes else "")


@click.group()
def case() -> None:
    """Follow cases: alerts that belong together, and the work on them."""


@case.command("list", epilog=_example("list"))
@_BRAND
@click.option("--state", type=click.Choice([each.value for each in State]), help="All live ones by default.")
@_JSON
@reported
def list_(*, brand: str, state: str | None, as_json: bool) -> None:
    """List cases, the largest expected loss first."""
    wanted = [State(state)] if state else [each for each in State if each in LIVE]
    with opened("case list") as (connection, _):
        rows = [each.model_dump(mode="json") for each in service.cases(connection, brand, wanted)]
    shown = ("id", "state", "dealer", "destinations", "probability", "priority", "owner", "deadline")
    echo_rows(rows if as_json else [{name: row[name] for name in shown} for row in rows], as_json=as_json)


@case.command(epilog=_example("show"))
@click.argument("number", type=click.IntRange(1, 2**31 - 1))
@_BRAND
@_JSON
@reported
def show(*, number: int, brand: str, as_json: bool) -> None:
    """Show a case and its history."""
    with opened("case show") as (connection, _):
        found = service.find(connection, brand, number).model_dump(mode="json")
        entries = [
            each.model_dump(mode="json", exclude={"previous", "digest"}) for each in service.history(connection, number)
        ]
    if as_json:
        echo_rows([{**found, "history": entries}], as_json=True)
        return
    echo_rows([{"field": name, "value": value} for name, value in found.items()], as_json=False)
    click.echo()
    echo_rows([{name: each[name] for name in ("at", "actor", "action", "to_state")} for each in entries], as_json=False)


@case.command(epilog=_example("pack"))
@click.argument("number", type=click.IntRange(1, 2**31 - 1))
@_BRAND
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="The ZIP to write.")
@reported
def pack(*, number: int, brand: str, out: Path) -> None:
    """Write a case's evidence pack, signed."""
    fresh = out.with_name(f".{out.name}.new")
    with opened("case pack") as (connection, keys), fresh.open("wb") as target:
        write_pack(connection, keys, brand, number, target)
    fresh.replace(out)
    click.echo(f"{out} holds case {number}", err=True)


@case.command(epilog=_example("verify", "  0  everything holds\n  1  something does not; the message says what"))
@click.argument("file", metavar="PACK", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--key", help="The public key that must have signed it, base64, as `codefence orders key` prints it.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@reported
def verify(*, file: Path, key: str | None, as_json: bool) -> None:
    """Check a pack's hashes, signature and history; no database is needed."""
    found = verify_pack(file, _public(key) if key else None)
    if as_json:
        click.echo(msgspec.json.encode(found._asdict()).decode())
    else:
        kept = f"{counted(found.files, 'file')}, {counted(found.entries, 'history entry', 'history entries')}"
        click.echo(f"case {found.case} of {found.brand}: {kept}, sound")
    if found.unchecked:
        numbers = ", ".join(map(str, found.unchecked))
        click.echo(f"figures not computed again, another version kept them: alerts {numbers}", err=True)
    if not found.pinned:
        click.echo(f"signed by key {found.key}, which the pack itself names: compare it, or give --key", err=True)


@case.command(epilog=_example("reproduce", "  0  every figure agrees\n  1  one does not; the table says which"))
@click.argument("number", type=click.IntRange(1, 2**31 - 1))
@_BRAND
@_JSON
@reported
def reproduce(*, number: int, brand: str, as_json: bool) -> None:
    """Compute every figure of a case's alerts again from what is stored with them."""
    with opened("case reproduce") as (connection, _):
        service.find(connection, brand, number)
        rows = [row._asdict() for row in connection.execute(SQL["alerts_with_material"], {"case": number})]
    found = list(reproduced(rows))
    echo_rows([{**each._asdict(), "agrees": each.agrees} for each in found], as_json=as_json)
    if any(each.computed is None for each in found):
        click.echo("figures without a computed one rest on papers and registers alone", err=True)
    if not all(each.agrees for each in found):
        sys.exit(1)


def _public(text: str) -> bytes:
    try:
        key = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise PackError("--key is not base64", advice="Copy what `codefence orders key` prints.") from error
    if len(key) != _KEY_BYTES:
        raise PackError(f"--key has {len(key)} bytes, not 32", advice="Copy what `codefence orders key` prints.")
    return key


@case.command(epilog=_example("outcomes"))
@_BRAND
@_JSON
@reported
def outcomes(*, brand: str, as_json: bool) -> None:
    """Print reviewed outcomes with the chance that each case was looked at, for calibration."""
    with opened("case outcomes") as (connection, _):
        rows = list(reviewed(connection, brand))
    if as_json:
        for row in rows:
            click.echo(msgspec.json.encode(row).decode())
        return
    shown = ("case", "dealer", "destinations", "outcome", "believed", "selected", "selection_probability", "expires_at")
    echo_rows([{name: row[name] for name in shown} for row in rows], as_json=False)


@case.command(epilog=_example("policy"))
@_BRAND
@click.option("--daily-budget", type=click.IntRange(1, 10_000), help="Cases that a day is given to.")
@click.option("--audit-share", type=click.FloatRange(0, 1), help="How many more are drawn at random, of the budget.")
@click.option("--two-person-value", type=Decimal, help="From which value of goods two persons close a case.")
@click.option("--loss-share", type=click.FloatRange(0, 1), help="Of an item's price, what a diverted one costs.")
@click.option("--deadline-days", type=click.IntRange(1, 365), help="How long a case may take.")
@click.option("--benign-days", type=click.IntRange(1, 3650), help="How long a benign outcome holds for its place.")
@click.option("--zone", help="Time zone of the brand's days.")
@click.option("--digest-at", help="When the day's cases are chosen and told: five cron fields.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@reported
def policy(*, brand: str, as_json: bool, **changes: Any) -> None:  # noqa: ANN401  what click passes on
    """Show how a brand works on cases, or change it; earlier policies stay on record."""
    given = {name: value for name, value in changes.items() if value is not None}
    with opened("case policy") as (connection, _):
        found = policy_of(connection, brand)
        if given:
            found = Policy.model_validate({**found.model_dump(), **given})
            if not Decimal(0) <= found.two_person_value < Decimal(10) ** 12:
                raise ConfigurationError("--two-person-value is out of range", advice="0 to a million million.")
            check_schedule(found)
            service.set_policy(connection, brand, found, "command line")
    row = found.model_dump(mode="json")
    echo_rows([row] if as_json else [{"field": name, "value": value} for name, value in row.items()], as_json=as_json)


@case.command(epilog=_example("day"))
@_BRAND
@_JSON
@reported
def day(*, brand: str, as_json: bool) -> None:
    """Choose today's cases now, unless that was done: the most urgent, and a few at random."""
    now = datetime.now(UTC)
    with opened("case day") as (connection, _):
        found = policy_of(connection, brand)
        chosen = run_day(connection, brand, found, now.astimezone(ZoneInfo(found.zone)).date(), now)
    names = ("place", "case", "reason", "probability")
    echo_rows([{name: getattr(each, name) for name in names} for each in chosen], as_json=as_json)
    if not chosen:
        click.echo("nothing waits, or today's cases were chosen before", err=True)


@case.command(epilog=_example("recalibrate", "  0  recorded, or there is nothing yet to learn from"))
@_BRAND
@_JSON
@reported
def recalibrate(*, brand: str, as_json: bool) -> None:
    """Fit the brand's calibration to its reviewed outcomes now, as is done each night that has new ones."""
    with opened("case recalibrate") as (connection, _):
        require_brand(connection, brand)
        found = refitted(connection, brand, "command line")
    if found is None:
        click.echo("no case was decided yet", err=True)
        return
    names = ("decision", "cases", "confirmed", "loss_before", "loss_after")
    version = found.calibration.version if found.calibration else None
    row = {name: getattr(found, name) for name in names} | {"version": version}
    echo_rows([row] if as_json else [{"field": name, "value": value} for name, value in row.items()], as_json=as_json)


case.add_command(backfill)
