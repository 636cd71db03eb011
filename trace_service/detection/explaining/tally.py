"""The sums of detectors on papers and registers, taken again from what an alert states of its parts. Pure.

They keep no material: what a rule counts is stored as figures, what an item says as its contribution. A sum that rests
on goods of others (what a dealer usually sells, how many labels usually are scanned twice) cannot be taken from there.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from trace_service.detection.detectors.backflow import receipt_nats
from trace_service.detection.detectors.clone import pooled_nats
from trace_service.detection.detectors.forged import NATS_A_DEVICE
from trace_service.detection.detectors.lots import shop_nats
from trace_service.detection.detectors.offroute import route_nats
from trace_service.detection.detectors.rebind import APPROVERS, binding_nats
from trace_service.detection.detectors.withheld import withheld_nats

Figures = Mapping[str, Any]
Parts = Sequence[Mapping[str, Any]]
# Contributions are stored with three digits.
_ROUNDED: Final = 0.0005
_AGREES: Final = 0.002


def tally(detector: str, figures: Figures, contributions: Parts) -> float | None:
    """Return the nats that follow from an alert's own figures and parts, None where they are not enough.

    Raises what figures of a strange form raise.
    """
    taken = _TALLIES.get(detector)
    return taken(figures, contributions) if taken else None


def within(contributions: Parts) -> float:
    """Return how far a sum of rounded parts may be from the one that is stated, in nats."""
    return _AGREES + _ROUNDED * len(contributions)


def _level_skip(figures: Figures, _: Parts) -> float:
    if "lot_cases" in figures:
        return float(figures["silence_nats"]) + shop_nats(figures["cases"])
    return receipt_nats(figures["cases"])


def _rebind(figures: Figures, _: Parts) -> float:
    return binding_nats(moved=figures["moved_before"] > 0, alone=len(figures["approvers"]) < APPROVERS)


def _withheld(figures: Figures, _: Parts) -> float | None:
    if "weeks_later" not in figures:
        return None
    return withheld_nats(figures["cases"], weeks_later=figures["weeks_later"])


def _off_route(figures: Figures, _: Parts) -> float | None:
    return route_nats(figures["stops"], far=figures["far"]) if "far" in figures else None


def _forged(figures: Figures, parts: Parts) -> float | None:
    if "issued_form" not in figures:
        return None
    others = int(figures["devices"]) - 1 if figures["issued_form"] else 0
    return sum(_nats(parts)) + NATS_A_DEVICE * others


def _nats(parts: Parts) -> list[float]:
    return [float(each["nats"]) for each in parts]


_TALLIES: Final[Mapping[str, Callable[[Figures, Parts], float | None]]] = {
    "backflow": lambda figures, _: receipt_nats(figures["cases"]),
    "level_skip": _level_skip,
    "rebind": _rebind,
    "withheld": _withheld,
    "off_route": _off_route,
    "forged": _forged,
    "clone": lambda _, parts: pooled_nats(_nats(parts)),
}
