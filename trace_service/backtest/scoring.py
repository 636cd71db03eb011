"""Scores of one method on one world, as counts that add up over worlds."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from math import sqrt
from typing import Final

from msgspec import Struct, field

from trace_service.backtest.truth import CODES_ONLY, CORE, Finding, Truth
from trace_service.detection.settings import DAY_MS

FOLD_MS: Final = 30 * DAY_MS
ENOUGH_SCANS: Final = 3
BINS: Final = 10


class Share(Struct):
    """Some of a number, with its 95 % interval (Wilson)."""

    hits: int = 0
    of: int = 0

    def add(self, hits: int, of: int) -> None:
        """Count more."""
        self.hits += hits
        self.of += of

    @property
    def value(self) -> float | None:
        """The share, None of nothing."""
        return self.hits / self.of if self.of else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % interval, None of nothing."""
        if not self.of:
            return None
        z2, n, p = 3.8415, self.of, self.hits / self.of
        middle, width = (p + z2 / (2 * n)) / (1 + z2 / n), sqrt(z2 * (p * (1 - p) + z2 / (4 * n)) / n) / (1 + z2 / n)
        return max(0.0, middle - width), min(1.0, middle + width)


class Score(Struct):
    """What one method did; `add` pools worlds."""

    alerts: Share = field(default_factory=Share)
    folded: Share = field(default_factory=Share)
    # By type, "core" and "all"; with "+" only attacks with three or more scanned items, with ", scanned" those of codes
    # of which anybody scanned one.
    recall: dict[str, Share] = {}
    by_scans: dict[str, Share] = {}  # core attacks by scanned items: "0", "1-2", "3-5", "6-10", "11+"
    by_detector: dict[str, Share] = {}
    leads: dict[str, Share] = {}  # leads that were right, by detector
    led: dict[str, Share] = {}  # attacks of which a lead was right, by type
    ordering_weeks: Share = field(default_factory=Share)  # dealer-weeks with a prior of over-ordering
    ordering_promotions: Share = field(default_factory=Share)  # promotions of whose dealer one told
    honest_codes: int = 0  # codes in honest consumer scans
    leaked: float = 0.0  # sum over core attacks of the share of items gone before the first right alert
    leaked_found: float = 0.0
    leaked_attacks: int = 0
    leaked_found_attacks: int = 0
    honest_scans: int = 0
    days: float = 0.0
    bins: list[tuple[float, int, int]] = []  # sum of probabilities, true, number
    squared: float = 0.0
    cells: int = 0
    true_cells: int = 0

    @property
    def false_alerts(self) -> int:
        """Alerts that are right about nothing."""
        return self.alerts.of - self.alerts.hits

    @property
    def false_per_million(self) -> float | None:
        """False alerts per million honest consumer scans."""
        return 1e6 * self.false_alerts / self.honest_scans if self.honest_scans else None

    def false_of_codes(self, detector: str) -> Share:
        """Return the false alerts of a detector that speaks of codes, of all codes that honest people scanned."""
        alerts = self.by_detector.get(detector, Share())
        return Share(alerts.of - alerts.hits, self.honest_codes)

    @property
    def brier_skill(self) -> float | None:
        """1 − Brier score over the score of always answering the base rate; None without both kinds of cells."""
        if not self.cells or self.true_cells in (0, self.cells):
            return None
        base = self.true_cells / self.cells
        return 1 - self.squared / self.cells / (base * (1 - base))

    @property
    def calibration_error(self) -> float | None:
        """Mean distance of probability and frequency over ten bins, weighted by their cells."""
        if not self.cells:
            return None
        return sum(abs(total - true) for total, true, _ in self.bins) / self.cells

    def add(self, other: "Score") -> None:
        """Pool another world's score into this one."""
        for name in ("alerts", "folded", "ordering_weeks", "ordering_promotions"):
            share: Share = getattr(other, name)
            getattr(self, name).add(share.hits, share.of)
        for name in ("recall", "by_scans", "by_detector", "leads", "led"):
            for key, share in getattr(other, name).items():
                getattr(self, name).setdefault(key, Share()).add(share.hits, share.of)
        for name in _SUMS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        if other.bins:
            mine = self.bins or [(0.0, 0, 0)] * BINS
            self.bins = [(a + d, b + e, c + f) for (a, b, c), (d, e, f) in zip(mine, other.bins, strict=True)]


