"""An event as a row: the columns that queries ask for, and the event itself."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from trace_service.epcis.standard import identifiers, namespaces
from trace_service.epcis.standard.vocabulary import shorten

_EPCS: Final[Mapping[str, str]] = {"epcList": "e", "childEPCs": "e", "inputEPCList": "i", "outputEPCList": "o"}
_CLASSES: Final[Mapping[str, str]] = {
    "quantityList": "c",
    "childQuantityList": "c",
    "inputQuantityList": "j",
    "outputQuantityList": "k",
}
_TYPED: Final[Mapping[str, tuple[str, str]]] = {
    "bizTransactionList": ("t", "bizTransaction"),
    "sourceList": ("s", "source"),
    "destinationList": ("d", "destination"),
}


class Origin(NamedTuple):
    """The custody events that an EPCIS event stands for: a device's boot and the first and last number in it.

    An event that stands for none has a last number before the first.
    """

    device: str
    boot: UUID
    first: int
    last: int


def word(text: str | None, prefixes: Mapping[str, str]) -> str | None:
    """Return a vocabulary word in the form that is stored: bare where it can be, else the full URI."""
    return None if text is None else shorten(namespaces.expand(prefixes, text))


def key(uri: str) -> str:
    """Return an identifier in the form that is stored and compared: the project's key, or the URI itself."""
    return identifiers.key(uri) or uri


def place(event: Mapping[str, Any], name: str) -> str | None:
    """Return the key of a read point or business location."""
    holder = event.get(name)
    return key(holder["id"]) if holder else None


def event_row(event: Mapping[str, Any], brand: str, prefixes: Mapping[str, str], origin: Origin) -> dict[str, Any]:
    """Return the columns of a valid event that has its eventID; `prefixes` are those of its document."""
    inside = namespaces.scope(prefixes, event)
    kept = {name: value for name, value in event.items() if name not in {"recordTime", "@context"}}
    return {
        "brand": brand,
        "event_id": event["eventID"],
        "declared": "errorDeclaration" in event,
        "event_type": event["type"],
        "event_time": datetime.fromisoformat(event["eventTime"]),
        "action": event.get("action"),
        "biz_step": word(event.get("bizStep"), inside),
        "disposition": word(event.get("disposition"), inside),
        "read_point": place(event, "readPoint"),
        "biz_location": place(event, "bizLocation"),
        "transformation_id": event.get("transformationID"),
        "terms": sorted(set(_terms(event, inside))),
        "device": origin.device,
        "boot": origin.boot,
        "first_seq": origin.first,
        "last_seq": origin.last,
        "prefixes": {name: uri for name, uri in inside.items() if namespaces.STANDARD.get(name) != uri},
        "event": kept,
    }


def _terms(event: Mapping[str, Any], prefixes: Mapping[str, str]) -> Iterator[str]:
    yield from _goods_terms(event)
    for name, (letter, field) in _TYPED.items():
        for element in event.get(name, ()):
            kind = word(element.get("type"), prefixes) or ""
            yield f"{letter}:{kind}|{key(element[field])}"
    for direction, letter in (("set", "+"), ("unset", "-")):
        for disposition in event.get("persistentDisposition", {}).get(direction, ()):
            yield f"{letter}:{word(disposition, prefixes)}"
    declaration = event.get("errorDeclaration", {})
    if "reason" in declaration:
        yield f"r:{word(declaration['reason'], prefixes)}"
    yield from (f"x:{event_id}" for event_id in declaration.get("correctiveEventIDs", ()))
    reports = (report for element in event.get("sensorElementList", ()) for report in element["sensorReport"])
    yield from (f"m:{word(report['type'], prefixes)}" for report in reports)


def _goods_terms(event: Mapping[str, Any]) -> Iterator[str]:
    for name, letter in _EPCS.items():
        for uri in event.get(name, ()):
            yield from _unit_terms(letter, uri)
    if "parentID" in event:
        yield from _unit_terms("p", event["parentID"])
    for name, letter in _CLASSES.items():
        for element in event.get(name, ()):
            yield f"{letter}:{key(element['epcClass'])}"


def _unit_terms(letter: str, uri: str) -> Iterator[str]:
    unit = key(uri)
    yield f"{letter}:{unit}"
    product = unit.partition("/21/")[0]
    if product != unit:
        # A pattern over all serials of a product asks for this.
        yield f"{letter}:{product}/*"
