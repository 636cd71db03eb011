"""What an alert says, from the alert alone or from what is stored of it. Pure.

Observed against expected; how much likelier the goods were sold there; how sure that is; the innocent explanations
that were considered, each with what it took off; and what would change the verdict, found by computing it again.
Codes stand for sentences, which the catalogues of the console and of messages have.
"""

from collections.abc import Mapping, Sequence
from math import exp, floor, log, log10
from typing import Any, Final, Literal, TypeAlias

from msgspec import Struct

from trace_service.detection.changes import Alert
from trace_service.detection.explaining.clearing import Change, clearing
from trace_service.detection.explaining.considering import Considered, considered
from trace_service.detection.explaining.counterfactual import (
    enough_surge,
    falls,
    fewest_at_home,
    fewest_out,
    more_until_sure,
    papers,
    unraised,
)
from trace_service.detection.explaining.recount import counted, recount
from trace_service.detection.explaining.tally import tally, within
from trace_service.detection.material import Material, read_material
from trace_service.detection.settings import Settings

# Whether an alert could be computed again from what was kept with it, and if not, whose version kept it.
Kept: TypeAlias = Literal["whole", "none", "older", "newer", "damaged"]
# Beyond this a ratio says nothing more: models of honest travel are not known to be right to one in a thousand.
MOST_TIMES: Final = 1_000
_Z95: Final = 1.96
_OURS: Final = Settings().version
_NEVER: Final = -99.0  # as figures say that a rule has nothing to say
_PARTIES: Final = ("sold_to", "received_at", "from", "to", "who")
# A figure that is stored with three digits agrees with one that is computed anew within this.
_AGREES: Final = 0.002


class Facts(Struct, frozen=True, kw_only=True):
    """An alert as the engine gave it or as it is stored."""

    detector: str
    probability: float | None
    band: tuple[float, float] | None
    figures: Mapping[str, Any]
    contributions: Sequence[Mapping[str, Any]]
    versions: Mapping[str, str]
    material: Material | None

    @property
    def nats(self) -> float:
        """The weight of the evidence."""
        found = self.figures.get("nats", self.figures.get("llr", 0.0))
        return float(found)


class Times(Struct, frozen=True):
    """How many times likelier the findings are if goods are sold there; `more`: at least so many times."""

    times: int
    more: bool


class Belief(Struct, frozen=True):
    """A calibrated probability with its 95 % band; `reviewed`: findings like it whose count would be as precise."""

    probability: float
    low: float
    high: float
    reviewed: int


class Window(Struct, frozen=True):
    """What was seen within so many days (None: ever), and what honest customers would show."""

    days: int | None
    observed: int
    expected: float
    nats: float


class Rule(Struct, frozen=True):
    """What one rule makes of the findings: `drip` of their number, `bulk` of one shipment, `home` of where else."""

    code: str
    nats: float
    shipment: str | None = None


class Explanation(Struct, frozen=True, kw_only=True):
    """Everything that an alert says of itself; `recomputed` are its nats from what is stored, where that is enough.

    `parties` are dealers and people by the part that they had; `in_shops` counts cases that were found in a shop.
    """

    detector: str
    nats: float
    threshold: float
    times: Times | None
    belief: Belief | None
    windows: tuple[Window, ...]
    rules: tuple[Rule, ...]
    in_shops: int
    parties: dict[str, str]
    considered: tuple[Considered, ...]
    changes: tuple[Change, ...]
    recomputed: float | None
    agrees: bool | None
    versions: Mapping[str, str]
    kept: Kept


def facts_of(alert: Alert) -> Facts:
    """Return the facts of an alert of the engine."""
    given = alert.reason["parameters"]
    return Facts(
        detector=alert.reason["code"],
        probability=alert.probability,
        band=alert.band,
        figures=given,
        contributions=[{"case": each.case, "nats": each.nats, "note": each.note} for each in alert.contributions],
        versions=alert.versions,
        material=read_material(alert.material),
    )


def facts_stored(reason: Mapping[str, Any], probability: float | None, material: Mapping[str, Any] | None) -> Facts:
    """Return the facts of an alert as it is stored: its reason, its probability, and its material where kept.

    Raises what `read_material` raises; `stored.explain_stored` degrades instead.
    """
    given = reason.get("parameters") or {}
    band = given.get("band")
    return Facts(
        detector=str(reason.get("code", "")),
        probability=probability,
        band=(band[0], band[1]) if isinstance(band, list) and len(band) == 2 else None,  # noqa: PLR2004  low and high
        figures=given,
        contributions=[each for each in given.get("contributions", ()) if isinstance(each, dict)],
        versions=reason.get("versions") or {},
        material=read_material(dict(material)) if material else None,
    )


