"""The HTML report in Chinese and English: scores, and three plots as inline SVG. One file, nothing from elsewhere."""

from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Final

from trace_service.backtest import plots, table
from trace_service.backtest.report_words import group_words, kind_words, method_words, remark_words, rule_words
from trace_service.backtest.run import EVIDENCE, Outcome
from trace_service.backtest.scoring import Score, Share
from trace_service.web.report_page import report_page, report_table
from trace_service.words import Words

_WORLD: Final = ("world", "scans", "days", "alerts", "retracted", "read", "spent")


def write_report(path: Path, outcomes: Sequence[Outcome], scores: Mapping[str, Score]) -> None:
    """Write the report of a run."""
    path.write_text(report_page("backtest.title", lambda words: _body(words, outcomes, scores)), encoding="utf-8")


def _body(words: Words, outcomes: Sequence[Outcome], scores: Mapping[str, Score]) -> list[str]:
    body = [f"<p>{words('backtest.lead', worlds=len(outcomes))}</p>"]
    body += _scored(words, outcomes, scores) if scores else [f"<p>{words('backtest.no_labels')}</p>"]
    body += [_head(words, "worlds"), _worlds(words, outcomes), _head(words, "rules"), _rules(words, outcomes)]
    remarks = sorted({remark for each in outcomes for remark in each.remarks})
    if remarks:
        items = "".join(f"<li>{escape(remark_words(words, each))}</li>" for each in remarks)
        body += [_head(words, "remarks"), f"<ul>{items}</ul>"]
    return body


def _scored(words: Words, outcomes: Sequence[Outcome], scores: Mapping[str, Score]) -> list[str]:
    evidence = scores[EVIDENCE]
    days = round(max((each.days for each in outcomes), default=1))
    figures = (
        ("reliability", plots.reliability(words, evidence.bins)),
        ("recall", plots.recall(words, evidence.by_scans)),
        ("timeline", plots.timeline(words, [each for outcome in outcomes for each in outcome.timeline], days)),
    )
    drawn = "".join(
        f"<figure>{svg}<figcaption>{words(f'backtest.plot.{name}')}</figcaption></figure>" for name, svg in figures
    )
    return [
        f"<p>{words('backtest.shares')}</p>",
        _scores(words, scores),
        _head(words, "plots"), f'<div class="plots">{drawn}</div>',
        _head(words, "by_detector"), _right(words, evidence.by_detector),
        _head(words, "leads"), _right(words, evidence.leads),
    ]  # fmt: skip


def _scores(words: Words, scores: Mapping[str, Score]) -> str:
    methods, *rows = ([cell.strip() for cell in line] for line in table.cells(scores))
    head = [words("backtest.figure"), *(method_words(words, each) for each in methods[1:])]
    return report_table(head, [[group_words(words, label), *values] for label, *values in rows])


def _right(words: Words, shares: Mapping[str, Share]) -> str:
    if not shares:
        return f"<p>{words('scan.none')}</p>"
    rows = [[kind_words(words, name), table.share(share)] for name, share in sorted(shares.items())]
    return report_table([words("backtest.detector"), words("backtest.right")], rows)


def _worlds(words: Words, outcomes: Sequence[Outcome]) -> str:
    rows = [
        [each.world, *map(words.number, (each.scans, each.days, each.alerts, each.retracted)),
         f"{each.read_s:.1f}", f"{each.cpu_s:.1f}"]
        for each in outcomes
    ]  # fmt: skip
    return report_table([words(f"backtest.world.{name}") for name in _WORLD], rows, figures=True)


def _rules(words: Words, outcomes: Sequence[Outcome]) -> str:
    total: Counter[str] = Counter()
    for outcome in outcomes:
        total.update(outcome.notices)
    if not total:
        return f"<p>{words('scan.none')}</p>"
    rows = [[rule_words(words, rule), words.number(count)] for rule, count in sorted(total.items())]
    return report_table([words("backtest.rule"), words("backtest.events")], rows, figures=True)


def _head(words: Words, name: str) -> str:
    return f"<h2>{words(f'backtest.head.{name}')}</h2>"
