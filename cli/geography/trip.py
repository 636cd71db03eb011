"""`codefence trip`: a truck's track against its plan, and simulated trucks to try it on."""

import csv
import json
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TextIO

import click

from cli.geography.tables import open_table
from cli.geography.trip_plans import read_trip_plan
from cli.geography.trip_tables import report_of, shown
from firmware_sim.trackers import SimulatedTrip, simulate
from geofence.errors import GeofenceError
from geofence.trips import Episode, Fix, Kind, Report, judge_trip

_JUDGE: Final = """\b
Examples:
  codefence trip judge --plan trip.json --reports track.csv
  codefence trip judge --plan trip.json --reports - --json < track.csv

\b
Exit codes:
  0  nothing is wrong
  1  there are violations, or a row could not be read
  2  wrong usage
"""
_SIMULATE: Final = """\b
Examples:
  codefence trip simulate --seed 7 --out some/folder
  codefence trip simulate --seed 7 --kind off_route --out some/folder

\b
Exit codes:
  0  trip.json, track.csv and truth.json are written
  2  wrong usage
"""
_COLUMNS: Final = ("at", "lon", "lat", "accuracy_m", "handling", "amount")


@click.group()
def trip() -> None:
    """Judge a truck's track against its plan."""


@trip.command(epilog=_JUDGE)
@click.option("--plan", "plan_file", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=True,
              help="The trip as PUT /api/v1/trips takes it, with its legs and sites.")  # fmt: skip
@click.option("--reports", type=click.File("r", encoding="utf-8-sig"), required=True,
              help="CSV with at (ISO 8601 with zone, or milliseconds), lon, lat, accuracy_m, and perhaps handling and "
              "amount; in any order; - is standard input.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="A JSON object a violation.")
def judge(plan_file: Path, reports: TextIO, *, as_json: bool) -> None:
    """Print what went wrong on a trip that is over: kind, from when to when, and why."""
    plan = read_trip_plan(plan_file)
    failed = 0
    found: list[Report] = []
    for number, row in enumerate(open_table(reports, ("at", "lon", "lat", "accuracy_m")).rows, start=2):
        try:
            found.append(report_of(row, plan.device))
        except (ValueError, OverflowError, GeofenceError) as error:
            failed += 1
            click.echo(f"line {number}: {error}", err=True)
    if not found:
        raise click.ClickException("no report could be read: there is nothing to judge")
    episodes = judge_trip(plan, found)
    for episode in episodes:
        click.echo(json.dumps(shown(episode)) if as_json else _line(episode))
    click.echo(f"{len(found)} reports, {len(episodes)} violations", err=True)
    if failed or episodes:
        sys.exit(1)


@trip.command("simulate", epilog=_SIMULATE)
@click.option("--seed", type=click.IntRange(0), required=True, help="The same seed gives the same trip.")
@click.option("--kind", type=click.Choice([kind.value for kind in Kind]), help="Do this one thing wrong.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder to write to.")
def simulate_(seed: int, kind: str | None, out: Path) -> None:
    """Write the plan of a simulated truck, what its tracker sent as it arrived, and what truly went wrong."""
    made = simulate(seed, Kind(kind) if kind else None)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise click.ClickException(f"cannot write {out}: {error.strerror}") from error
    (out / "trip.json").write_text(json.dumps(_document(made), indent=1), "utf-8")
    with (out / "track.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(_COLUMNS)
        writer.writerows(_rows(made))
    planted = made.planted
    truth = [] if planted is None else [{"kind": planted.kind, "start": planted.start, "end": planted.end}]
    (out / "truth.json").write_text(json.dumps(truth), "utf-8")
    click.echo(f"{len(made.deliveries)} reports of {made.plan.device} in {out}", err=True)


def _line(episode: Episode) -> str:
    notes = "; ".join(
        " ".join([note.code, *(f"{name}={value:g}" for name, value in note.numbers.items())]) for note in episode.notes
    )
    end = "-" if episode.end is None else _time(episode.end)
    about = f" {episode.subject}" if episode.subject else ""
    return f"{_time(episode.start)}  {end:<20}  {episode.severity:<8}  {episode.kind}{about}: {notes}"


def _document(made: SimulatedTrip) -> dict[str, Any]:
    plan = made.plan
    ats = [report.at for _, report in made.deliveries]
    return {
        "device": plan.device,
        "begins": _iso(min(ats) - 60_000),
        "ends": _iso(max(ats) + 60_000),
        "stops": [
            {
                "site": stop.site,
                "opens": _iso(stop.opens),
                "closes": _iso(stop.closes),
                "min_dwell_s": stop.min_dwell_s,
                "max_dwell_s": stop.max_dwell_s,
                "departs_by": _iso(stop.departs_by),
            }
            for stop in plan.stops
        ],
        "legs": [{"line": _rounded(leg.line), "width_m": leg.width_m} for leg in plan.legs],
        "sites": [
            {"id": site.id, "role": site.role, "centre": [site.lon, site.lat], "radius_m": site.radius_m}
            for site in plan.sites
        ],
    }


def _rounded(line: Sequence[tuple[float, float]]) -> list[list[float]]:
    return [[round(lon, 6), round(lat, 6)] for lon, lat in line]


def _rows(made: SimulatedTrip) -> Iterator[tuple[object, ...]]:
    for _, report in made.deliveries:
        if isinstance(report, Fix):
            yield report.at, f"{report.lon:.7f}", f"{report.lat:.7f}", report.accuracy_m, "", ""
        else:
            yield report.at, "", "", "", report.kind, report.amount


def _iso(at: int | None) -> str | None:
    return None if at is None else datetime.fromtimestamp(at / 1000, UTC).isoformat()


def _time(at: int) -> str:
    return datetime.fromtimestamp(at / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
