"""`codefence inspect`: where inspectors start, the plan of the day, and policies measured on generated worlds."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypedDict, Unpack

import click
import msgspec

from contracts.wording import counted
from trace_service.cli_parts import echo_rows, reported
from trace_service.codes.opened import opened
from trace_service.domain.zones import STORE_ZONE
from trace_service.inspections import store
from trace_service.inspections.measuring import POLICIES, Result, measure, table, watch
from trace_service.inspections.model import Base
from trace_service.inspections.plots import write_plot
from trace_service.store.brands import require_brand

_PLAN: Final = """\b
Examples:
  codefence inspect plan qingyuan
  codefence inspect plan qingyuan --json

\b
Exit codes:
  0  the plan of tonight, made now where there was none
  1  nobody has said where inspectors start
"""
_BASE: Final = """\b
Examples:
  codefence inspect base qingyuan Hangzhou --lat 30.27 --lon 120.16 --hours 9 --speed 70
  codefence inspect base qingyuan Hangzhou --lat 30.27 --lon 120.16 --hours 0
"""
_BASES: Final = "\b\nExample:\n  codefence inspect bases qingyuan --json"
_TRIAL: Final = """\b
Examples:
  codefence world generate worlds/41 --seed 41 --whereabouts
  codefence inspect trial worlds/41 --out results
  codefence inspect trial worlds/* --out results --policy planner --policy random --json

\b
Results are kept in OUT/results.json: a world that was played under a policy is not played again.

\b
Exit codes:
  0  every world was played
  1  a world cannot be used, or does not say where goods stand
"""
_JSON = click.option("--json", "as_json", is_flag=True, help="For machines, on standard output.")
_SHOWN: Final = ("base", "stop", "city", "share", "gain", "hours", "why")


class _Day(TypedDict):
    """The options of a base."""

    lat: float
    lon: float
    hours: float
    speed: float


@click.group()
def inspect() -> None:
    """Plan where inspectors look next, and measure how good such plans are."""


@inspect.command(epilog=_PLAN)
@click.argument("brand")
@_JSON
@reported
def plan(brand: str, *, as_json: bool) -> None:
    """Show BRAND's newest plan; makes tonight's where there is none yet."""
    now = datetime.now(UTC)
    night = now.astimezone(STORE_ZONE).date()
    with opened("inspect plan") as (connection, _):
        require_brand(connection, brand)
        store.make_plan(connection, brand, night, now)
        found = store.newest(connection, brand)
    visits = found[1] if found else []
    rows = [{**each._asdict(), "why": _why(each.reasons)} for each in visits]
    if not as_json:
        rows = [{name: row[name] for name in _SHOWN} for row in rows]
        rows = [{**row, "gain": f"{100 * row['gain']:.1f} %", "hours": f"{row['hours']:.1f}"} for row in rows]
    echo_rows(rows, as_json=as_json)


@inspect.command(epilog=_BASE)
@click.argument("brand")
@click.argument("name")
@click.option("--lat", type=click.FloatRange(-90, 90), required=True, help="Degrees, WGS-84.")
@click.option("--lon", type=click.FloatRange(-180, 180), required=True, help="Degrees, WGS-84.")
@click.option("--hours", type=click.FloatRange(0, 16), default=9.0, show_default=True, help="A day; 0 gives it up.")
@click.option("--speed", type=click.FloatRange(5, 300), default=70.0, show_default=True, help="Kilometres an hour.")
@reported
def base(brand: str, name: str, **day: Unpack[_Day]) -> None:
    """Note where an inspector of BRAND starts; the same NAME again changes it."""
    start = Base(name=name, lat=day["lat"], lon=day["lon"], hours=day["hours"], speed_kmh=day["speed"])
    with opened("inspect base") as (connection, _):
        require_brand(connection, brand)
        store.put_base(connection, brand, start)
    click.echo(f"{name}: {start.hours:g} hours a day" if start.hours else f"{name} is given up")


@inspect.command(epilog=_BASES)
@click.argument("brand")
@_JSON
@reported
def bases(brand: str, *, as_json: bool) -> None:
    """List where BRAND's inspectors start."""
    with opened("inspect bases") as (connection, _):
        require_brand(connection, brand)
        rows = [msgspec.structs.asdict(each) for each in store.bases(connection, brand)]
    echo_rows(rows, as_json=as_json)


@inspect.command(epilog=_TRIAL)
@click.argument("worlds", nargs=-1, required=True, type=click.Path(path_type=Path, file_okay=False), metavar="WORLD...")
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder of the results.")
@click.option("--policy", "policies", multiple=True, type=click.Choice(POLICIES), help="Only these; all by default.")
@click.option("--look-on", is_flag=True, help="One run a world: inspectors look, and the engine hears nothing of it.")
@_JSON
@reported
def trial(worlds: tuple[Path, ...], *, out: Path, policies: tuple[str, ...], look_on: bool, as_json: bool) -> None:
    """Play each WORLD without inspections and under each policy; attacks found per 100 visits beyond those without.

    With --look-on an attack is found when its goods are come upon, and one run serves all policies.
    """
    out.mkdir(parents=True, exist_ok=True)
    play = watch if look_on else measure
    kept = out / "results.json"
    done = msgspec.json.decode(kept.read_bytes(), type=list[Result]) if kept.exists() else []
    for folder in worlds:
        missing = [
            name
            for name in policies or POLICIES
            if not any(each.world == folder.name and each.policy == name for each in done)
        ]
        if missing:
            found = play(folder, lambda line: click.echo(line, err=True), missing)
            done += [each for each in found if each.policy != "none"]
            kept.write_bytes(msgspec.json.encode(done))
    mine = {folder.name for folder in worlds}
    rows: list[dict[str, Any]] = table([each for each in done if each.world in mine])
    write_plot(out / "found-per-100.svg", rows)
    echo_rows(rows, as_json=as_json)


def _why(reasons: list[dict[str, Any]]) -> str:
    return "; ".join(
        f"{each['dealer']} {100 * each['probability']:.1f} %, {counted(each['cases'], 'case')}" for each in reasons[:2]
    )
