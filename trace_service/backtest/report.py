"""The HTML report: the table of scores, and three plots as inline SVG. One file, nothing loaded from elsewhere."""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Final

from trace_service.backtest import plots, table
from trace_service.backtest.run import EVIDENCE, Outcome
from trace_service.backtest.scoring import Score

_STYLE: Final = """
:root { color-scheme: light dark; --ink: #1c2430; --paper: #ffffff; --soft: #5d6b7c; --line: #d5dce4;
  --good: #1f7a4d; --bad: #c2410c; --mark: #1d4ed8; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6ebf2; --paper: #12171e; --soft: #9aa7b6; --line: #2d3743;
  --good: #4ade80; --bad: #fb923c; --mark: #7aa2ff; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 2rem auto;
  max-width: 72rem; padding: 0 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; white-space: nowrap; }
th, td { text-align: left; padding: .2rem .8rem .2rem 0; border-bottom: 1px solid var(--line); }
th { font-weight: 600; } td:first-child { color: var(--soft); }
.plots { display: flex; flex-wrap: wrap; gap: 2rem; } figure { margin: 0; } figcaption { color: var(--soft); }
svg text { font: 11px system-ui, sans-serif; fill: var(--soft); }
.axis { stroke: var(--line); } .mark { stroke: var(--mark); fill: var(--mark); } .good { fill: var(--good); }
.bad { fill: var(--bad); } .whisker { stroke: var(--soft); }
"""


def write_report(path: Path, outcomes: Sequence[Outcome], scores: Mapping[str, Score]) -> None:
    """Write the report of a run."""
    body = [f"<h1>Backtest, worlds: {len(outcomes)}</h1>"]
    body += _scored(outcomes, scores) if scores else ["<p>No labels: alerts, but no scores.</p>"]
    body += ["<h2>Worlds</h2>", _worlds(outcomes), "<h2>Handled by rule</h2>", _notices(outcomes)]
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Backtest</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style></head><body>{''.join(body)}</body></html>"
    )
    path.write_text(page, encoding="utf-8")


def _scored(outcomes: Sequence[Outcome], scores: Mapping[str, Score]) -> list[str]:
    rows = [[cell.strip() for cell in line] for line in table.cells(scores)]
    evidence = scores[EVIDENCE]
    days = round(max((each.days for each in outcomes), default=1))
    figures = (
        (plots.reliability(evidence.bins), "What the probability said of a cell, and how often it was true"),
        (plots.recall(evidence.by_scans), "Drip, bulk and promotion attacks found, by scanned items"),
        (plots.timeline([each for outcome in outcomes for each in outcome.timeline], days),
         "Alerts by month of the stream, right above and wrong below the line"),
    )  # fmt: skip
    drawn = "".join(f"<figure>{svg}<figcaption>{escape(text)}</figcaption></figure>" for svg, text in figures)
    return [
        "<p>Shares with their 95 % interval. “+” counts attacks with three or more scanned items only.</p>",
        _table(rows[0], rows[1:]),
        f'<h2>Plots</h2><div class="plots">{drawn}</div>',
        "<h2>By detector</h2>",
        _table(["detector", "alerts that were right"],
               [[name, table.share(share)] for name, share in sorted(evidence.by_detector.items())]),
    ]  # fmt: skip


def _worlds(outcomes: Sequence[Outcome]) -> str:
    head = ["world", "scans", "days", "alerts", "taken back", "reading, s", "engine, s"]
    rows = [
        [each.world, str(each.scans), f"{each.days:.0f}", str(each.alerts), str(each.retracted),
         f"{each.read_s:.1f}", f"{each.cpu_s:.1f}"]
        for each in outcomes
    ]  # fmt: skip
    return _table(head, rows)


def _notices(outcomes: Sequence[Outcome]) -> str:
    total: dict[str, int] = {}
    for outcome in outcomes:
        for rule, count in outcome.notices.items():
            total[rule] = total.get(rule, 0) + count
    rows = [[rule, str(count)] for rule, count in sorted(total.items())]
    rows += [[remark, ""] for remark in sorted({remark for each in outcomes for remark in each.remarks})]
    return _table(["rule", "events"], rows) if rows else "<p>Nothing.</p>"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'
