"""The innocent explanations that were considered, each with what was looked at and what it took off. Pure."""

from collections.abc import Mapping
from typing import Any, Final, Literal, TypeAlias

from msgspec import Struct

from trace_service.detection.detectors.lots import DUE_DAYS
from trace_service.detection.explaining.recount import Change, counted, recount
from trace_service.detection.material import Material
from trace_service.detection.placing import BORDER_KM, Kind

Bearing: TypeAlias = Literal["counted", "looked_at", "not_applicable"]
_NO_TRAVEL: Final = 1e-6
_MOST_NATS: Final = 99.0
_SOME_SURGE: Final = 1.05


class Considered(Struct, frozen=True, kw_only=True):
    """One explanation: it took something off (`counted`), found nothing to take off (`looked_at`), or cannot apply."""

    code: str
    bearing: Bearing
    figures: dict[str, Any] = {}
    nats: float | None = None  # how much stronger the evidence would be without it
    cases: int | None = None  # how many cases it took out


# What each detector on papers and registries looks at, what it does by rule, and what cannot apply.
_BY_RULE: Final[Mapping[str, tuple[tuple[str, Bearing, tuple[str, ...]], ...]]] = {
    "backflow": (
        ("late_paper", "counted", ("grace_hours",)),
        ("own_branch", "looked_at", ()),
        ("reader_slip", "looked_at", ("cases",)),
        ("travel", "not_applicable", ()),
        ("surge", "not_applicable", ()),
    ),
    "level_skip": (
        ("level_outage", "counted", ("silence_nats", "lot_cases")),
        ("late_receipt", "counted", ("days",)),
        ("travel", "not_applicable", ()),
        ("surge", "not_applicable", ()),
    ),
    "withheld": (
        ("late_return", "counted", ("grace_hours",)),
        ("way_back", "looked_at", ()),
        ("travel", "not_applicable", ()),
        ("outage", "not_applicable", ()),
    ),
    "off_route": (
        ("on_the_way", "counted", ("stops", "detour")),
        ("travel", "not_applicable", ()),
        ("outage", "not_applicable", ()),
    ),
    "outflow": (
        ("travel", "counted", ("expected", "observed")),
        ("outage", "not_applicable", ()),
    ),
    "dwell": (
        ("slow_moving", "counted", ("days", "usual_days")),
        ("travel", "not_applicable", ()),
    ),
    "rebind": (
        ("approval", "looked_at", ("approvers",)),
        ("correction", "looked_at", ("moved_before", "cases")),
        ("travel", "not_applicable", ()),
        ("outage", "not_applicable", ()),
    ),
    "forged": (
        ("late_upload", "counted", ()),
        ("misread", "counted", ("codes", "devices")),
        ("travel", "not_applicable", ()),
        ("late_paper", "not_applicable", ()),
    ),
    "clone": (
        ("second_phone", "counted", ("devices", "items")),
        ("resold", "counted", ("cities",)),
        ("late_paper", "not_applicable", ()),
    ),
    "label_removal": (
        ("slow_sales", "counted", ("seen", "usual")),
        ("few_scanners", "counted", ()),
        ("travel", "not_applicable", ()),
    ),
}


def considered(detector: str, figures: Mapping[str, Any], material: Material | None) -> tuple[Considered, ...]:
    """Return every explanation that was considered, those that took something off first."""
    if material is None:
        rules, known = _rules(detector, figures), {"days": DUE_DAYS, **figures}
        found = [
            Considered(code=code, bearing=bearing, figures={name: known.get(name) for name in names})
            for code, bearing, names in rules
        ]
    else:
        found = _of_places(figures, material)
    order = ("counted", "looked_at", "not_applicable")
    return tuple(sorted(found, key=lambda each: order.index(each.bearing)))


def _rules(detector: str, figures: Mapping[str, Any]) -> tuple[tuple[str, Bearing, tuple[str, ...]], ...]:
    """Return a detector's rules; a level can be skipped by a lot as a whole, or by what another dealer received."""
    rules = _BY_RULE.get(detector, ())
    if detector != "level_skip":
        return rules
    if "lot_cases" not in figures:
        return (("late_paper", "counted", ("grace_hours",)), ("level_outage", "looked_at", ("level_missing", "cases")),
                *rules[2:])  # fmt: skip
    if figures.get("level_missing") != figures["lot_cases"]:
        return (("level_partly", "counted", ("silence_nats", "lot_cases", "level_missing")), *rules[1:])
    return rules