_SUMS: Final = (
    "leaked", "leaked_found", "leaked_attacks", "leaked_found_attacks",
    "honest_scans", "honest_codes", "days", "squared", "cells", "true_cells",
)  # fmt: skip


class Cell(Struct):
    """A dealer × city with its calibrated probability at the end of a week."""

    week: int
    dealer: str
    adcode: str
    probability: float


def score(findings: Sequence[Finding], truth: Truth, honest_scans: int, days: float) -> Score:
    """Score a method's alerts on one world."""
    found = Score(honest_scans=honest_scans, days=days)
    first: dict[int, int] = {}
    rights = [truth.right(each) for each in findings]
    detectors: dict[str, Share] = defaultdict(Share)
    for finding, right in zip(findings, rights, strict=True):
        for index in right:
            first[index] = min(first.get(index, finding.raised_at), finding.raised_at)
        detectors[finding.detector or finding.kind].add(bool(right), 1)
    found.alerts = Share(sum(map(bool, rights)), len(rights))
    found.folded = _folded(findings, rights)
    found.by_detector = dict(detectors)
    _count_recall(found, truth, first)
    return found


def _count_recall(found: Score, truth: Truth, first: dict[int, int]) -> None:
    recall: dict[str, Share] = defaultdict(Share)
    by_scans: dict[str, Share] = defaultdict(Share)
    for index, attack in enumerate(truth.attacks):
        hit = index in first
        groups = [attack.type, "all"] + (["core"] if attack.type in CORE else [])
        for group in groups:
            recall[group].add(hit, 1)
            if attack.scanned >= ENOUGH_SCANS:
                recall[f"{group}+"].add(hit, 1)
        if attack.type in CODES_ONLY and attack.scanned:
            recall[f"{attack.type}, scanned"].add(hit, 1)
        if attack.type not in CORE:
            continue
        by_scans[scan_group(attack.scanned)].add(hit, 1)
        leaks = truth.leaks[index]
        if leaks:
            gone = bisect_left(leaks, first[index]) / len(leaks) if hit else 1.0
            found.leaked += gone
            found.leaked_attacks += 1
            found.leaked_found += gone if hit else 0.0
            found.leaked_found_attacks += hit
    found.recall, found.by_scans = dict(recall), dict(by_scans)


def scan_group(scanned: int) -> str:
    """Return the group of an attack by its scanned items."""
    for most, name in ((0, "0"), (2, "1-2"), (5, "3-5"), (10, "6-10")):
        if scanned <= most:
            return name
    return "11+"


def _folded(findings: Sequence[Finding], rights: Sequence[Sequence[int]]) -> Share:
    """Count alerts once per dealer and city (or province) in 30 days; one right alert makes the fold right."""
    folds: list[tuple[int, bool]] = []
    open_fold: dict[tuple[str | None, str | None], int] = {}
    for index in sorted(range(len(findings)), key=lambda each: findings[each].raised_at):
        finding = findings[index]
        key = (finding.dealer, finding.adcode)
        fold = open_fold.get(key)
        if fold is not None and finding.raised_at - folds[fold][0] <= FOLD_MS:
            folds[fold] = (folds[fold][0], folds[fold][1] or bool(rights[index]))
        else:
            open_fold[key] = len(folds)
            folds.append((finding.raised_at, bool(rights[index])))
    return Share(sum(right for _, right in folds), len(folds))


def score_cells(found: Score, cells: Iterable[Cell], truth: Truth) -> None:
    """Add calibration over all evaluated cells."""
    bins = [(0.0, 0, 0)] * BINS
    known: dict[tuple[str, str, int], bool] = {}
    for cell in cells:
        key = (cell.dealer, cell.adcode, cell.week)
        true = known.get(key)
        if true is None:
            true = known[key] = truth.true_cell(cell.dealer, cell.adcode, cell.week)
        index = min(BINS - 1, int(cell.probability * BINS))
        total, right, number = bins[index]
        bins[index] = (total + cell.probability, right + true, number + 1)
        found.squared += (cell.probability - true) ** 2
        found.cells += 1
        found.true_cells += true
    found.bins = bins


def honest_scans(codes: Mapping[str, str], truth: Truth) -> int:
    """Return how many consumer scans are no attack's, of their codes by event."""
    attacked = truth.events
    return sum(event not in attacked for event in codes)


def honest_codes(codes: Mapping[str, str], truth: Truth) -> int:
    """Return how many codes were scanned honestly, of consumer scans by event."""
    attacked = truth.events
    return len({code for event, code in codes.items() if event not in attacked})
