"""Events as documents: their contexts brought together, identifiers in the form that the reader prefers."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

from contracts import gs1
from trace_service.epcis.querying.search import Found
from trace_service.epcis.standard import links, namespaces

LISTS: Final = ("epcList", "childEPCs", "inputEPCList", "outputEPCList")
_QUANTITIES: Final = ("quantityList", "childQuantityList", "inputQuantityList", "outputQuantityList")
_PLACES: Final = ("readPoint", "bizLocation")
_PARTIES: Final = {"sourceList": "source", "destinationList": "destination", "bizTransactionList": "bizTransaction"}


class EpcFormat(StrEnum):
    """How identifiers are to be written (header GS1-EPC-Format)."""

    NO_PREFERENCE = "No_Preference"
    LINKS = "Always_GS1_Digital_Link"
    URNS = "Always_EPC_URN"
    AS_CAPTURED = "Never_Translates"


def query_document(
    found: Sequence[Found], epc_format: EpcFormat, prefix_digits: int, *, name: str = "SimpleEventQuery",
    subscription: str = "",
) -> dict[str, Any]:  # fmt: skip
    """Return events as an EPCISQueryDocument."""
    events, context = with_context(found, epc_format, prefix_digits)
    results = {"queryName": name, **({"subscriptionID": subscription} if subscription else {})}
    return {
        "@context": context,
        "type": "EPCISQueryDocument",
        "schemaVersion": "2.0",
        "creationDate": written(datetime.now(UTC)),
        "epcisBody": {"queryResults": {**results, "resultsBody": {"eventList": events}}},
    }


def with_context(
    found: Iterable[Found], epc_format: EpcFormat, prefix_digits: int
) -> tuple[list[dict[str, Any]], list[Any]]:
    """Return events ready to be sent, and the context that they share.

    Where two documents meant different namespaces by one prefix, the later event brings a context of its own.
    """
    shared: dict[str, str] = {}
    events = []
    for each in found:
        event = {**translated(each.event, epc_format, prefix_digits), "recordTime": written(each.record_time)}
        own = {prefix: uri for prefix, uri in each.prefixes.items() if shared.setdefault(prefix, uri) != uri}
        events.append({"@context": [own], **event} if own else event)
    return events, [namespaces.CONTEXT, shared] if shared else [namespaces.CONTEXT]


def single_event(found: Found, epc_format: EpcFormat, prefix_digits: int) -> dict[str, Any]:
    """Return one event as a document of its own."""
    (event,), context = with_context([found], epc_format, prefix_digits)
    return {"@context": context, **event}


def written(moment: datetime) -> str:
    """Return a time as documents write it: UTC, milliseconds."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def translated(event: Mapping[str, Any], epc_format: EpcFormat, prefix_digits: int) -> dict[str, Any]:
    """Return an event with its identifiers in one form; what has no such form stays as it was captured."""
    if epc_format in {EpcFormat.NO_PREFERENCE, EpcFormat.AS_CAPTURED}:
        return dict(event)
    if epc_format is EpcFormat.LINKS:
        return _mapped(event, lambda uri: links.canonical(uri) or uri)
    return _mapped(event, lambda uri: _urn(uri, prefix_digits))


def _urn(uri: str, prefix_digits: int) -> str:
    if uri.startswith("urn:"):
        return uri
    try:
        return gs1.urn(gs1.read(uri).pairs, prefix_digits)
    except gs1.Gs1Error:
        return uri


def _mapped(event: Mapping[str, Any], change: Callable[[str], str]) -> dict[str, Any]:
    changed = dict(event)
    for name in LISTS:
        if name in event:
            changed[name] = [change(uri) for uri in event[name]]
    if "parentID" in event:
        changed["parentID"] = change(event["parentID"])
    for name in _QUANTITIES:
        if name in event:
            changed[name] = [{**each, "epcClass": change(each["epcClass"])} for each in event[name]]
    for name in _PLACES:
        if name in event:
            changed[name] = {**event[name], "id": change(event[name]["id"])}
    for name, field in _PARTIES.items():
        if name in event:
            changed[name] = [{**each, field: change(each[field])} for each in event[name]]
    return changed
