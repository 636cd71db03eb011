"""What an alert says of itself, in the reader's words."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from trace_service.detection.explaining.clearing import Change
from trace_service.detection.explaining.considering import Considered
from trace_service.detection.explaining.explanation import Explanation
from trace_service.web.models import Evidence
from trace_service.web.places import Places
from trace_service.words import Words

_VERSIONS: Final = ("settings", "territories", "baseline", "calibration")


@dataclass(frozen=True, slots=True)
class Line:
    """An innocent explanation: what it is, how it bears, what was looked at, and what it took off."""

    title: str
    bearing: str
    mark: str
    text: str
    took: str


@dataclass(frozen=True, slots=True)
class Wish:
    """What would change the verdict, and the cases that are meant."""

    text: str
    cases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Story:
    """An explanation in words; `windows` are rows of period, findings, expectation and evidence.

    `parties` and `counting` are sentences: who took part, and how much likelier the findings are if goods are sold
    there. `belief` is the probability alone, `sure` says it with its band, `origin` where it comes from. `findings`
    are what the cases count as, None where each counts as one. `kept` says why nothing could be computed again where
    another version of the program kept the alert, or what is kept is damaged.
    """

    parties: list[str]
    counting: list[str]
    belief: str
    sure: str
    origin: str
    findings: int | None
    windows: list[tuple[str, str, str, str]]
    considered: list[Line]
    changes: list[Wish]
    computed: bool
    versions: str
    recomputed: str
    kept: str
    command: str = "codefence case reproduce %s --brand %s"


def outside(words: Words, scans: Iterable[Evidence]) -> str:
    """Return how far outside the territory scans lay, from the nearest to its edge to the farthest."""
    found = [scan.signed_distance_m for scan in scans if scan.signed_distance_m is not None]
    found = sorted(each for each in found if each > 0)
    if not found:
        return ""
    low, high = words.km(found[0]), words.km(found[-1])
    return high if low == high else f"{low.removesuffix(words('distance.km', km=''))}–{high}"


def story(
    words: Words, places: Places, explanation: Explanation, names: Mapping[str, tuple[str, str]] | None = None
) -> Story:
    """Return an explanation in the reader's words; `names` are those of dealers and sites."""
    return Story(
        parties=_parties(words, explanation, names or {}),
        counting=_counting(words, explanation),
        belief=words.percent(explanation.belief.probability) if explanation.belief else "",
        sure=_sure(words, explanation),
        origin=_origin(words, explanation),
        findings=max((each.observed for each in explanation.windows), default=None),
        windows=[
            (
                words("explain.window.ever") if each.days is None else words("explain.window.days", days=each.days),
                words.number(each.observed), small(words, each.expected), words.number(each.nats, 1),
            )
            for each in explanation.windows
        ]
        + [
            (words(f"explain.rule.{each.code}", shipment=each.shipment or ""), "", "", words.number(each.nats, 1))
            for each in explanation.rules
        ],
        considered=[_line(words, places, each) for each in explanation.considered],
        changes=list(changes(words, explanation.changes, names)),
        computed=explanation.kept == "whole",
        versions=_versions(words, explanation.versions),
        recomputed=_recomputed(words, explanation),
        kept=_kept(words, explanation),
    )  # fmt: skip


def _parties(words: Words, explanation: Explanation, names: Mapping[str, tuple[str, str]]) -> list[str]:
    key = f"explain.parties.{explanation.detector}"
    found = []
    if words.has(key):
        told = {name: words("scan.none") for name in ("sold_to", "received_at", "from", "to", "who")}
        for name, who in explanation.parties.items():
            told[name] = words.pick(*names[who]) if who in names else who
        found.append(words(key, **told))
    return found


def _counting(words: Words, explanation: Explanation) -> list[str]:
    """Return how much likelier it is that goods are sold there, and what counts in another way than by number."""
    found = []
    if explanation.times is not None:
        more = explanation.times.more
        key = "reason.likelihood.more" if more else "reason.likelihood"
        found.append(
            words(key, times=explanation.times.times) + (_joint(words) + words("explain.capped") if more else "")
        )
    if explanation.in_shops:
        found.append(words("explain.shops", cases=explanation.in_shops))
    return found


def _sure(words: Words, explanation: Explanation) -> str:
    belief = explanation.belief
    if belief is None:
        return ""
    key = "explain.belief" if belief.reviewed else "explain.belief.plain"
    shown = {"belief": belief.probability, "low": belief.low, "high": belief.high}
    return words(key, reviewed=belief.reviewed, **{name: words.percent(value) for name, value in shown.items()})


