"""Coded reasons in words. A code without words is shown as it is: an old console must not hide a new reason."""

from collections.abc import Mapping
from math import exp, log10
from typing import Any, Final

from trace_service.web.models import Alert, Proposal
from trace_service.web.places import Places
from trace_service.web.words import Words

# Likelihood ratios beyond this say nothing more to a person.
_MOST_TIMES: Final = 1_000_000
_MOST_NATS: Final = 13.8


def alert_reasons(words: Words, places: Places, alert: Alert) -> list[str]:
    """Return the sentences that say why an alert was raised, the most telling first."""
    reason = alert.reason
    names = {
        "dealer": words.pick(alert.dealer_name_zh, alert.dealer_name_en),
        "city": places.name(alert.city, words.language),
    }
    found = [words("reason.lead", cases=alert.cases, scans=alert.scans, **names)]
    if alert.expected is not None:
        found.append(words("reason.expected", expected=small(words, alert.expected), **names))
    nats = _number(reason, "llr", "nats")
    if nats is not None:
        found.append(_likelihood(words, nats))
    found += _method(words, reason)
    days = _number(reason, "window_days", "days")
    if days is not None:
        found.append(words("reason.window", days=words.number(days)))
    shipments = reason.get("shipments")
    if isinstance(shipments, list) and shipments:
        separator = words.pick("、", ", ")
        found.append(words("reason.shipment", shipments=separator.join(str(each) for each in shipments)))
    return found


def proposal_reasons(words: Words, proposal: Proposal) -> list[str]:
    """Return the sentences that say why an order is proposed; a parameter that is missing leaves its sentence out."""
    reason = {**proposal.reason, **_inner(proposal.reason)}
    on_hand = _number(reason, "on_hand", "sensed", "ledger")
    demand, days = _number(reason, "daily_demand", "demand"), _number(reason, "days_left", "cover_days")
    if days is None and on_hand is not None and demand:
        days = on_hand / demand
    sentences: list[tuple[str, dict[str, float | None]]] = [
        ("reorder.level", {"on_hand": on_hand, "reorder": _number(reason, "reorder", "reorder_point")}),
        ("reorder.transit", {"in_transit": _number(reason, "in_transit") or None}),
        ("reorder.demand" if demand and days is not None else "reorder.demand.only", {"demand": demand or None}),
        ("reorder.maximum", {"maximum": _number(reason, "maximum", "order_up_to")}),
    ]
    if days is not None:
        sentences[2][1]["days"] = days
    found = [
        words(key, **{name: words.number(value, 1) for name, value in values.items() if value is not None})
        for key, values in sentences
        if None not in values.values()
    ]
    return found or _unknown(words, proposal.reason)


def small(words: Words, value: float) -> str:
    """Return an expected number with two significant digits below ten."""
    return words.number(value, 0 if value >= 10 else 1 if value >= 1 else 2)  # noqa: PLR2004  one, ten


def _likelihood(words: Words, nats: float) -> str:
    if nats >= _MOST_NATS:
        return words("reason.likelihood.more", times=_MOST_TIMES)
    times = exp(nats)
    # One significant digit: the model is not better than that.
    step = 10 ** int(log10(max(times, 1.0)))
    return words("reason.likelihood", times=round(times / step) * step)


def _method(words: Words, reason: Mapping[str, Any]) -> list[str]:
    code = reason.get("method") or reason.get("code") or reason.get("rule")
    if code is None:
        return []
    key = f"reason.{code}"
    return [words(key)] if words.has(key) and code in {"bulk", "drip"} else [words("reason.other", code=code)]


def _unknown(words: Words, reason: Mapping[str, Any]) -> list[str]:
    return [words("reason.other", code=code) for code in [reason.get("code")] if code]


def _inner(reason: Mapping[str, Any]) -> Mapping[str, Any]:
    inner = reason.get("parameters")
    return inner if isinstance(inner, dict) else {}


def _number(reason: Mapping[str, Any], *names: str) -> float | None:
    for holder in (reason, _inner(reason)):
        for name in names:
            value = holder.get(name)
            if isinstance(value, int | float) and not isinstance(value, bool):
                return float(value)
    return None
