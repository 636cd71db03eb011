"""What a unit is worth at a station, from the manifest and the load alone. Pure: no file, no network."""

from collections.abc import Iterator
from typing import Final, NamedTuple

from contracts.gs1 import Identifier
from contracts.manifest import Reference, Standing, code_hash
from edge.manifest import Found, Manifest
from edge.station.load import Counted, Load
from edge.station.order import Order
from edge.station.verdict import Verdict

_NO_SALT: Final = bytes(16)
_UNFIT: Final = {
    "strange": (Verdict.NOT_IN_ORDER, "product_not_ordered"),
    "kind": (Verdict.WRONG_ITEM, "cases_due"),
    "over": (Verdict.OVER_QUANTITY, "line_full"),
}


class Judgement(NamedTuple):
    """A verdict with its reason (a stable word), and the unit as it would stand on the load."""

    verdict: Verdict
    reason: str = ""
    unit: Counted | None = None
    other: str = ""
    """The order that has it already, or why the unit is blocked."""


class Case(NamedTuple):
    """What a judgement is made from; `now` is milliseconds since the epoch."""

    identifier: Identifier
    order: Order
    load: Load
    manifest: Manifest | None
    now: int


class _Known(NamedTuple):
    manifest: Manifest
    found: Found | None
    unit: Counted


def judge_shipping(case: Case) -> Judgement:
    """Judge a unit that is about to be loaded."""
    return next(_shipping(case))


def judge_receiving(case: Case, expected: set[int]) -> Judgement:
    """Judge a unit that has come in; everything that came is kept, whatever the document says."""
    return next(_receiving(case, expected))


def _shipping(case: Case) -> Iterator[Judgement]:
    """Yield what there is to say; what comes first is what a packer should hear."""
    # 1. and 2. Can it be loaded at all, and is it on this load already?
    known = _known(case, repeated="on_this_load")
    if isinstance(known, Judgement):
        yield known
        return
    manifest, found, unit = known
    # 3. What must not move, and what has left.
    refused = _barred(found, unit, manifest)
    if refused:
        yield refused
    # 4. Does the order ask for it?
    order = manifest.order(case.order.reference, case.order.to)
    if order is None:
        yield Judgement(Verdict.PROVISIONAL, "order_unknown", unit)
        return
    unfit = case.load.unfit(order, unit.contents, is_container=not case.identifier.is_item)
    if unfit:
        verdict, reason = _UNFIT[unfit.why]
        yield Judgement(verdict, reason, unit, unfit.gtin)
    # 5. What cannot be counted, or rests on an old manifest, is for the server to confirm.
    if not unit.contents:
        yield Judgement(Verdict.PROVISIONAL, "contents_unknown", unit)
    if manifest.is_expired(case.now):
        yield Judgement(Verdict.PROVISIONAL, "manifest_expired", unit)
    yield Judgement(Verdict.OK, "", unit)


def _receiving(case: Case, expected: set[int]) -> Iterator[Judgement]:
    known = _known(case, repeated="received_before")
    if isinstance(known, Judgement):
        yield known
        return
    manifest, found, unit = known
    if found and found.blocked:
        yield Judgement(Verdict.BLOCKED, "blocked", unit, found.blocked)
    if expected and not expected.intersection((unit.hash, *unit.ancestors)):
        other = found.reference.order if found and found.reference else ""
        yield Judgement(Verdict.NOT_IN_ORDER, "other_order" if other else "not_announced", unit, other)
    if not expected:
        yield Judgement(Verdict.PROVISIONAL, "order_unknown", unit)
    if manifest.is_expired(case.now):
        yield Judgement(Verdict.PROVISIONAL, "manifest_expired", unit)
    yield Judgement(Verdict.OK, "", unit)


def _known(case: Case, *, repeated: str) -> Judgement | _Known:
    """Return what the manifest knows of a unit, or the judgement where nothing more has to be known."""
    manifest, key = case.manifest, case.identifier.key
    # 1. Only a single item or a logistic unit can be loaded or received.
    if not (case.identifier.is_item or key.startswith("/00/")):
        return Judgement(Verdict.WRONG_ITEM, "no_serial")
    if manifest is None:
        return _without_manifest(case)
    # 2. On this load already: itself, what it lies in, or something inside it.
    found = manifest.find(key)
    unit = _counted(case, found.hash if found else manifest.hash_of(key), found)
    if case.load.holds(unit.hash, unit.ancestors):
        return Judgement(Verdict.DUPLICATE, repeated, unit)
    return _Known(manifest, found, unit)


def _barred(found: Found | None, unit: Counted, manifest: Manifest) -> Judgement | None:
    if found is None:
        return Judgement(Verdict.UNKNOWN, "not_on_hand", unit)
    blocked = found.blocked or next(filter(None, map(manifest.blocked_product, unit.contents)), "")
    if blocked:
        return Judgement(Verdict.BLOCKED, "blocked", unit, blocked)
    if found.standing is Standing.SHIPPED:
        return Judgement(Verdict.ALREADY_SHIPPED, "has_left", unit, _told(found.reference))
    if found.standing is Standing.INBOUND:
        return Judgement(Verdict.WRONG_ITEM, "not_received", unit, _told(found.reference))
    if found.ancestors:
        return Judgement(Verdict.WRONG_ITEM, "inside_parent", unit)
    return None


def _without_manifest(case: Case) -> Judgement:
    """Without a manifest a unit is told by its key alone, so that at least a repetition is seen."""
    unit = _counted(case, code_hash(_NO_SALT, case.identifier.key), None)
    if any(each.key == unit.key for each in case.load.units):
        return Judgement(Verdict.DUPLICATE, "on_this_load", unit)
    return Judgement(Verdict.PROVISIONAL, "no_manifest", unit)


def _counted(case: Case, code: int, found: Found | None) -> Counted:
    ancestors = found.ancestors if found else ()
    contents = dict(found.contents) if found else {}
    if not contents and case.identifier.is_item:
        contents = {case.identifier.gtin: 1}
    return Counted(case.identifier.key, code, ancestors, contents, case.now, "")


def _told(reference: Reference | None) -> str:
    return f"{reference.order} → {reference.dealer}" if reference else ""