def explain(facts: Facts) -> Explanation:
    """Return what the alert says; takes milliseconds, up to some tenths of a second for hundreds of cases."""
    material = facts.material
    again = recount(material).nats if material else _tallied(facts)
    allowed = _AGREES if material else within(facts.contributions)
    return Explanation(
        detector=facts.detector,
        nats=facts.nats,
        threshold=float(facts.figures.get("threshold") or 0.0),
        times=times_of(facts.nats) if material else None,
        belief=_belief(facts),
        windows=_windows(facts.figures),
        rules=_rules(facts.figures) if material else (),
        in_shops=counted(material)["store"] if material else 0,
        parties={name: str(facts.figures[name]) for name in _PARTIES if facts.figures.get(name)},
        considered=considered(facts.detector, facts.figures, material),
        changes=_changes(material) if material else clearing(facts.detector, facts.figures, facts.contributions),
        recomputed=None if again is None else round(again, 3),
        agrees=None if again is None else abs(again - facts.nats) <= allowed,
        versions=facts.versions,
        kept="whole" if material else "none",
    )


def _tallied(facts: Facts) -> float | None:
    """Return the sum of an alert without material, where this version's rules are those that it was raised by."""
    if facts.versions.get("settings") != _OURS:
        return None
    return tally(facts.detector, facts.figures, facts.contributions)


def times_of(nats: float) -> Times:
    """Return a likelihood ratio with one significant digit, capped."""
    if nats >= log(MOST_TIMES):
        return Times(MOST_TIMES, more=True)
    times = exp(max(nats, 0.0))
    step = 10 ** floor(log10(times))
    return Times(round(times / step) * step, more=False)


def _belief(facts: Facts) -> Belief | None:
    if facts.probability is None or facts.band is None:
        return None
    low, high = facts.band
    inside = (0.0 < each < 1.0 for each in (low, facts.probability, high))
    if not all(inside) or low >= high:
        return Belief(facts.probability, low, high, 0)
    spread = (log(high / (1 - high)) - log(low / (1 - low))) / (2 * _Z95)
    like = 1 / (spread**2 * facts.probability * (1 - facts.probability))
    return Belief(facts.probability, low, high, max(1, round(like)))


def _rules(figures: Mapping[str, Any]) -> tuple[Rule, ...]:
    found = []
    for code in ("drip", "bulk", "home"):
        nats = figures.get(f"{code}_nats")
        if isinstance(nats, int | float) and nats not in (0, _NEVER):
            found.append(Rule(code, float(nats), figures.get("bulk_shipment") if code == "bulk" else None))
    return tuple(found)


def _windows(figures: Mapping[str, Any]) -> tuple[Window, ...]:
    found = []
    for each in figures.get("windows", ()):
        days = int(each["days"])
        ever = days > 10_000  # noqa: PLR2004  longer than any stream
        found.append(
            Window(None if ever else days, int(each["observed"]), float(each["expected"]), float(each["nats"]))
        )
    return tuple(found)


def _changes(material: Material) -> tuple[Change, ...]:
    found = []
    out, not_raised = fewest_out(material, falls), fewest_out(material, unraised)
    every = len({hit.case for part in material.parts for cell in part.cells for hit in cell.hits})
    if out is not None:
        figures: dict[str, Any] = {"cases": len(out.cases), "of": every, "exact": out.exact, "nats": round(out.nats, 2)}
        unraised_by = len(not_raised.cases) if not_raised else None
        found.append(Change("cases_out", {**figures, "unraised": unraised_by}, out.cases))
    for shipment, cases, verdict in papers(material):
        figures = {"cases": cases, "falls": verdict.falls, "nats": round(max(verdict.nats, -99.0), 2)}
        found.append(Change("paper", {"shipment": shipment, **figures}))
    if (home := fewest_at_home(material)) is not None:
        found.append(Change("at_home", {"cases": home}))
    surge = enough_surge(material)
    had = max(part.surge for part in material.parts)
    found.append(
        Change("surge", {"times": None, "had": round(had, 2), "allowed": False})
        if surge is None
        else Change("surge", {"times": round(surge[0], 1), "had": round(had, 2), "allowed": surge[1]})
    )
    if (more := more_until_sure(material)) is not None:
        found.append(Change("more", {"cases": more[0], "shipment": more[1]}))
    return tuple(found)
