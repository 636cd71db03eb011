"""The EPCIS documents that the parties of the tour send."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

_CONTEXT: Final = "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld"
_SITE: Final = "urn:codefence:site:"
_DEALER: Final = "urn:codefence:dealer:"
_HOST: Final = "https://id.gs1.org"


def document(created: datetime, *events: dict[str, Any]) -> dict[str, Any]:
    """Return an EPCIS 2.0 document."""
    return {
        "@context": [_CONTEXT],
        "type": "EPCISDocument",
        "schemaVersion": "2.0",
        "creationDate": _text(created),
        "epcisBody": {"eventList": list(events)},
    }


def observed(step: str, disposition: str, units: Iterable[str], site: str, moment: datetime) -> dict[str, Any]:
    """Return what happened to single units at a site; commissioning creates them."""
    action = {"commissioning": "ADD", "decommissioning": "DELETE"}.get(step, "OBSERVE")
    return {
        "type": "ObjectEvent",
        **_when(moment),
        "action": action,
        "bizStep": step,
        "disposition": disposition,
        "epcList": [f"{_HOST}{unit}" for unit in units],
        "readPoint": {"id": f"{_SITE}{site}"},
    }


def shipped(units: Iterable[str], route: tuple[str, str], shipment: str, moment: datetime) -> dict[str, Any]:
    """Return a shipment of units; `route` is the site that they leave and the dealer who is to own them."""
    site, dealer = route
    return {
        **observed("shipping", "in_transit", units, site, moment),
        "bizTransactionList": [{"type": "desadv", "bizTransaction": f"urn:codefence:shipment:{shipment}"}],
        "destinationList": [{"type": "owning_party", "destination": f"{_DEALER}{dealer}"}],
    }


def packed(parent: str, children: Iterable[str], site: str, moment: datetime) -> dict[str, Any]:
    """Return that children were put into a parent."""
    return {**_aggregation(parent, children, site, moment), "action": "ADD", "bizStep": "packing"}


def unpacked(parent: str, children: Iterable[str], site: str, moment: datetime) -> dict[str, Any]:
    """Return that children were taken out of a parent."""
    return {**_aggregation(parent, children, site, moment), "action": "DELETE", "bizStep": "unpacking"}


def _aggregation(parent: str, children: Iterable[str], site: str, moment: datetime) -> dict[str, Any]:
    return {
        "type": "AggregationEvent",
        **_when(moment),
        "parentID": f"{_HOST}{parent}",
        "childEPCs": [f"{_HOST}{child}" for child in children],
        "disposition": "in_progress",
        "readPoint": {"id": f"{_SITE}{site}"},
    }


def _when(moment: datetime) -> dict[str, str]:
    return {"eventTime": _text(moment), "eventTimeZoneOffset": "+00:00"}


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
