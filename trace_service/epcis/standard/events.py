"""What a schema cannot say about an event: its type's fields, prefixes, words of the vocabulary, identifiers."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from trace_service.epcis.standard import identifiers, namespaces
from trace_service.epcis.standard.problems import Problem, child
from trace_service.epcis.standard.rules import COMMON, ELEMENTS, EPC_LISTS, EVENTS, QUANTITY_LISTS, EventRule
from trace_service.epcis.standard.vocabulary import CBV, WORDS, Kind, shorten

_DEEPEST: Final = 32
_TYPED: Final[Mapping[str, tuple[str, Kind]]] = {
    "bizTransactionList": ("bizTransaction", Kind.TRANSACTION),
    "sourceList": ("source", Kind.SOURCE),
    "destinationList": ("destination", Kind.SOURCE),
}
_REPORT_WORDS: Final[Mapping[str, Kind]] = {
    "type": Kind.MEASUREMENT,
    "exception": Kind.ALERT,
    "component": Kind.COMPONENT,
}
_PLAIN: Final = frozenset({"comment"})
Prefixes = Mapping[str, str]


def event_problems(
    event: Mapping[str, Any], pointer: str, prefixes: Prefixes, *, strict: bool = False
) -> Iterator[Problem]:
    """Yield what is wrong with an event whose shape is right; `strict` looks at check digits too."""
    inside = namespaces.scope(prefixes, event)
    rule = EVENTS.get(event["type"])
    # 1. The type, and the fields that it has and needs.
    if rule is None:
        yield from _extended_type(event["type"], child(pointer, "type"), inside)
    else:
        yield from _required(event, rule, pointer)
        yield from extension_problems(event, COMMON | rule.fields, pointer, inside)
    # 2. Words of the vocabulary.
    yield from _words(event, pointer, inside)
    # 3. Elements with extension points.
    for name, value in event.items():
        if name in ELEMENTS:
            yield from _element(name, value, child(pointer, name), inside)
    # 4. Identifiers.
    for where, uri in named(event):
        fault = identifiers.fault(uri)
        if fault is not None and (strict or fault.code != "CHECK_DIGIT"):
            yield Problem(f"{pointer}/{where}", fault.code, fault.message)


def extension_problems(
    holder: Mapping[str, Any], known: frozenset[str], pointer: str, prefixes: Prefixes
) -> Iterator[Problem]:
    """Yield fields that are neither known here nor extensions under a prefix that is defined."""
    for name, value in holder.items():
        if name in known or name.startswith("@"):
            continue
        where = child(pointer, name)
        if ":" not in name and name not in prefixes:
            yield Problem(where, "UNKNOWN_FIELD", f"{name!r} is no field here; extensions carry a prefix")
            continue
        yield from _prefix(name, where, prefixes)
        yield from _nested(value, where, prefixes, 0)


def _nested(value: Any, pointer: str, prefixes: Prefixes, depth: int) -> Iterator[Problem]:  # noqa: ANN401  JSON
    if depth > _DEEPEST:
        yield Problem(pointer, "TOO_DEEP", f"more than {_DEEPEST} levels inside an extension")
    elif isinstance(value, Mapping):
        inside = namespaces.scope(prefixes, value)
        for name, each in value.items():
            if not name.startswith(("@", "#")):
                where = child(pointer, name)
                yield from _prefix(name, where, inside)
                yield from _nested(each, where, inside, depth + 1)
    elif isinstance(value, list):
        for index, each in enumerate(value):
            if isinstance(each, Mapping | list):
                yield from _nested(each, child(pointer, index), prefixes, depth + 1)


def _prefix(name: str, pointer: str, prefixes: Prefixes) -> Iterator[Problem]:
    prefix, colon, rest = name.partition(":")
    if not colon or prefix in prefixes or prefix in namespaces.SCHEMES:
        if colon and not rest:
            yield Problem(pointer, "NAMESPACE", f"{name!r} has no name after its prefix")
        return
    yield Problem(pointer, "NAMESPACE_UNDEFINED", f"the prefix {prefix!r} is not defined in @context")


def _extended_type(name: str, pointer: str, prefixes: Prefixes) -> Iterator[Problem]:
    if ":" not in name:
        known = ", ".join(EVENTS)
        yield Problem(pointer, "NOT_ALLOWED", f"{name!r} is none of {known}")
    else:
        yield from _prefix(name, pointer, prefixes)


def _required(event: Mapping[str, Any], rule: EventRule, pointer: str) -> Iterator[Problem]:
    kind, action = event["type"], event.get("action")
    for name in rule.required:
        if not event.get(name):
            yield Problem(pointer, "MISSING_FIELD", f"{kind} needs {name}")
    if kind == "AggregationEvent" and action in {"ADD", "DELETE"} and "parentID" not in event:
        yield Problem(pointer, "MISSING_FIELD", f"{kind} with action {action} needs parentID")
    if kind == "ObjectEvent" and "ilmd" in event and action != "ADD":
        yield Problem(child(pointer, "ilmd"), "NOT_ALLOWED", "ilmd belongs to events with action ADD")
    groups = rule.one_of
    if kind == "TransformationEvent" and "transformationID" in event:
        groups = (tuple(name for group in groups for name in group),)
    if action in rule.unless:
        return
    for group in groups:
        # A list of EPCs may be empty (EPCIS 2.0, 7.4.2); an empty list of anything else says nothing.
        if not any(event.get(name) or (name == "epcList" and name in event) for name in group):
            yield Problem(pointer, "MISSING_FIELD", f"{kind} needs one of {', '.join(group)}")


def _words(event: Mapping[str, Any], pointer: str, prefixes: Prefixes) -> Iterator[Problem]:
    for name, kind in (("bizStep", Kind.BIZ_STEP), ("disposition", Kind.DISPOSITION)):
        if name in event:
            yield from _word(kind, event[name], child(pointer, name), prefixes)
    persistent = event.get("persistentDisposition", {})
    for name in ("set", "unset"):
        for index, word in enumerate(persistent.get(name, ())):
            where = f"{pointer}/persistentDisposition/{name}/{index}"
            yield from _word(Kind.DISPOSITION, word, where, prefixes)
    declaration = event.get("errorDeclaration", {})
    if "reason" in declaration:
        yield from _word(Kind.REASON, declaration["reason"], f"{pointer}/errorDeclaration/reason", prefixes)
    for name, (_, kind) in _TYPED.items():
        for index, each in enumerate(event.get(name, ())):
            if "type" in each:
                yield from _word(kind, each["type"], f"{pointer}/{name}/{index}/type", prefixes)


def _word(kind: Kind, text: str, pointer: str, prefixes: Prefixes) -> Iterator[Problem]:
    if text in WORDS[kind]:
        return
    if ":" not in text:
        yield Problem(pointer, "NOT_IN_VOCABULARY", f"{text!r} is no word of the Core Business Vocabulary here")
        return
    full = namespaces.expand(prefixes, text)
    if full.startswith("urn:epcglobal:cbv:"):
        message = f"EPCIS 2.0 writes the bare word: {shorten(full)!r}"
        yield Problem(pointer, "VOCABULARY_FORM", message)
    elif full.startswith(CBV):
        if shorten(full) not in WORDS[kind]:
            yield Problem(pointer, "NOT_IN_VOCABULARY", f"{text!r} is no word of the Core Business Vocabulary here")
    elif "://" not in text:
        yield from _prefix(text, pointer, prefixes)


def _element(name: str, value: Any, pointer: str, prefixes: Prefixes) -> Iterator[Problem]:  # noqa: ANN401  JSON
    known = ELEMENTS[name]
    elements = enumerate(value) if isinstance(value, list) else [(None, value)]
    for index, each in elements:
        where = pointer if index is None else child(pointer, index)
        inside = namespaces.scope(prefixes, each)
        yield from extension_problems(each, known | _PLAIN, where, inside)
        if name == "sensorElementList":
            yield from _sensor(each, where, inside)


def _sensor(element: Mapping[str, Any], pointer: str, prefixes: Prefixes) -> Iterator[Problem]:
    if "sensorMetadata" in element:
        yield from _element("sensorMetadata", element["sensorMetadata"], child(pointer, "sensorMetadata"), prefixes)
    for index, report in enumerate(element["sensorReport"]):
        where = f"{pointer}/sensorReport/{index}"
        inside = namespaces.scope(prefixes, report)
        yield from extension_problems(report, ELEMENTS["sensorReport"] | _PLAIN, where, inside)
        for name, kind in _REPORT_WORDS.items():
            if name in report:
                yield from _word(kind, report[name], child(where, name), inside)


def named(event: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield every identifier of goods, places and parties, with where it stands."""
    for name in EPC_LISTS:
        for index, uri in enumerate(event.get(name, ())):
            yield f"{name}/{index}", uri
    if "parentID" in event:
        yield "parentID", event["parentID"]
    for name in QUANTITY_LISTS:
        for index, each in enumerate(event.get(name, ())):
            yield f"{name}/{index}/epcClass", each["epcClass"]
    for name in ("readPoint", "bizLocation"):
        if name in event:
            yield f"{name}/id", event[name]["id"]
    for name in ("sourceList", "destinationList"):
        field = _TYPED[name][0]
        for index, each in enumerate(event.get(name, ())):
            yield f"{name}/{index}/{field}", each[field]