def _of_places(figures: Mapping[str, Any], material: Material) -> list[Considered]:
    base, numbers = recount(material), counted(material)
    single = material.rule == "city"

    def taken(change: Change) -> float | None:
        """Return how many nats stronger the evidence would be with a change; only one city's claim is compared."""
        return round(max(0.0, min(_MOST_NATS, recount(material, change).nats - base.nats)), 2) if single else None

    part = material.parts[0]
    at_home, carried, pieces, in_pieces = (numbers[each] for each in ("at_home", "carried", "pieces", "in_pieces"))
    surge = max(each.surge for each in material.parts)
    expected = {"expected": figures.get("expected"), "observed": figures.get("observed")}
    raised = round(material.raised, 2)
    return [
        Considered(code="travel", bearing="counted", figures=expected, nats=taken(_shares(part.shares, _NO_TRAVEL))),
        _either("surge", surge >= _SOME_SURGE, {"surge": round(surge, 2)}, taken(Change(surge=1.0)), None),
        _either("one_buyer", in_pieces > pieces, {"cases": in_pieces, "pieces": pieces}, taken(Change(single=True)),
            in_pieces - pieces),
        _company(figures, pieces),
        _either("one_bottle", at_home > 0, {"cases": at_home}, taken(Change(unhome=True)), at_home),
        _shop(figures, carried, taken(Change(uncarried=True))),
        _gateway(numbers, taken(_gateway_as_gps(part.shares))),
        Considered(code="border", bearing="looked_at", figures={"km": BORDER_KM}),
        Considered(code="late_paper", bearing="looked_at", figures={"shipments": len(_shipments(material))}),
        Considered(code="swapped_territory", bearing="looked_at", figures={"days": material.settings.runoff_days}),
        Considered(code="online", bearing="looked_at"),
        _answer(max(cell.allowance for each in material.parts for cell in each.cells), taken(Change(allowance=1.0))),
        _either("many_places", raised > 0, {"nats": raised}, raised, None),
        Considered(code="outage", bearing="not_applicable"),
    ]  # fmt: skip


def _either(code: str, counts: bool, figures: dict[str, Any], nats: float | None, cases: int | None) -> Considered:  # noqa: FBT001  whether it took anything off
    if not counts:
        return Considered(code=code, bearing="looked_at", figures=figures)
    return Considered(code=code, bearing="counted", figures=figures, nats=nats, cases=cases)


def _company(figures: Mapping[str, Any], pieces: int) -> Considered:
    """One company's gift: what comes from one shipment within two weeks counts once for drips."""
    seen = figures.get("observed")
    once = pieces - seen if isinstance(seen, int) else 0
    return _either("company_gift", once > 0, {"pieces": pieces, "observed": seen}, None, once)


def _shop(figures: Mapping[str, Any], carried: int, nats: float | None) -> Considered:
    if figures.get("booked"):
        return Considered(code="shop_booked", bearing="counted", figures={"cases": carried}, nats=None, cases=0)
    return _either("shop_had", carried > 0, {"cases": carried}, nats, carried)


def _gateway(numbers: Mapping[str, int], nats: float | None) -> Considered:
    figures = {"ip": numbers["ip"], "cases": numbers["seen"]}
    if numbers["ip"] == 0:
        return Considered(code="gateway", bearing="not_applicable", figures=figures)
    return Considered(code="gateway", bearing="counted", figures=figures, nats=nats)


def _answer(allowance: float, nats: float | None) -> Considered:
    if allowance <= 1:
        return Considered(code="earlier_answer", bearing="not_applicable")
    return Considered(code="earlier_answer", bearing="counted", figures={"times": allowance}, nats=nats)


def _shares(shares: tuple[float, ...], least: float) -> Change:
    return Change(shares=tuple(least for _ in shares))


def _gateway_as_gps(shares: tuple[float, ...]) -> Change:
    return Change(shares=tuple(shares[Kind.GPS] if kind == Kind.IP else each for kind, each in enumerate(shares)))


def _shipments(material: Material) -> set[str]:
    return {hit.shipment for part in material.parts for cell in part.cells for hit in cell.hits if hit.shipment}
