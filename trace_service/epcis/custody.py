"""From EPCIS to custody: which step an event is for each unit that it names, at which site, to whom."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from urllib.parse import unquote
from uuid import UUID

from trace_service.domain.events import Event, Source, Step
from trace_service.epcis.rows import key, place, word
from trace_service.epcis.standard import identifiers, namespaces
from trace_service.epcis.standard.hashing import event_hash

DEVICE: Final = "epcis"
SITE: Final = "urn:codefence:site:"
DEALER: Final = "urn:codefence:dealer:"
SHIPMENT: Final = "urn:codefence:shipment:"
STEP: Final = "urn:codefence:step:"
# By a prefix of the document, and written out.
APPROVERS: Final = frozenset({"{urn:codefence:}approvers", "urn:codefence:approvers"})
_STEPS: Final[Mapping[str, Step]] = {
    "commissioning": Step.COMMISSION,
    "shipping": Step.SHIP,
    "void_shipping": Step.VOID,
    "receiving": Step.RECEIVE,
    "accepting": Step.RECEIVE,
    "retail_selling": Step.SELL,
    "inspecting": Step.INSPECT,
    "holding": Step.BLOCK,
    "decommissioning": Step.DECOMMISSION,
    "destroying": Step.DESTROY,
    **{f"{STEP}{step.value}": step for step in Step},
}
_TO_SOMEBODY: Final = frozenset({Step.SHIP, Step.TRANSFER_REQUEST, Step.REBIND})
_NUMBERED: Final = _TO_SOMEBODY | {Step.VOID, Step.RETURN, Step.TRANSFER_APPROVE, Step.TRANSFER_REJECT}
_BY_CLASS: Final = frozenset({Step.RECALL, Step.BLOCK, Step.UNBLOCK})
_CBV_TRANSACTION: Final = "urn:epcglobal:cbv:bt:"
# Which business transaction names the shipment, where there are several.
_TRANSACTIONS: Final = ("desadv", "po", "bol", "")
_MOST_APPROVERS: Final = 9
_LONGEST_NAME: Final = 64
_PARTIES: Final = ("owning_party", "possessing_party", "location")


@dataclass(frozen=True, slots=True)
class Places:
    """Sites by the keys that EPCIS events may name them by, the dealer of each, and what aggregates hold now."""

    sites: Mapping[str, str] = field(default_factory=dict)
    dealers: Mapping[str, str] = field(default_factory=dict)
    contents: Mapping[str, Sequence[str]] = field(default_factory=dict)


def units(event: Mapping[str, Any]) -> list[str]:
    """Return the keys of single items and logistic units whose custody an event is about."""
    names = ("epcList", "childEPCs", "outputEPCList")
    uris = [uri for name in names for uri in event.get(name, ())]
    uris += [event["parentID"]] if "parentID" in event else []
    return [unit for unit in map(identifiers.key, uris) if unit is not None and identifiers.is_instance(unit)]


def step_of(event: Mapping[str, Any], prefixes: Mapping[str, str]) -> Step | None:
    """Return which step of custody an event is, or None for one that moves nothing."""
    kind, action = event["type"], event.get("action")
    if kind == "AggregationEvent" and action in {"ADD", "DELETE"}:
        return Step.PACK if action == "ADD" else Step.UNPACK
    if kind not in {"ObjectEvent", "AggregationEvent"}:
        return None
    step = _STEPS.get(word(event.get("bizStep"), prefixes) or "")
    disposition = word(event.get("disposition"), prefixes)
    if step is Step.BLOCK and disposition == "recalled":
        return Step.RECALL
    if step is Step.SHIP and disposition == "returned":
        return Step.RETURN
    return step


def custody_events(
    event: Mapping[str, Any], prefixes: Mapping[str, str], places: Places, capture: tuple[UUID, int]
) -> Iterator[Event]:
    """Yield what an event says about each unit; `capture` is the capture's id and the first number that is free."""
    step = step_of(event, prefixes)
    if step is None:
        return
    capture_id, first = capture
    at = place(event, "readPoint") or place(event, "bizLocation") or ""
    for number, (unit, parent) in enumerate(_subjects(event, step, places), start=first):
        yield Event(
            unit,
            step,
            places.sites.get(at) or at.removeprefix(SITE),
            datetime.fromisoformat(event["eventTime"]),
            Source(DEVICE, capture_id, number),
            dealer=_recipient(event, prefixes, places) if step in _TO_SOMEBODY else None,
            shipment=_shipment(event, prefixes) if step in _NUMBERED else None,
            parent=parent,
            reason=word(event.get("disposition"), prefixes) if step in _BY_CLASS else None,
            approvers=_approvers(event, prefixes) if step is Step.REBIND else (),
        )


def _subjects(event: Mapping[str, Any], step: Step, places: Places) -> Iterator[tuple[str, str | None]]:
    parent = key(event["parentID"]) if "parentID" in event else None
    if step in {Step.PACK, Step.UNPACK}:
        children = [key(uri) for uri in event.get("childEPCs", ())]
        if step is Step.UNPACK and not children and "childQuantityList" not in event:
            # EPCIS: a DELETE without children empties the parent.
            children = list(places.contents.get(parent or "", ()))
        for child in children:
            if identifiers.is_instance(child):
                yield child, parent
    elif event["type"] == "AggregationEvent":
        if parent is not None and identifiers.is_instance(parent):
            yield parent, None
    else:
        for unit in units(event):
            yield unit, None
        if step in _BY_CLASS:
            for element in event.get("quantityList", ()):
                yield key(element["epcClass"]), None


def _recipient(event: Mapping[str, Any], prefixes: Mapping[str, str], places: Places) -> str | None:
    found = {word(each["type"], prefixes): each["destination"] for each in event.get("destinationList", ())}
    for kind in _PARTIES:
        if kind in found:
            uri = found[kind]
            if uri.startswith(DEALER):
                return unquote(uri.removeprefix(DEALER))
            if (dealer := places.dealers.get(_location(uri))) is not None:
                return dealer
    return None


def _approvers(event: Mapping[str, Any], prefixes: Mapping[str, str]) -> tuple[str, ...]:
    """Return who agreed to a re-binding, by the extension field of that name."""
    given = next((value for name, value in event.items() if namespaces.expand_key(prefixes, name) in APPROVERS), ())
    named = given if isinstance(given, list) else [given] if isinstance(given, str) else []
    return tuple(str(each)[:_LONGEST_NAME] for each in named)[:_MOST_APPROVERS]


def _location(uri: str) -> str:
    """Return the key of a party's GLN as that of a location: one number serves as both."""
    return key(uri).replace("/417/", "/414/", 1).partition("/254/")[0]


def _shipment(event: Mapping[str, Any], prefixes: Mapping[str, str]) -> str:
    found = {
        word(each.get("type"), prefixes) or "": each["bizTransaction"] for each in event.get("bizTransactionList", ())
    }
    named: str | None = next((found[kind] for kind in _TRANSACTIONS if kind in found), None)
    if named is None:
        # Without a number of its own a shipment is its event.
        return f"EPCIS-{event_hash(event, prefixes)[14:30].upper()}"
    if named.startswith((SHIPMENT, _CBV_TRANSACTION)):
        return unquote(named.rpartition(":")[2])
    return named
