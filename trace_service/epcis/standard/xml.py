"""EPCIS documents in XML (2.0, and 1.2 as far as 2.0 goes) in the form that JSON documents have."""

from collections.abc import Iterator, Mapping
from io import BytesIO
from typing import Any, Final
from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import iterparse

from trace_service.epcis.standard import namespaces
from trace_service.epcis.standard.errors import DocumentError
from trace_service.epcis.standard.rules import EPC_LISTS, EVENTS, QUANTITY_LISTS
from trace_service.epcis.standard.vocabulary import shorten

_ROOTS: Final = ("EPCISDocument", "EPCISQueryDocument")
_WRAPPERS: Final = frozenset({"extension", "baseExtension"})
_LISTS: Final[Mapping[str, str]] = {
    "bizTransactionList": "bizTransaction",
    "sourceList": "source",
    "destinationList": "destination",
}
_WORDS: Final = frozenset({"bizStep", "disposition", "set", "unset", "reason", "type", "exception", "component"})
_NUMBERS: Final = frozenset({"quantity", "value", "minValue", "maxValue", "meanValue", "sDev", "percRank", "percValue"})
_TRUTHS: Final[Mapping[str, bool]] = {"true": True, "1": True, "false": False, "0": False}
_REPEATED: Final = frozenset({"set", "unset", "certificationInfo"})


def read_xml(data: bytes) -> dict[str, Any]:
    """Return an XML document as its JSON form; raises `DocumentError`. DTDs and entities are refused."""
    prefixes: dict[str, str] = {}
    root: Element | None = None
    try:
        for step, found in iterparse(BytesIO(data), events=("start-ns", "start"), forbid_dtd=True):
            if step == "start-ns":
                prefixes.setdefault(found[1], found[0])
            elif root is None:
                root = found
    except (ParseError, DefusedXmlException) as error:
        raise DocumentError(f"no XML: {error}", advice="Send a well-formed document without a DTD.") from error
    kind = _local(root.tag) if root is not None else ""
    if root is None or kind not in _ROOTS:
        raise DocumentError(f"the root element is {kind!r}", advice=f"Send {' or '.join(_ROOTS)}.")
    names = _Names(prefixes)
    try:
        events = [_event(each, names) for each in _events(root)]
    except RecursionError as error:
        raise DocumentError("no XML: nested too deeply", advice="Send a document of fewer levels.") from error
    body = {"eventList": events}
    return {
        "@context": [namespaces.CONTEXT, names.context] if names.context else [namespaces.CONTEXT],
        "type": kind,
        # 1.2 is read as the part of 2.0 that it became.
        "schemaVersion": "2.0",
        "creationDate": root.get("creationDate", ""),
        "epcisBody": {"queryResults": {"resultsBody": body}} if kind == _ROOTS[1] else body,
    }


class _Names:
    """Names of extensions as JSON writes them; collects the context that defines their prefixes."""

    def __init__(self, prefixes: Mapping[str, str]) -> None:
        self._prefixes = {uri: prefix for uri, prefix in prefixes.items() if prefix not in namespaces.STANDARD}
        self.context: dict[str, str] = {}

    def of(self, tag: str) -> str:
        uri, _, local = tag.rpartition("}")
        uri = uri.lstrip("{")
        if not uri:
            return local
        prefix = self._prefixes.get(uri) or f"ns{len(self.context) + 1}"
        if self.context.get(prefix, uri) != uri:
            prefix = f"ns{len(self.context) + 1}"
        self._prefixes[uri] = prefix
        self.context[prefix] = uri
        return f"{prefix}:{local}"


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]


def _events(root: Element) -> Iterator[Element]:
    for holder in root.iter():
        if _local(holder.tag) == "EventList":
            for each in _flat(holder):
                if each.tag in EVENTS or each.tag.startswith("{"):
                    yield each


def _flat(element: Element) -> Iterator[Element]:
    """Yield children; the wrappers that schema 1.x needed to grow are seen through."""
    for each in element:
        if each.tag in _WRAPPERS:
            yield from _flat(each)
        else:
            yield each


def _event(element: Element, names: _Names) -> dict[str, Any]:
    event: dict[str, Any] = {"type": names.of(element.tag)}
    for each in _flat(element):
        _add(event, names.of(each.tag), _field(each, names))
    return event


def _add(holder: dict[str, Any], name: str, value: Any) -> None:  # noqa: ANN401  JSON
    if name in holder or name in _REPEATED:
        before = holder.setdefault(name, [])
        if isinstance(before, list):
            before.append(value)  # in place: a copy for each of a million repetitions would take hours
        else:
            holder[name] = [before, value]
    else:
        holder[name] = value


def _field(element: Element, names: _Names) -> Any:  # noqa: ANN401  JSON
    tag = element.tag
    if tag == "errorDeclaration":
        return _declaration(element, names)
    if tag in EPC_LISTS | QUANTITY_LISTS | _LISTS.keys() | {"sensorElementList"}:
        return [_member(tag, each, names) for each in element]
    if len(element) or element.attrib:
        return _tree(element, names)
    return _scalar(tag, _text(element))


def _member(tag: str, element: Element, names: _Names) -> Any:  # noqa: ANN401  JSON
    if tag in QUANTITY_LISTS:
        return {part.tag: _scalar(part.tag, _text(part)) for part in element}
    if tag in _LISTS:
        return _typed(_LISTS[tag], element)
    return _sensor(element, names) if tag == "sensorElementList" else _text(element)


def _typed(name: str, element: Element) -> dict[str, str]:
    kind = element.get("type")
    return {**({"type": shorten(kind)} if kind else {}), name: _text(element)}


def _sensor(element: Element, names: _Names) -> dict[str, Any]:
    found: dict[str, Any] = {"sensorReport": []}
    for each in _flat(element):
        content = _tree(each, names)
        if each.tag == "sensorReport":
            found["sensorReport"].append(content)
        else:
            _add(found, names.of(each.tag), content if isinstance(content, dict) else _text(each))
    return found


def _declaration(element: Element, names: _Names) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for each in _flat(element):
        if each.tag == "correctiveEventIDs":
            found[each.tag] = [_text(one) for one in each]
        else:
            _add(found, names.of(each.tag), _field(each, names))
    return found


def _tree(element: Element, names: _Names) -> Any:  # noqa: ANN401  JSON
    """Return attributes and children as members; the text of an element that has attributes as `#text`."""
    found: dict[str, Any] = {names.of(name): _scalar(name, value) for name, value in element.attrib.items()}
    for each in _flat(element):
        _add(found, names.of(each.tag), _tree(each, names) if len(each) or each.attrib else _leaf(each))
    text = _text(element)
    if not len(element) and text:
        if not found:
            return text
        found["#text"] = text
    return found


def _leaf(element: Element) -> Any:  # noqa: ANN401  JSON
    return _scalar(element.tag, _text(element))


def _text(element: Element) -> str:
    return (element.text or "").strip()


def _scalar(name: str, text: str) -> str | float | bool:
    """Return an attribute or element of EPCIS's own in its JSON type; extensions keep their text."""
    if name in _WORDS:
        return shorten(namespaces.expand(namespaces.STANDARD, text))
    if name == "booleanValue":
        return _TRUTHS.get(text, text)
    if name in _NUMBERS:
        try:
            return int(text) if text.lstrip("+-").isdigit() else float(text)
        except ValueError:
            return text
    return text
