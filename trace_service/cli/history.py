"""`codefence trace history`: where a unit was at any moment, and what says so."""

from datetime import UTC, datetime
from typing import Any

import click
import msgspec

from contracts.errors import CodeError, CodefenceError
from contracts.gs1 import parse
from trace_service.bootstrap import load_settings
from trace_service.cli_parts import echo_rows, reported
from trace_service.processing.history import Entry, UnitState, brand_of, state_at, timeline
from trace_service.store.connection import connect

_EPILOG = """\b
Examples:
  codefence trace history '(01)09506000134352(21)10K5WY8QKYKFQCD09VWD'
  codefence trace history https://id.example/00/395060001000000015 --at 2026-03-02T16:00+08:00
  codefence trace history /00/395060001000000015 --known 2026-03-01T00:00Z --json

\b
Exit codes:
  0  the unit is known
  1  nobody had said anything about it by then, or the database is away
  2  wrong usage, such as a text that is no code or a time that is none
"""


class UnknownUnitError(CodefenceError):
    """A unit that no event names."""

    code = "UNKNOWN_UNIT"


class Moment(click.ParamType[datetime]):
    """A point in time, ISO 8601; without an offset it is UTC."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:  # noqa: ANN401  click's
        """Return the time, aware."""
        if isinstance(value, datetime):
            return value
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is no time such as 2026-03-02T16:00+08:00", param, ctx)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


@click.command(epilog=_EPILOG)
@click.argument("code")
@click.option("--at", type=Moment(), help="The moment to look at; now by default.")
@click.option("--known", type=Moment(), help="What was known by then; by default all that is known now.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
@reported
def history(code: str, *, at: datetime | None, known: datetime | None, as_json: bool) -> None:
    """Tell state, place, holder and entitled dealer of CODE, at any moment and as known at any other."""
    unit = _unit(code)
    with connect(load_settings().database_url.get_secret_value(), "trace history") as connection:
        brand = brand_of(connection, unit)
        if brand is None:
            raise UnknownUnitError(f"nobody has said anything about {unit}", advice="Check the code, or scan it once.")
        found = state_at(connection, brand, unit, at or datetime.now(UTC), known)
        entries = timeline(connection, brand, unit, known)
    if as_json:
        answer = {"brand": brand, **_shown(found), "timeline": [_entry(each) for each in entries]}
        click.echo(msgspec.json.encode(answer).decode())
        return
    rows = {name: value for name, value in _shown(found).items() if name != "events"}
    echo_rows(({"": name, "is": _text(value)} for name, value in rows.items()), as_json=False)
    click.echo()
    echo_rows((_row(each) for each in entries), as_json=False)


def _unit(code: str) -> str:
    try:
        return parse(f"https://id.gs1.org{code}" if code.startswith("/") else code).key
    except CodeError as error:
        raise click.BadParameter(f"{code!r} is no code: {error}. {error.advice}".strip(), param_hint="CODE") from error


def _shown(found: UnitState) -> dict[str, Any]:
    shown: dict[str, Any] = msgspec.to_builtins(found, builtin_types=(datetime,))
    return {**shown, "events": [_entry(each) for each in found.events]}


def _entry(each: Entry) -> dict[str, Any]:
    return {**msgspec.to_builtins(each.event, builtin_types=(datetime,)), **_verdict(each)}


def _verdict(each: Entry) -> dict[str, Any]:
    return {"recorded_at": each.recorded_at, "refused": each.refusal, "retracted": each.retracted}


def _row(each: Entry) -> dict[str, object]:
    event = each.event
    result = "retracted" if each.retracted else each.refusal or "ok"
    return {
        "occurred_at": event.occurred_at,
        "step": event.step.value,
        "site": event.site,
        "unit": event.unit,
        "parent": event.parent,
        "dealer": event.dealer,
        "shipment": event.shipment,
        "recorded_at": each.recorded_at,
        "result": str(result),
    }


def _text(value: object) -> object:
    if isinstance(value, dict):
        return value.get("id", value.get("number"))
    return value
