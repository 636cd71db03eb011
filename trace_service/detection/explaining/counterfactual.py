"""What would change the verdict about a place: found by computing its claim again with something changed. Pure.

Each answer is checked by `recount`, the same code that raised the alert. Where a smaller number was not excluded by
trying every choice, `exact` says so.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import combinations
from math import comb, sqrt
from typing import Final

from msgspec import Struct

from trace_service.detection.explaining.recount import Change, Verdict, pieces, recount, recount_with_more
from trace_service.detection.habits import LARGEST_SURGE
from trace_service.detection.material import Material

SURE: Final = 0.95
_FEW: Final = 14  # pieces up to which the best next one is looked for among all
_MOST_TRIED: Final = 300  # choices that are tried one by one
_MOST_MORE: Final = 64
_SURGE_STEPS: Final = 12
_BEYOND: Final = 4.0  # how far above what is allowed a surge is looked for


class Fewest(Struct, frozen=True):
    """A set of cases that is enough, and whether none smaller is."""

    cases: tuple[str, ...]
    exact: bool
    nats: float  # what is left of the evidence without them


def falls(verdict: Verdict) -> bool:
    """Tell whether an alert that stands would be taken back."""
    return verdict.falls


def unraised(verdict: Verdict) -> bool:
    """Tell whether no alert would be raised."""
    return not verdict.alarming


def fewest_out(material: Material, goal: Callable[[Verdict], bool]) -> Fewest | None:
    """Return the fewest cases without which the goal is reached, None where not even all of them are enough."""
    groups = pieces(material)
    every = frozenset().union(*groups) if groups else frozenset()
    if not goal(_without(material, every)):
        return None
    chosen = _greedy(material, groups, goal) if len(groups) <= _FEW else _prefix(material, groups, goal)
    for group in sorted(chosen, key=len, reverse=True):
        rest = [each for each in chosen if each is not group]
        if goal(_without(material, _joined(rest))):
            chosen = rest
    return _improved(material, _joined(chosen), every, goal)


def _greedy(
    material: Material, groups: Sequence[frozenset[str]], goal: Callable[[Verdict], bool]
) -> list[frozenset[str]]:
    chosen: list[frozenset[str]] = []
    while not goal(_without(material, _joined(chosen))):
        rest = [each for each in groups if each not in chosen]
        before = _without(material, _joined(chosen)).nats
        chosen.append(
            max(rest, key=lambda each: (before - _without(material, _joined([*chosen, each])).nats) / len(each))
        )
    return chosen


def _prefix(
    material: Material, groups: Sequence[frozenset[str]], goal: Callable[[Verdict], bool]
) -> list[frozenset[str]]:
    """Take pieces away from the last to the first, small ones before large ones; find how many by halving."""
    order = [group for _, _, group in sorted((len(group), -place, group) for place, group in enumerate(groups))]
    low, high = 0, len(order)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if goal(_without(material, _joined(order[:middle]))) else (middle, high)
    return list(order[:high])


def _improved(
    material: Material, found: frozenset[str], every: frozenset[str], goal: Callable[[Verdict], bool]
) -> Fewest:
    """Try every smaller choice, as long as there are not too many."""
    exact = not found
    while found and (exact := comb(len(every), len(found) - 1) <= _MOST_TRIED):
        choices = combinations(sorted(every), len(found) - 1)
        smaller = next((set(each) for each in choices if goal(_without(material, frozenset(each)))), None)
        if smaller is None:
            break
        found = frozenset(smaller)
        exact = not found
    return Fewest(tuple(sorted(found)), exact, _without(material, found).nats)


def fewest_at_home(material: Material) -> int | None:
    """Return how many of the cases have to be seen at home as well for the alert to be taken back, as far as found."""
    groups = sorted(pieces(material), key=len)
    order = [case for group in groups for case in sorted(group)]
    low, high = 0, len(order)
    if not falls(recount(material, Change(home=frozenset(order)))):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        enough = falls(recount(material, Change(home=frozenset(order[:middle]))))
        low, high = (low, middle) if enough else (middle, high)
    return high


def enough_surge(material: Material) -> tuple[float, bool] | None:
    """Return how many times the usual inflow of others' goods would explain it, and whether so much is ever allowed.

    None where four times what is allowed would not.
    """
    low = max(1.0, *(part.surge for part in material.parts))
    high = LARGEST_SURGE * _BEYOND
    if low >= high or not falls(recount(material, Change(surge=high))):
        return None
    for _ in range(_SURGE_STEPS):
        middle = sqrt(low * high)
        low, high = (low, middle) if falls(recount(material, Change(surge=middle))) else (middle, high)
    return high, high <= LARGEST_SURGE


def more_until_sure(material: Material) -> tuple[int, str | None] | None:
    """Return how many further cases make it as probable as `SURE`, 0 where it is, and of which shipment (None: any).

    Each is supposed apart from the others. None where 64 would not, or where no model is asked.
    """
    now = recount(material)
    if now.probability is None:
        return None
    for number, verdict in enumerate(recount_with_more(material, _MOST_MORE, now.shipment)):
        if verdict.probability is not None and verdict.probability >= SURE:
            return number, now.shipment
    return None


def papers(material: Material, most: int = 8) -> list[tuple[str, int, Verdict]]:
    """Return the shipments with the most cases there, how many, and the verdict if a paper had brought these there."""
    cases: dict[str, set[str]] = {}
    for part in material.parts:
        for hit in (hit for cell in part.cells for hit in cell.hits):
            if hit.shipment is not None:
                cases.setdefault(hit.shipment, set()).add(hit.case)
    largest = sorted(cases.items(), key=lambda each: (-len(each[1]), each[0]))[:most]
    return [(name, len(held), _without(material, frozenset(held))) for name, held in largest]


def _without(material: Material, cases: frozenset[str]) -> Verdict:
    return recount(material, Change(out=cases))


def _joined(groups: Iterable[frozenset[str]]) -> frozenset[str]:
    return frozenset().union(*groups)
