"""Why something is proposed, and how long stock lasts, in words. What a reason does not hold is left out."""

from collections.abc import Mapping
from datetime import date
from typing import Any, Final

from trace_service.web.models import Proposal
from trace_service.words import Words

_RUNS: Final = {
    "surplus_elsewhere": "transfer.surplus",
    "sent_on": "transfer.sent_on",
    "near_expiry": "markdown.near_expiry",
    "slow_mover": "markdown.slow_mover",
    "figure_uncertain": "count.uncertain",
}
_EXACT_DAYS: Final = 10
_EXACT_MONEY: Final = 100
_LONGEST_DAYS: Final = 365
_LEAST_PERCENT: Final = 0.01


def proposal_reasons(words: Words, proposal: Proposal) -> list[str]:
    """Return the sentences that say why something is proposed; a code without words is shown as it is."""
    given, code = proposal.parameters, proposal.reason.get("code")
    if code in _RUNS:
        return _run_reasons(words, _RUNS[code], given)
    found = [*_position(words, given), *occasion(words, given)]
    if _has(given, "p_stockout", "lead_time_days"):
        found += _risk(words, given)
    if _has(given, "maximum"):
        found.append(words("reorder.maximum", maximum=given["maximum"]))
    return found + ([] if code in {None, "below_reorder"} else [words("reason.other", code=code)])


def _position(words: Words, given: Mapping[str, Any]) -> list[str]:
    found = []
    if _has(given, "stock", "reorder"):
        key = "reorder.ledger" if given.get("source") == "ledger" else "reorder.shelf"
        found.append(words(key, stock=given["stock"], reorder=given["reorder"]))
    if given.get("suspect"):
        found.append(words("reorder.suspect", suspect=given["suspect"]))
    if given.get("in_transit"):
        found.append(words("reorder.transit", in_transit=given["in_transit"]))
    if given.get("daily_demand") and _has(given, "stock"):
        key = "reorder.demand.own" if given.get("own_history") else "reorder.demand"
        lasts = cover(words, given["stock"], given["daily_demand"])
        demand = words.number(given["daily_demand"], 1)
        found.append(words(key if given["stock"] else "reorder.demand.none", demand=demand, cover=lasts))
    return found


def _risk(words: Words, given: Mapping[str, Any]) -> list[str]:
    """Return what becomes of the shelf by the day of delivery; what runs out before, no order of today can prevent."""
    shown = {"days": words.number(given["lead_time_days"], 0), "risk": chance(words, given["p_stockout"])}
    found = [words("reorder.risk", **shown)]
    if _has(given, "p_stockout_after"):
        found = [words("reorder.risk.after", **shown, after=chance(words, given["p_stockout_after"]))]
    if given.get("daily_demand") and _has(given, "stock") and not given.get("in_transit"):
        gap = round(given["lead_time_days"] - given["stock"] / given["daily_demand"])
        if gap >= 1:
            found.append(words("reorder.gap", days=gap))
    return found


def occasion(words: Words, given: Mapping[str, Any]) -> list[str]:
    """Return what a festival or promotion adds to the demand of the coming days, or takes from it."""
    name, units = given.get("occasion"), given.get("occasion_units") or 0
    if not name or not round(units):
        return []
    shown = occasion_name(words, name)
    day = words.day(date.fromisoformat(str(given["occasion_from"])))
    return [words("occasion.more" if units > 0 else "occasion.less", name=shown, day=day, count=abs(round(units)))]


def occasion_name(words: Words, name: str) -> str:
    """Return a festival in words; a promotion keeps the name that it was given."""
    key = f"occasion.name.{name}"
    return words(key) if words.has(key) else name


def cover(words: Words, stock: int, demand: float) -> str:
    """Return how many days stock lasts at a demand a day above 0, everywhere in the same words."""
    days = max(stock, 0) / demand
    if days < 1 or days > _LONGEST_DAYS:
        return words("cover.hours" if days < 1 else "cover.year")
    return words("cover.days", days=words.number(days, 1 if days < _EXACT_DAYS else 0))


def chance(words: Words, share: float) -> str:
    """Return a probability as a percentage that promises nothing: never 0 % or 100 %."""
    if share < _LEAST_PERCENT:
        return words("chance.little")
    return words("chance.much") if share > 1 - _LEAST_PERCENT else words.percent(share)


def _run_reasons(words: Words, key: str, given: Mapping[str, Any]) -> list[str]:
    """Return the sentences of what a nightly run proposes."""
    shown = {name: given.get(name, 0) for name in ("stock", "kept", "to_stock", "days")}
    shown |= {"units": shown["stock"], "left": words.number(given.get("left", 0), 0)}
    shown |= {name: _money(words, given.get(name, 0)) for name in ("freight", "value")}
    shown["risk"] = chance(words, given.get("p_wrong", given.get("p_sold", 0)))
    found = [words(key, **shown)]
    if given.get("suspect"):
        found.append(words("transfer.suspect", suspect=given["suspect"]))
    if given.get("action") in {"return", "markdown"}:
        found.append(words(f"markdown.action.{given['action']}"))
    return found


def _money(words: Words, amount: float) -> str:
    return words.number(amount, 2 if amount < _EXACT_MONEY else 0)


def _has(given: Mapping[str, Any], *names: str) -> bool:
    return all(isinstance(given.get(name), int | float) for name in names)
