"""The event hash of CBV 2.0, section 8.9: one event, one hash, however it was written down.

The order is that of the reference implementation, whose hashes are in circulation: fields of the canonical property
order first; then what that order leaves over (transactions, destinations, ILMD, sources, extensions), sorted.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final

from trace_service.epcis.standard import links, namespaces
from trace_service.epcis.standard.vocabulary import Kind, expand, from_urn

_QUANTITY: Final = ("epcClass", "quantity", "uom")
_METADATA: Final = (
    "time", "startTime", "endTime", "deviceID", "deviceMetadata", "rawData", "dataProcessingMethod", "bizRules",
)  # fmt: skip
_REPORT: Final = (
    "type", "exception", "deviceID", "deviceMetadata", "rawData", "dataProcessingMethod", "time", "microorganism",
    "chemicalSubstance", "value", "component", "stringValue", "booleanValue", "hexBinaryValue", "uriValue", "minValue",
    "maxValue", "meanValue", "sDev", "percRank", "percValue", "uom", "coordinateReferenceSystem",
)  # fmt: skip
_ORDER: Final = (
    "eventTime", "eventTimeZoneOffset", "certificationInfo", "parentID", "epcList", "inputEPCList", "childEPCs",
    "quantityList", "childQuantityList", "inputQuantityList", "outputEPCList", "outputQuantityList", "action",
    "transformationID", "bizStep", "disposition", "persistentDisposition", "readPoint", "bizLocation",
    "sensorElementList",
)  # fmt: skip
_EPC_LISTS: Final = frozenset({"epcList", "inputEPCList", "childEPCs", "outputEPCList"})
_QUANTITY_LISTS: Final = frozenset({"quantityList", "childQuantityList", "inputQuantityList", "outputQuantityList"})
_TYPED: Final[Mapping[str, tuple[str, Kind]]] = {
    "bizTransactionList": ("bizTransaction", Kind.TRANSACTION),
    "sourceList": ("source", Kind.SOURCE),
    "destinationList": ("destination", Kind.SOURCE),
}
_TIMES: Final = frozenset({"eventTime", "time", "startTime", "endTime"})
_WORDS: Final[Mapping[str, Kind]] = {
    "bizStep": Kind.BIZ_STEP,
    "disposition": Kind.DISPOSITION,
    "set": Kind.DISPOSITION,
    "unset": Kind.DISPOSITION,
    "type": Kind.MEASUREMENT,
    "exception": Kind.ALERT,
    "component": Kind.COMPONENT,
}
_IGNORED: Final = frozenset(
    {"type", "recordTime", "eventID", "errorDeclaration", "@context", "comment", "rdfs:comment"}
)
_COMMENTS: Final = frozenset({"comment", "rdfs:comment", "@context", "#text"})
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_INTEGER = re.compile(r"[+-]?\d+")
_TEXT: Final = "#text"

Prefixes = Mapping[str, str]


def event_hash(event: Mapping[str, Any], prefixes: Prefixes = namespaces.STANDARD) -> str:
    """Return the hash of one event as a `ni:` URI; `prefixes` are those of its document."""
    return f"ni:///sha-256;{hashlib.sha256(prehash(event, prefixes).encode()).hexdigest()}?ver=CBV2.0"


def prehash(event: Mapping[str, Any], prefixes: Prefixes = namespaces.STANDARD) -> str:
    """Return the text that the hash is taken of."""
    inside = namespaces.scope(prefixes, event)
    rest = [key for key in event if key not in _IGNORED and key not in _ORDER and not key.startswith("@xmlns")]
    ordered = (_field(key, event[key], inside) for key in _ORDER if event.get(key) is not None)
    left = sorted(part for key in rest for part in _left(key, event[key], inside))
    return f"eventType={namespaces.expand(inside, event.get('type', ''))}{''.join(ordered)}{''.join(left)}"


def _field(key: str, value: Any, prefixes: Prefixes) -> str:  # noqa: ANN401  a field's JSON
    if key in _EPC_LISTS:
        return _list(key, (f"epc={_value('epc', each, prefixes)}" for each in value))
    if key in _QUANTITY_LISTS:
        return _list(key, (f"quantityElement{_ordered(_QUANTITY, each, prefixes)}" for each in value))
    if key == "sensorElementList":
        return _list(key, (f"sensorElement{_sensor(each, prefixes)}" for each in value))
    if key in {"readPoint", "bizLocation"}:
        text = _ordered(("id",), value, prefixes)
        return key + text if text else ""
    if key == "persistentDisposition":
        text = _ordered(("set", "unset"), value, prefixes)
        return key + text if text else ""
    return _plain(key, value, prefixes)


def _plain(key: str, value: Any, prefixes: Prefixes) -> str:  # noqa: ANN401  a field's JSON
    texts = (_value(key, each, prefixes) for each in _many(value))
    return "".join(sorted(f"{key}={text}" for text in texts if text))


def _list(name: str, elements: Iterable[str]) -> str:
    found = sorted(elements)
    return name + "".join(found) if found else ""


def _ordered(order: Iterable[str], holder: Mapping[str, Any], prefixes: Prefixes) -> str:
    """Return the regular fields of an element in their order, then everything else in it, sorted."""
    inside = namespaces.scope(prefixes, holder)
    known = "".join(_plain(key, holder[key], inside) for key in order if key in holder)
    extras = [key for key in holder if key not in order and key not in _COMMENTS]
    return known + "".join(sorted(part for key in extras for part in _left(key, holder[key], inside)))


def _sensor(element: Mapping[str, Any], prefixes: Prefixes) -> str:
    inside = namespaces.scope(prefixes, element)
    metadata = element.get("sensorMetadata")
    text = _ordered(_METADATA, metadata, inside) if metadata else ""
    text = f"sensorMetadata{text}" if text else ""
    reports = sorted(f"sensorReport{_ordered(_REPORT, each, inside)}" for each in _many(element.get("sensorReport")))
    extras = [key for key in element if key not in {"sensorMetadata", "sensorReport"} and key not in _COMMENTS]
    return text + "".join(reports) + "".join(sorted(p for key in extras for p in _left(key, element[key], inside)))


def _left(key: str, value: Any, prefixes: Prefixes) -> Iterator[str]:  # noqa: ANN401  a field's JSON
    """Yield what a field outside the canonical order adds: one text, or one for each element of an extension."""
    if key in _TYPED:
        if value:
            yield _list(key, (_typed(*_TYPED[key], each, prefixes) for each in value))
        return
    name = namespaces.expand_key(prefixes, key)
    for each in _many(value):
        yield name + _generic(each, prefixes)


def _typed(name: str, kind: Kind, element: Mapping[str, Any], prefixes: Prefixes) -> str:
    own = element.get("type")
    lead = f"type={canonical_value(expand(kind, own), prefixes)}" if own else ""
    return f"{lead}{name}={canonical_value(element.get(name), prefixes)}"


def _generic(value: Any, prefixes: Prefixes) -> str:  # noqa: ANN401  an extension's JSON
    if isinstance(value, Mapping):
        inside = namespaces.scope(prefixes, value)
        text = canonical_value(value[_TEXT], inside) if value.get(_TEXT) else ""
        keys = [key for key in value if key not in _COMMENTS and not key.startswith("@xmlns")]
        children = sorted(part for key in keys for part in _left(key, value[key], inside))
        return (f"={text}" if text else "") + "".join(children)
    if isinstance(value, list):
        return "".join(sorted(_generic(each, prefixes) for each in value))
    text = canonical_value(value, prefixes)
    return f"={text}" if text else ""


def _many(value: Any) -> Iterable[Any]:  # noqa: ANN401  a field's JSON
    if isinstance(value, list):
        return value
    return () if value is None else (value,)


def _value(key: str, value: Any, prefixes: Prefixes) -> str:  # noqa: ANN401  a field's JSON
    if key in _TIMES and isinstance(value, str):
        return utc_milliseconds(value.strip())
    if key in _WORDS and isinstance(value, str):
        value = expand(_WORDS[key], value.strip())
    return canonical_value(value, prefixes)


def canonical_value(value: Any, prefixes: Prefixes) -> str:  # noqa: ANN401  a field's JSON
    """Return a value as the hash sees it: full URIs, canonical Digital Links, numbers without needless zeros."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        return "" if value is None else _number(repr(value))
    text = value.strip()
    if not text:
        return ""
    if _NUMBER.fullmatch(text):
        return _number(text)
    text = namespaces.expand(prefixes, from_urn(text))
    return links.canonical(text) or text


def _number(text: str) -> str:
    if _INTEGER.fullmatch(text):
        return str(int(text))
    number = float(text)
    return str(int(number)) if number.is_integer() else repr(number)


@lru_cache(maxsize=8192)
def utc_milliseconds(text: str) -> str:
    """Return a time as `YYYY-MM-DDThh:mm:ss.sssZ`, rounded half up; what is no time with its zone stays as it is."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    if moment.tzinfo is None:
        return text
    try:
        rounded = moment.astimezone(UTC) + timedelta(microseconds=500)
    except OverflowError:
        return text
    return f"{rounded:%Y-%m-%dT%H:%M:%S}.{rounded.microsecond // 1000:03d}Z"
