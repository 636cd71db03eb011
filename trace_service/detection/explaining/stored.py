"""What an alert says of itself from what is stored of it, whichever version of the program stored it. Pure.

What another version kept may have another form, or come to other figures by other rules: then nothing is computed from
it. The alert shows what was stated when it was raised, and says so.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import structs

from trace_service.detection.explaining.explanation import Explanation, Kept, explain, facts_stored
from trace_service.detection.material import FORM
from trace_service.detection.settings import Settings

# What reading and computing stored material of a strange form can raise.
UNREADABLE: Final = (msgspec.ValidationError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
_OURS: Final = Settings().version


def explain_stored(
    reason: Mapping[str, Any], probability: float | None, material: Mapping[str, Any] | None
) -> Explanation:
    """Return what a stored alert or lead says of itself; `kept` tells whether it could be computed again."""
    try:
        found = explain(facts_stored(reason, probability, material))
    except UNREADABLE:
        return structs.replace(_stated(reason, probability), changes=(), kept=kept_by(reason, material))
    by = kept_by(reason, material)
    if found.agrees is False and by in ("older", "newer"):
        # By other rules it comes to other figures: what would change today's verdict is not what would change that one.
        return structs.replace(_stated(reason, probability), changes=(), kept=by, times=found.times)
    return found


def kept_by(reason: Mapping[str, Any], material: Mapping[str, Any] | None) -> Kept:
    """Tell whose version kept an alert that this one cannot compute; `damaged` where it was this very version."""
    # Rows of before forms were numbered have the first.
    form = material.get("form", 1) if isinstance(material, Mapping) else None
    if not isinstance(form, int):
        return "damaged"
    if form != FORM:
        return "older" if form < FORM else "newer"
    stated = _settings(reason)
    if stated in ("", _OURS):
        return "damaged"
    return "newer" if stated.isdecimal() and _OURS.isdecimal() and int(stated) > int(_OURS) else "older"


def _settings(reason: Mapping[str, Any]) -> str:
    versions = reason.get("versions") if isinstance(reason, Mapping) else None
    return str(versions.get("settings", "")) if isinstance(versions, Mapping) else ""


def _stated(reason: Mapping[str, Any], probability: float | None) -> Explanation:
    """Return what the alert stated when it was raised, as far as that can be read."""
    try:
        return explain(facts_stored(reason, probability, None))
    except UNREADABLE:
        code = reason.get("code", "") if isinstance(reason, Mapping) else ""
        return explain(facts_stored({"code": code}, probability, None))
