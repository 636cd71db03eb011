"""What people's decisions say about the proposals: a bounded correction of demand for each store and product. Pure."""

from collections.abc import Iterable
from math import exp, log
from typing import Any, Final

LEAST: Final = 0.8
MOST: Final = 1.25
_PRIOR_DECISIONS: Final = 3.0
_ONE_DECISION: Final = log(2)
_REJECTED: Final = {"too_much": -_ONE_DECISION, "too_little": _ONE_DECISION}

Row = Any


def biases(decisions: Iterable[Row]) -> dict[tuple[str, str], float]:
    """Return the factor on demand of each (site, gtin) with decisions, between .8 and 1.25.

    An approval as proposed speaks for 1, another quantity for its ratio to what was proposed, a rejection as too much
    or too little for a half or the double; no single decision counts for more. Three decisions for 1 are taken as
    made before. Rejections for other reasons (wrong stock, budget) say nothing about demand.
    """
    sums: dict[tuple[str, str], list[float]] = {}
    for each in decisions:
        said = _said(each)
        if said is not None:
            sums.setdefault((each.site, each.gtin), []).append(said)
    return {place: _bounded(said) for place, said in sums.items()}


def _said(decision: Row) -> float | None:
    if decision.state == "rejected":
        return _REJECTED.get(decision.decision_code)
    # A promotion or a tight budget explains a quantity; it is no opinion on demand.
    if decision.decision_code in {"promotion", "budget", "wrong_stock"}:
        return None
    ratio = log(decision.quantity / (decision.proposed or decision.quantity))
    return max(-_ONE_DECISION, min(_ONE_DECISION, ratio))


def _bounded(said: list[float]) -> float:
    return round(min(MOST, max(LEAST, exp(sum(said) / (len(said) + _PRIOR_DECISIONS)))), 4)
