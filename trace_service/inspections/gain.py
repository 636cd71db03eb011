"""What a visit is expected to give: the probability that it turns a suspicion into an alert that is right.

For a dealer × city with the calibrated probability p that goods are diverted there:

1. Fruitless looks count against it. A visit that would have come across the goods with probability f and did not
   multiplies the odds by 1 − f (Bayes for an imperfect search; Stone, Theory of Optimal Search, 1975, ch. 1).
   A look is forgotten as new goods may come: f falls with its age, exp(−age / `shelf_days`).
2. Goods are sold. That any are still there is exp(−days since the last sighting / `shelf_days`).
3. A visit comes across Poisson many of its cases, of mean `seen_a_visit` × (1 + ln(1 + cases seen)): where more was
   seen there is more. An alert wants `short` nats and enough cases; each find brings `nats_a_case` and counts twice.
4. The gain is p × there × P(enough). A find that is not enough is worth `follow_up` of an alert: somebody goes again.
5. What may still be saved weighs it: (yuan left / the usual)^¼, between ½ and 2.
6. Of equal places, the one where a visit removes more uncertainty is first: the mutual information of "something is
   found" and "goods are diverted" (Lindley, On a measure of the information provided by an experiment, 1956).

Goods that nobody has seen. Each city has a rate of such finds a visit, Gamma(a, b) with the mean `unseen` × its share
of people, which visits and finds sharpen (Gamma–Poisson). The plan takes a draw from it instead of the mean (Thompson,
1933; Chapelle and Li, An empirical evaluation of Thompson sampling, 2011): what is little known is looked at now and
then, what disappointed less. After a visit it grows back as new goods may come.
"""

from collections.abc import Mapping, Sequence
from math import ceil, exp, log, log1p
from typing import Final

import numpy as np
from msgspec import Struct

from trace_service.detection.settings import DAY_MS
from trace_service.inspections.model import Known, Look, Place, Prospect, Reason, Suspicion

_LEAST_CASES: Final = 3
_WEIGHTS: Final = (0.5, 2.0)
_PEOPLE_POWER: Final = 0.6
_WEIGHT_POWER: Final = 0.25


class Model(Struct, frozen=True, kw_only=True):
    """What the expectation assumes; docs/inspections.md says on which worlds it was chosen."""

    shelf_days: float = 21.0
    seen_a_visit: float = 0.6
    nats_a_case: float = 4.0
    follow_up: float = 0.3
    unseen: float = 0.001
    strength: float = 0.15  # the shape of the unseen rate of a city of the usual size
    forget_days: float = 60.0  # in which a city that was looked at is again as it was
    version: str = "1"


def reason(suspicion: Suspicion, looks: Sequence[Look], now: int, model: Model, usual_left: float = 0.0) -> Reason:
    """Return what one suspicion adds; nothing where an alert stands. `looks` are those at its city."""
    age = max(0.0, (now - suspicion.last_seen) / DAY_MS)
    there = exp(-age / model.shelf_days)
    mean = model.seen_a_visit * (1 + log1p(suspicion.cases))
    finds = 1 - exp(-mean)
    need = max(1, ceil(suspicion.short / model.nats_a_case), ceil((_LEAST_CASES - suspicion.cases) / 2))
    enough = 1 - _poisson_below(need, mean)
    probability = _after(suspicion, looks, now, (finds, model.shelf_days))
    gain = 0.0
    if not suspicion.standing:
        gain = probability * there * (enough + model.follow_up * (finds - enough))
        gain *= _weight(suspicion.left, usual_left)
    return Reason(
        dealer=suspicion.dealer, probability=probability, there=there, finds=finds, alert=enough, gain=gain,
        cases=suspicion.cases, last_seen=suspicion.last_seen, left=suspicion.left,
    )  # fmt: skip


def information(found: Reason) -> float:
    """Return the nats that one visit is expected to remove from "are goods diverted there?"."""
    hit = found.there * found.finds
    seen = found.probability * hit
    if not 0 < seen < 1:
        return 0.0
    missed = found.probability * (1 - hit) / (1 - seen)
    return max(0.0, _entropy(found.probability) - (1 - seen) * _entropy(missed))


def prospects(known: Known, now: int, seed: int, model: Model | None = None) -> list[Prospect]:
    """Return what a visit to each place is expected to give, in their order; the same seed draws the same."""
    model = model or Model()
    suspected: dict[str, list[Suspicion]] = {}
    for each in known.suspicions:
        suspected.setdefault(each.city, []).append(each)
    made: dict[str, list[Look]] = {}
    for look in known.looks:
        made.setdefault(look.city, []).append(look)
    usual = _usual(suspected)
    rates = _unseen(known.places, made, now, (seed, model))
    found = []
    for place, rate in zip(known.places, rates, strict=True):
        here = made.get(place.city, [])
        reasons = [reason(each, here, now, model, usual) for each in suspected.get(place.city, [])]
        reasons.sort(key=lambda each: (-each.gain, each.dealer))
        gain = sum(each.gain for each in reasons)
        tie = sum(information(each) for each in reasons)
        found.append(Prospect(place=place, gain=gain + rate, explore=rate, tie=tie, reasons=tuple(reasons)))
    return found


def _after(suspicion: Suspicion, looks: Sequence[Look], now: int, search: tuple[float, float]) -> float:
    """Return the probability after the looks that did not come across this dealer's goods."""
    finds, days = search
    odds = suspicion.probability / max(1e-9, 1 - suspicion.probability)
    for look in looks:
        if suspicion.dealer not in look.dealers:
            odds *= 1 - finds * exp(-max(0.0, (now - look.at) / DAY_MS) / days)
    return odds / (1 + odds)


def _unseen(
    places: Sequence[Place], made: Mapping[str, Sequence[Look]], now: int, drawn_by: tuple[int, Model]
) -> list[float]:
    """Draw, for each place, how many finds a visit gives of goods that nobody has seen."""
    seed, model = drawn_by
    if not places:
        return []
    people = np.array([each.population for each in places]) ** _PEOPLE_POWER
    looks = [made.get(each.city, ()) for each in places]
    hits = np.array([sum(bool(each.dealers) for each in some) for some in looks])
    tried = np.array([len(some) for some in looks])
    since = np.array([min(((now - each.at) / DAY_MS for each in some), default=1e6) for some in looks])
    grown = 1 - np.exp(-np.maximum(since, 0.0) / model.forget_days)
    random = np.random.default_rng([seed, now // DAY_MS])
    drawn = random.gamma(model.strength * people / people.mean() + hits)
    rates: list[float] = (drawn / (model.strength / model.unseen + tried) * grown).tolist()
    return rates


def _usual(suspected: Mapping[str, Sequence[Suspicion]]) -> float:
    """Return the middle of what is left where that is known, 0 where it is not."""
    left = sorted(each.left for some in suspected.values() for each in some if each.left > 0)
    return left[len(left) // 2] if left else 0.0


def _weight(left: float, usual: float) -> float:
    if left <= 0 or usual <= 0:
        return 1.0
    least, most = _WEIGHTS
    return min(most, max(least, float((left / usual) ** _WEIGHT_POWER)))


def _poisson_below(count: int, mean: float) -> float:
    """Return P(fewer than `count`)."""
    term, total = exp(-mean), 0.0
    for number in range(count):
        total += term
        term *= mean / (number + 1)
    return min(1.0, total)


def _entropy(probability: float) -> float:
    if not 0 < probability < 1:
        return 0.0
    return -probability * log(probability) - (1 - probability) * log(1 - probability)
