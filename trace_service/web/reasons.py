"""Coded reasons in words. What a reason does not hold is left out; a code without words is shown as it is."""

from collections.abc import Mapping
from typing import Any, Final

from trace_service.web.explained import small
from trace_service.web.models import Alert
from trace_service.web.places import Places
from trace_service.words import Words

_KNOWN: Final = frozenset({"drip", "bulk", "province", "outflow"})


def alert_reasons(words: Words, places: Places, alert: Alert) -> list[str]:
    """Return the sentences that say why an alert was raised, the most telling first."""
    given = alert.parameters
    names = _names(words, places, alert)
    found = [_lead(words, alert, names)]
    if alert.nearest_name_zh and alert.nearest_name_en:
        legal = words.pick(alert.nearest_name_zh, alert.nearest_name_en)
        found.append(words("reason.nearest", city=names["city"], dealer=legal))
    if given.get("shipments"):
        found.append(words("reason.shipments", shipments=words.pick("、", ", ").join(given["shipments"])))
    return found + _unknown(words, alert.reason)


def alert_counts(words: Words, places: Places, alert: Alert) -> list[str]:
    """Return the sentences behind an alert's figures: the honest expectation, all cases seen, and the threshold."""
    given, city = alert.parameters, _names(words, places, alert)["city"]
    found = []
    if alert.expected is not None:
        found.append(words("reason.expected", expected=small(words, alert.expected), city=city))
    if _has(given, "seen"):
        found.append(words("reason.seen", seen=given["seen"], cases=alert.cases, city=city))
    if _has(given, "llr", "threshold"):
        shown = {name: words.number(given[name], 1) for name in ("llr", "threshold")}
        found.append(words("reason.threshold", **shown))
    return found


def _names(words: Words, places: Places, alert: Alert) -> dict[str, str]:
    return {
        "dealer": words.pick(alert.dealer_name_zh, alert.dealer_name_en),
        "city": places.name(alert.city, words.language),
    }


def _lead(words: Words, alert: Alert, names: Mapping[str, str]) -> str:
    """Return what was seen: goods in a wrong city, or what another detector says of them."""
    key = f"reason.detector.{alert.reason.get('code')}"
    own = words.has(key)
    return words(key if own else "reason.lead", cases=alert.cases, scans=alert.scans, **names)


def _has(given: Mapping[str, Any], *names: str) -> bool:
    return all(isinstance(given.get(name), int | float) for name in names)


def _unknown(words: Words, reason: Mapping[str, Any]) -> list[str]:
    code = reason.get("code")
    return (
        []
        if code in _KNOWN or code is None or words.has(f"reason.detector.{code}")
        else [words("reason.other", code=code)]
    )
