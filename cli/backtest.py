"""`codefence backtest`: world folders through the detection engine, scored where the truth is known."""

import os
import sys
from pathlib import Path
from typing import Any, Final

# A year has thousands of small matrix products: more threads than one only wait for each other.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import click
import msgspec

from contracts.errors import CodefenceError
from contracts.wording import counted
from trace_service.backtest import table
from trace_service.backtest.pool import pooled, run_worlds
from trace_service.backtest.report import write_report
from trace_service.backtest.run import EVIDENCE, Outcome
from trace_service.backtest.scoring import Score, Share

_OF_CODES: Final = ("clone", "forged")
_EPILOG: Final = """\b
Examples:
  codefence backtest worlds/one --out results
  codefence backtest worlds/* --out results --processes 2
  codefence backtest history --out results --json

\b
Each world's alerts.jsonl and cells.jsonl go to OUT/<world>, the report to OUT/report.html. A run that was broken
off goes on where it stopped.

\b
Exit codes:
  0  every world was run
  1  a world cannot be used; the line says file, line and column
  2  wrong usage
"""


@click.command(epilog=_EPILOG)
@click.argument("worlds", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="WORLD...")
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder of the results.")
@click.option("--processes", type=click.IntRange(1, 64), default=1, show_default=True, help="Worlds side by side.")
@click.option("--json", "as_json", is_flag=True, help="The scores as one JSON object on standard output.")
def backtest(worlds: tuple[Path, ...], out: Path, processes: int, *, as_json: bool) -> None:
    """Run the detection engine over WORLD folders and score its alerts, several worlds pooled.

    Labels are optional: without them there are alerts, but no scores.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        outcomes = run_worlds(worlds, out, processes, lambda line: click.echo(line, err=True))
    except (CodefenceError, OSError) as error:
        advice = getattr(error, "advice", "")
        click.echo(f"Error: {error}{'. ' + advice if advice else ''}", err=True)
        sys.exit(1)
    scores = pooled(outcomes)
    write_report(out / "report.html", outcomes, scores)
    if as_json:
        click.echo(msgspec.json.encode(_as_object(outcomes, scores)).decode())
        return
    for line in _text(outcomes, scores, out):
        click.echo(line)


def _text(outcomes: list[Outcome], scores: dict[str, Score], out: Path) -> list[str]:
    found = table.lines(scores) if scores else ["No labels.json: alerts, but no scores."]
    if EVIDENCE in scores:
        found += ["", *_by_detector(scores[EVIDENCE])]
    scans, spent = sum(each.scans for each in outcomes), sum(each.cpu_s for each in outcomes)
    events = sum(sum(each.notices.values()) for each in outcomes)
    alerts, back = sum(each.alerts for each in outcomes), sum(each.retracted for each in outcomes)
    found.append("")
    said = ", ".join((counted(len(outcomes), "world"), counted(scans, "scan"), counted(alerts, "alert")))
    readings = sum(each.readings for each in outcomes)
    each_scan, each_reading = (1000 * spent / max(1, number) for number in (scans, readings))
    found.append(
        f"{said}, {back} taken back, {spent:.0f} s of processor: {each_scan:.2f} ms a consumer scan, "
        f"{each_reading:.3f} ms for each of {counted(readings, 'reading')} of any kind"
    )
    if events:
        notices: dict[str, int] = {}
        for outcome in outcomes:
            for rule, count in outcome.notices.items():
                notices[rule] = notices.get(rule, 0) + count
        found.append("Handled by rule: " + ", ".join(f"{rule} {count}" for rule, count in sorted(notices.items())))
    remarks = sorted({remark for each in outcomes for remark in each.remarks})
    return [*found, *remarks, f"Report: {out / 'report.html'}"]


def _by_detector(score: Score) -> list[str]:
    """Return what of each detector's alerts and leads was right, and what no alert tells."""
    rows = [("right alerts", name, share) for name, share in sorted(score.by_detector.items())]
    rows += [("right leads", name, share) for name, share in sorted(score.leads.items())]
    rows += [("led to", name, share) for name, share in sorted(score.led.items()) if share.hits]
    rows += [("ordering prior", "dealer-weeks", score.ordering_weeks)]
    rows += [("ordering prior", "promotions", score.ordering_promotions)]
    found = [f"{what}, {name}: {table.share(share)}" for what, name, share in rows]
    for name in _OF_CODES:
        share = score.false_of_codes(name)
        low, high = (1e6 * each for each in share.interval or (0.0, 1.0))
        found.append(f"false {name} alerts: {share.hits} of {share.of} honest codes, {low:.0f}–{high:.0f} a million")
    return found


def _as_object(outcomes: list[Outcome], scores: dict[str, Score]) -> dict[str, Any]:
    return {
        "worlds": [
            {"world": each.world, "scans": each.scans, "readings": each.readings, "alerts": each.alerts,
             "retracted": each.retracted, "days": each.days, "read_s": each.read_s, "cpu_s": each.cpu_s,
             "notices": each.notices, "remarks": each.remarks}
            for each in outcomes
        ],
        "scores": {name: _score(score) for name, score in scores.items()},
    }  # fmt: skip


def _score(score: Score) -> dict[str, Any]:
    return {
        "precision": _share(score.alerts),
        "precision_folded": _share(score.folded),
        "recall": {name: _share(share) for name, share in score.recall.items()},
        "recall_by_scanned_items": {name: _share(share) for name, share in score.by_scans.items()},
        "precision_by_detector": {name: _share(share) for name, share in score.by_detector.items()},
        "leads_by_detector": {name: _share(share) for name, share in score.leads.items()},
        "recall_by_leads": {name: _share(share) for name, share in score.led.items()},
        "ordering_prior_weeks": _share(score.ordering_weeks),
        "ordering_prior_promotions": _share(score.ordering_promotions),
        "false_alerts_of_honest_codes": {name: _share(score.false_of_codes(name)) for name in _OF_CODES},
        "false_per_million_honest_scans": score.false_per_million,
        "alerts_per_day": score.alerts.of / score.days if score.days else None,
        "leaked_before_alert_found": score.leaked_found / max(1, score.leaked_found_attacks),
        "leaked_before_alert_all": score.leaked / max(1, score.leaked_attacks),
        "calibration_error": score.calibration_error,
        "brier_skill": score.brier_skill,
        "cells": score.cells,
        "true_cells": score.true_cells,
    }


def _share(share: Share) -> dict[str, Any]:
    return {"value": share.value, "interval": share.interval, "hits": share.hits, "of": share.of}
