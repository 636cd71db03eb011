"""The HTML report in Chinese and English: scores, and three plots as inline SVG. One file, nothing from elsewhere."""

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
.plots { display: flex; flex-wrap: wrap; gap: 2rem; } figure { margin: 0; max-width: 20rem; }
figcaption { color: var(--soft); }
@media (max-width: 40rem) { td:first-child { white-space: normal; min-width: 9rem; } }
svg text { font: 11px system-ui, sans-serif; fill: var(--soft); }
.axis { stroke: var(--line); } .mark { stroke: var(--mark); fill: var(--mark); } .good { fill: var(--good); }
.bad { fill: var(--bad); } .whisker { stroke: var(--soft); }
"""


_NO_LABELS: Final = "<p>没有标签：有预警，不评分。 No labels: alerts, but no scores.</p>"
_SHARES: Final = (
    "<p>比例附 95 % 区间；“+”只算扫到三件以上的窜货。 "
    "Shares with their 95 % interval. “+” counts attacks with three or more scanned items only.</p>"
)
_RELIABILITY: Final = "给出的概率与实际属实的比例 What the probability said of a cell, and how often it was true"
_RECALL: Final = "按扫到的件数，查出的零星、整批与促销窜货 Drip, bulk and promotion attacks found, by scanned items"
_BY_MONTH: Final = "各月预警：线上属实，线下误报 Alerts by month of the stream, right above and wrong below the line"
_CHINESE: Final = {
    "alerts": "预警数", "a day": "每天", "precision": "准确率", "precision, folded": "准确率（同一事件合并）",
    "false alerts": "误报", "false per million honest scans": "每百万次正常扫码的误报",
    "false a month": "每月误报", "leaked before the alert, found": "预警前已流出（查出的）",
    "leaked before the alert, all": "预警前已流出（全部）", "calibration error": "校准误差",
    "Brier skill": "Brier 技巧分", "cells (true)": "判断单元（属实）", "recall": "查出率", "core": "核心窜货",
    "all": "全部", "drip": "零星窜货", "bulk": "整批窜货", "promo": "促销套货", "province": "全省分散",
    "backflow": "倒流", "skip": "跨级窜货", "level_skip": "跨级窜货", "rebind": "改绑", "strip": "撕码",
    "label_removal": "撕码", "clone": "复制码", "forged": "伪造码", "collusion": "串通", "outflow": "集中外流",
    "withheld": "违规流通", "off_route": "偏离路线", "dwell": "滞留",
    "offroute": "偏离路线", "recalled": "召回后流通", "expired": "过期后流通",
}  # fmt: skip


def write_report(path: Path, outcomes: Sequence[Outcome], scores: Mapping[str, Score]) -> None:
    """Write the report of a run."""
    body = [f"<h1>检测回测 Backtest of detection · 世界数 worlds: {len(outcomes)}</h1>"]
    body += _scored(outcomes, scores) if scores else [_NO_LABELS]
    body += ["<h2>世界 Worlds</h2>", _worlds(outcomes), "<h2>按规则处理 Handled by rule</h2>", _notices(outcomes)]
    page = (
        '<!doctype html><html lang="zh"><head><meta charset="utf-8"><title>检测回测 Backtest of detection</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style></head><body>{''.join(body)}</body></html>"
    )
    path.write_text(page, encoding="utf-8")


def _scored(outcomes: Sequence[Outcome], scores: Mapping[str, Score]) -> list[str]:
    rows = [[cell.strip() for cell in line] for line in table.cells(scores)]
    evidence = scores[EVIDENCE]
    days = round(max((each.days for each in outcomes), default=1))
    figures = (
        (plots.reliability(evidence.bins), _RELIABILITY),
        (plots.recall(evidence.by_scans), _RECALL),
        (plots.timeline([each for outcome in outcomes for each in outcome.timeline], days),
         _BY_MONTH),
    )  # fmt: skip
    drawn = "".join(f"<figure>{svg}<figcaption>{escape(text)}</figcaption></figure>" for svg, text in figures)
    return [
        _SHARES,
        _table(rows[0], [[_both(label), *values] for label, *values in rows[1:]]),
        f'<h2>图 Plots</h2><div class="plots">{drawn}</div>',
        "<h2>按检测方法 By detector</h2>",
        _table(["检测方法 detector", "属实的预警 alerts that were right"],
               [[_both(name), table.share(share)] for name, share in sorted(evidence.by_detector.items())]),
        "<h2>线索 Leads</h2>",
        _table(["检测方法 detector", "属实的线索 leads that were right"],
               [[_both(name), table.share(share)] for name, share in sorted(evidence.leads.items())]),
    ]  # fmt: skip


def _worlds(outcomes: Sequence[Outcome]) -> str:
    head = [
        "世界 world",
        "扫码 scans",
        "天数 days",
        "预警 alerts",
        "撤回 taken back",
        "读取 reading, s",
        "计算 engine, s",
    ]
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
    return _table(["规则 rule", "事件 events"], rows) if rows else "<p>无 Nothing.</p>"


def _both(label: str) -> str:
    """Return a label of the table of scores with its Chinese before it; groups of attacks and of scans are parts."""
    if label.startswith("core, "):
        return f"核心窜货，扫到 {label.split()[1]} 件 {label}"
    head, _, group = label.partition(" ") if label.startswith("recall ") else ("", "", label)
    plain = group.removesuffix("+").removesuffix(", scanned")
    words = [_CHINESE[each] for each in (head, plain) if each in _CHINESE]
    mark = "+" if group.endswith("+") else "（有扫码）" if group != plain else ""
    return f"{' '.join(words)}{mark} {label}" if words else label


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'
