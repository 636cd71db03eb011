"""What would clear an alert that rests on papers and registries: how many of them would have to come. Pure.

The detectors' own sums are taken again with parts taken out; `exact` is false where a detector does not give enough.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from trace_service.detection.detectors.backflow import receipt_nats
from trace_service.detection.detectors.clone import pooled_nats
from trace_service.detection.settings import Settings

_MARGIN: Final = Settings().retract_margin_nats
_ROUNDED: Final = 0.01
# What one entry on record clears as a whole, with the figures that its sentence names.
_BY_A_PAPER: Final[Mapping[str, tuple[str, ...]]] = {
    "level_skip": ("sold_to", "silence_nats"),
    "withheld": ("cases",),
    "off_route": ("to", "stops"),
    "dwell": ("cases",),
}


class Change(Struct, frozen=True):
    """What would change the verdict: a code for its sentence, figures, and the cases that are meant."""

    code: str
    figures: dict[str, Any] = {}
    cases: tuple[str, ...] = ()


def clearing(
    detector: str, figures: Mapping[str, Any], contributions: Sequence[Mapping[str, Any]]
) -> tuple[Change, ...]:
    """Return what would take the alert back, and what would have kept it from being raised."""
    threshold = float(figures.get("threshold") or 0.0)
    if detector == "backflow":
        return (_papers(figures, threshold),)
    if detector == "rebind":
        return _approvals(figures, threshold)
    if detector in _BY_A_PAPER:
        return (Change(f"clear.{detector}", {name: figures.get(name) for name in _BY_A_PAPER[detector]}),)
    shares = sorted((float(each["nats"]) for each in contributions), reverse=True)
    return (_parts(detector, figures, shares, threshold),) if shares else ()


def _parts(detector: str, figures: Mapping[str, Any], shares: Sequence[float], threshold: float) -> Change:
    """Return how many of the parts that evidence is the sum of have to go."""
    if detector == "clone":
        return _fewest("same_owner", len(shares), lambda out: pooled_nats(shares[out:]), threshold, exact=True)
    if detector == "forged":
        rest = float(figures.get("nats", 0.0)) - sum(shares)
        exact = len(shares) == 1 or abs(rest) < _ROUNDED
        return _fewest(
            "issued", len(shares), lambda out: sum(shares[out:]) + rest * (out < len(shares)), threshold, exact=exact
        )
    if detector == "label_removal":
        return Change("seen_after_all", {"usual": figures.get("usual"), "seen": figures.get("seen")})
    return _fewest("explained", len(shares), lambda out: sum(shares[out:]), threshold, exact=False)


def _fewest(code: str, every: int, left: Callable[[int], float], threshold: float, *, exact: bool) -> Change:
    """Return how many of the strongest parts have to go."""
    falls = next((out for out in range(every + 1) if left(out) < threshold - _MARGIN), every)
    unraised = next((out for out in range(every + 1) if left(out) < threshold), every)
    return Change(
        code, {"cases": falls, "of": every, "unraised": unraised, "nats": round(left(falls), 2), "exact": exact}
    )


def _papers(figures: Mapping[str, Any], threshold: float) -> Change:
    every = int(figures.get("cases", 0))
    return _fewest("return_paper", every, lambda out: receipt_nats(every - out), threshold, exact=True)


def _approvals(figures: Mapping[str, Any], threshold: float) -> tuple[Change, ...]:
    """Return what a second approver would heal, and that only a correction heals what had moved on before."""
    nats = float(figures.get("nats", 0.0))
    moved, alone = int(figures.get("moved_before", 0)) > 0, len(figures.get("approvers", ())) < 2  # noqa: PLR2004  two persons
    each = nats / (moved + alone) if moved or alone else 0.0
    left = nats - each * alone
    found = [Change("approval", {"falls": left < threshold - _MARGIN, "nats": round(left, 2)})] if alone else []
    return (*found, Change("binding_corrected", {"moved": figures.get("moved_before", 0)}))