def _origin(words: Words, explanation: Explanation) -> str:
    # Versions of calibrations that were refitted to a brand's own outcomes have a number behind a point.
    shipped = explanation.belief is not None and "." not in explanation.versions.get("calibration", "")
    return words("explain.shipped") if shipped else ""


def changes(
    words: Words, found: Iterable[Change], names: Mapping[str, tuple[str, str]] | None = None
) -> Iterable[Wish]:
    """Return what would change the verdict, the sentence for each; `names` are those of dealers and sites."""
    known = names or {}
    for each in found:
        figures = {
            name: words.pick(*known[value]) if isinstance(value, str) and value in known else value
            for name, value in each.figures.items()
        }
        yield Wish(_change(words, each.code, figures), each.cases)


def _change(words: Words, code: str, figures: Mapping[str, Any]) -> str:
    told = {name: _shown(words, value) for name, value in figures.items()}
    if code == "cases_out":
        parts = [
            words("change.cases_out", **told),
            words(f"change.cases_out.{'exact' if figures['exact'] else 'some'}"),
        ]
        if figures["unraised"] and figures["unraised"] != figures["cases"]:
            parts.append(words("change.cases_out.unraised", **told))
        return _joint(words).join(parts)
    how = "single" if figures.get("of") == 1 else "all" if figures.get("of") == figures.get("cases") else "some"
    if words.has(f"change.{code}.{how}"):
        return words(f"change.{code}.{how}", **told)
    if code in {"paper", "approval"}:
        return words(f"change.{code}.{'falls' if figures['falls'] else 'stays'}", **told)
    if code == "surge":
        how = "none" if figures["times"] is None else "allowed" if figures["allowed"] else "beyond"
        return words(f"change.surge.{how}", **told)
    if code == "more":
        sure = figures["cases"] == 0
        return words(
            "change.more.sure" if sure else "change.more.shipment" if figures["shipment"] else "change.more", **told
        )
    return words(f"change.{code}", **told) if words.has(f"change.{code}") else words("reason.other", code=code)


def _line(words: Words, places: Places, each: Considered) -> Line:
    key = f"considered.{each.code}"
    figures = {name: _shown(words, value, places) for name, value in each.figures.items()}
    told = f"{key}.{each.bearing}"
    took = [words("explain.cases", count=each.cases)] if each.cases else []
    if each.nats:
        took.append(words("explain.nats", nats=words.number(each.nats, 1)))
    return Line(
        title=words(key) if words.has(key) else each.code,
        bearing=each.bearing,
        mark=words(f"explain.bearing.{each.bearing}"),
        text=words(told, **figures) if words.has(told) else "",
        took=words.pick("，", ", ").join(took),
    )


def _shown(words: Words, value: object, places: Places | None = None) -> object:
    """Return a figure as it is read: numbers with what digits say something, lists with commas, cities by name."""
    if isinstance(value, bool) or value is None:
        return words("scan.none")
    if isinstance(value, float):
        return small(words, value)
    if isinstance(value, list | tuple):
        names = [
            places.name(str(each), words.language) if places and str(each).isdecimal() else str(each) for each in value
        ]
        return words.pick("、", ", ").join(names) or words("scan.none")
    return value


def _versions(words: Words, versions: Mapping[str, str]) -> str:
    if not versions:
        return ""
    return words("explain.versions", **{name: versions.get(name, words("scan.none")) for name in _VERSIONS})


def _kept(words: Words, explanation: Explanation) -> str:
    if explanation.kept in ("whole", "none"):
        return ""
    return words(f"explain.kept.{explanation.kept}", settings=explanation.versions.get("settings", "–"))


def _recomputed(words: Words, explanation: Explanation) -> str:
    if explanation.kept not in ("whole", "none"):
        return _kept(words, explanation)
    if explanation.recomputed is None:
        return words("explain.recomputed.none")
    shown = {"nats": words.number(explanation.recomputed, 3)}
    if explanation.agrees:
        return words("explain.recomputed.agrees", **shown)
    return words("explain.recomputed.differs", stated=words.number(explanation.nats, 3), **shown)


def _joint(words: Words) -> str:
    return words.pick("", " ")


def small(words: Words, value: float) -> str:
    """Return an expected number with about two significant digits."""
    if 0 < value < 0.01:  # noqa: PLR2004  less than a hundredth
        return "< " + words.number(0.01, 2)
    return words.number(value, 0 if value >= 10 else 1 if value >= 1 else 2)  # noqa: PLR2004  one, ten
