"""The scores of every method as one table of text."""

from collections.abc import Callable, Mapping
from typing import Final

from trace_service.backtest.scoring import Score, Share

TYPES: Final = (
    "drip", "bulk", "promo", "backflow", "skip", "rebind", "strip", "clone", "forged", "collusion",
    "recalled", "expired", "offroute", "dwell",
)  # fmt: skip


def lines(scores: Mapping[str, Score]) -> list[str]:
    """Return the table as lines of text."""
    rows = cells(scores)
    widths = [max(len(row[column]) for row in rows) for column in range(len(scores) + 1)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def cells(scores: Mapping[str, Score]) -> list[tuple[str, ...]]:
    """Return the table: one column a method, one row a figure."""
    names = list(scores)
    rows: list[tuple[str, ...]] = [("", *names)]
    rows += [(label, *(read(scores[name]) for name in names)) for label, read in _ROWS.items()]
    rows += [
        (f"recall {group}", *(share(scores[name].recall.get(group)) for name in names)) for group in _groups(scores)
    ]
    rows += [
        (f"core, {group} scanned items", *(share(scores[name].by_scans.get(group)) for name in names))
        for group in ("0", "1-2", "3-5", "6-10", "11+")
    ]
    return rows


def _groups(scores: Mapping[str, Score]) -> list[str]:
    known = {group for score in scores.values() for group in score.recall}
    order = [
        "core",
        "core+",
        *(each for name in TYPES for each in (name, f"{name}, scanned", f"{name}+")),
        "all",
        "all+",
    ]
    return [group for group in order if group in known]


def share(value: Share | None) -> str:
    """Return a share with its interval and counts, such as ".91 (.88–.94) 120/132"."""
    if value is None or value.value is None or value.interval is None:
        return "–"
    low, high = value.interval
    return f"{short(value.value)} ({short(low)}–{short(high)}) {value.hits}/{value.of}"


def short(number: float | None, digits: int = 2) -> str:
    """Return a number without the nought before its point."""
    if number is None:
        return "–"
    text = f"{number:.{digits}f}"
    return text.replace("0.", ".", 1) if text.startswith(("0.", "-0.")) else text


def _leak(total: float, attacks: int) -> str:
    return short(total / attacks) if attacks else "–"


_ROWS: Final[Mapping[str, Callable[[Score], str]]] = {
    "alerts": lambda score: f"{score.alerts.of:,}",
    "a day": lambda score: short(score.alerts.of / score.days, 3) if score.days else "–",
    "precision": lambda score: share(score.alerts),
    "precision, folded": lambda score: share(score.folded),
    "false alerts": lambda score: f"{score.false_alerts:,}",
    "false per million honest scans": lambda score: (
        "–" if score.false_per_million is None else f"{score.false_per_million:,.0f}"
    ),
    "false a month": lambda score: short(30 * score.false_alerts / score.days) if score.days else "–",
    "leaked before the alert, found": lambda score: _leak(score.leaked_found, score.leaked_found_attacks),
    "leaked before the alert, all": lambda score: _leak(score.leaked, score.leaked_attacks),
    "calibration error": lambda score: short(score.calibration_error, 4),
    "Brier skill": lambda score: short(score.brier_skill, 3),
    "cells (true)": lambda score: f"{score.cells:,} ({score.true_cells:,})" if score.cells else "–",
}
