"""A queued message in words: a title and a few lines, in the reader's language."""

from collections.abc import Mapping
from decimal import Decimal
from functools import cache
from typing import Any, NamedTuple

from trace_service.detection.explaining.clearing import Change
from trace_service.web.explained import changes, small
from trace_service.web.places import Places
from trace_service.words import Words, numbered

_MOST_LISTED = 20
_MOST_PLACES = 4


class Text(NamedTuple):
    """What a message says; `path` is where the console shows more, empty for nowhere."""

    title: str
    lines: list[str]
    path: str


def text_of(words: Words, topic: str, payload: Mapping[str, Any]) -> Text:
    """Return a message in words. A topic without words of its own is told by its name."""
    if topic == "digest.daily":
        return _digest(words, payload)
    if "case" in payload and words.has(f"notice.{topic}"):
        return _case(words, topic, payload)
    return Text(words("notice.other", topic=topic), [], "")


def _case(words: Words, topic: str, payload: Mapping[str, Any]) -> Text:
    case, step = payload["case"], payload.get("step", {})
    title = words(f"notice.{topic}", dealer=_dealer(words, case), places=_places(words, case["destinations"]))
    lines = [words("notice.case.figures", **_figures(words, case))]
    lines += [line for each in payload.get("explained", ()) for line in _explained(words, each)]
    outcome = step.get("outcome") or case.get("outcome")
    if outcome:
        lines.append(words("notice.case.outcome", outcome=words(f"outcome.{outcome}")))
    if step.get("text"):
        lines.append(str(step["text"])[:300])
    return Text(title, lines, f"/cases/{case['id']}")


def _explained(words: Words, told: Mapping[str, Any]) -> list[str]:
    """Return what an alert says of itself: expectation, belief, and the first thing that would change the verdict."""
    lines = []
    if isinstance(told.get("observed"), int) and isinstance(told.get("expected"), int | float):
        expected = small(words, float(told["expected"]))
        lines.append(words("notice.explain.seen", observed=told["observed"], expected=expected))
    belief = told.get("belief")
    if belief:
        shown = {"belief": belief["probability"], "low": belief["low"], "high": belief["high"]}
        key = "explain.belief" if belief["reviewed"] else "explain.belief.plain"
        told_belief = {name: words.percent(value) for name, value in shown.items()}
        lines.append(words(key, reviewed=belief["reviewed"], **told_belief))
    found = [Change(each["code"], each["figures"]) for each in told.get("changes", ())[:1]]
    names = {who: (numbered("zh", who, zh), numbered("en", who, en)) for who, (zh, en) in told.get("names", {}).items()}
    return lines + [each.text for each in changes(words, found, names)]


def _digest(words: Words, payload: Mapping[str, Any]) -> Text:
    cases, counts = payload["cases"], payload["counts"]
    lines = [words("notice.digest.counts", **{name: int(value) for name, value in counts.items()})]
    for each in cases[:_MOST_LISTED]:
        key = "notice.digest.audit" if each["reason"] == "audit" else "notice.digest.case"
        places = _places(words, each["destinations"])
        lines.append(words(key, **_figures(words, each), dealer=_dealer(words, each), places=places))
    for each in payload.get("leads", ()):
        shown = {"number": str(each["id"]), "strength": words.percent(each["strength"])}
        places = _places(words, [each["city"]] if each["city"] else [])
        lines.append(words("notice.digest.lead", **shown, dealer=_dealer(words, each), places=places))
    return Text(words("notice.digest.daily", count=len(cases)), lines, "/cases")


def _figures(words: Words, case: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "number": str(case["id"]),
        "belief": words.percent(float(case["probability"])),
        "loss": words.number(float(Decimal(str(case["priority"])))),
    }


def _dealer(words: Words, told: Mapping[str, Any]) -> str:
    """Return a dealer's name and number; codes that nobody issued or that were copied are nobody's goods."""
    if told.get("of_codes"):
        return words("case.of_codes")
    name = words.pick(told["dealer_name_zh"], told["dealer_name_en"])
    return numbered(words.language, told.get("dealer") or "", name) or words("leads.nobody")


@cache
def _map() -> Places:
    return Places()


def _places(words: Words, codes: list[str]) -> str:
    names = [_map().name(code, words.language) for code in codes[:_MOST_PLACES]]
    return words.pick("、", ", ").join(names) or "–"
