"""What an engine holds that is no alert: leads as they were first noted, and the priors of dealers, week by week."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Final

from trace_service.backtest.scoring import Score, Share
from trace_service.backtest.truth import Finding, Truth
from trace_service.detection.changes import Lead
from trace_service.detection.engine import Engine
from trace_service.detection.settings import DAY_MS

_WEEK_MS: Final = 7 * DAY_MS
_SOON_MS: Final = 5 * _WEEK_MS
"""A prior that comes later after an attack's first loss has not helped to find it."""


class Noted:
    """Looks at an engine once a day of its stream."""

    def __init__(self, engine: Engine) -> None:
        self.leads: dict[tuple[str, int], Lead] = {}
        self.priors: dict[str, list[int]] = defaultdict(list)
        self.weeks = 0
        self._engine = engine
        self._day = self._week = -1
        self._standing: dict[str, tuple[str, int]] = {}

    def look(self) -> None:
        """Note what is new since the day before; a lead that ends and comes again is another one."""
        clock = self._engine.clock or 0
        if clock // DAY_MS == self._day:
            return
        self._day = clock // DAY_MS
        self._standing = {key: name for key, name in self._standing.items() if key in self._engine.leads}
        for key, lead in self._engine.leads.items():
            if key not in self._standing:
                self._standing[key] = (key, lead.noted_at)
                self.leads[key, lead.noted_at] = lead
        if clock // _WEEK_MS != self._week:
            self._week = clock // _WEEK_MS
            self.weeks += 1
            for dealer in self._engine.priors:
                self.priors[dealer].append(clock)


def score_noted(found: Score, noted: Noted, truth: Truth, dealers: int) -> None:
    """Score leads by the rules of alerts, and priors by the promotions that they should have told of."""
    leads: dict[str, Share] = defaultdict(Share)
    led: set[int] = set()
    for lead in noted.leads.values():
        right = truth.right(_finding(lead))
        led.update(right)
        leads[lead.claim.detector].add(bool(right), 1)
    found.leads = dict(leads)
    found.led = _by_type(truth, led)
    found.ordering_weeks = Share(sum(map(len, noted.priors.values())), noted.weeks * dealers)
    for index, attack in enumerate(truth.attacks):
        if attack.type == "promo" and attack.dealer is not None:
            first = truth.first[index]
            on = (first - _SOON_MS <= moment <= first + _SOON_MS for moment in noted.priors.get(attack.dealer, ()))
            found.ordering_promotions.add(any(on), 1)


def _by_type(truth: Truth, found: Iterable[int]) -> dict[str, Share]:
    hits = frozenset(found)
    shares: dict[str, Share] = defaultdict(Share)
    for index, attack in enumerate(truth.attacks):
        shares[attack.type].add(index in hits, 1)
    return dict(shares)


def _finding(lead: Lead) -> Finding:
    claim = lead.claim
    return Finding(
        dealer=claim.dealer,
        raised_at=lead.noted_at,
        adcode=claim.adcode,
        kind=claim.kind,
        detector=claim.detector,
        codes=frozenset(claim.units),
        cases=frozenset(each.case for each in claim.contributions),
        shipments=frozenset(claim.shipments),
    )
