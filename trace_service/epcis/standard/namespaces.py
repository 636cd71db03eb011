"""Prefixes and JSON-LD contexts. A context is known by its address or refused; none is ever fetched."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from trace_service.epcis.standard.vocabulary import CBV, WEB_VOCABULARY

CONTEXT: Final = "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld"
_EPCIS_CONTEXT = re.compile(
    r"https?://(ref\.gs1\.org/standards/epcis/(\d+\.\d+(\.\d+)?/)?|gs1\.github\.io/EPCIS/)epcis-context\.jsonld"
)
# Published by GS1 itself: harmless beside the one above, and their terms are not needed here.
_GS1_CONTEXT = re.compile(r"https?://(ref\.gs1\.org|gs1\.org|www\.gs1\.org|gs1\.github\.io)/\S+")
# What the EPCIS context itself declares.
STANDARD: Final[Mapping[str, str]] = {
    "epcis": "https://ref.gs1.org/epcis/",
    "cbv": CBV,
    "cbvmda": "urn:epcglobal:cbv:mda",
    "gs1": WEB_VOCABULARY,
    "rdfs": "http://www.w3.org/2000/01/rdf-schema#",
    "owl": "http://www.w3.org/2002/07/owl#",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
    "dcterms": "http://purl.org/dc/terms/",
}
SCHEMES: Final = frozenset({"http", "https", "urn", "ni", "did", "tag", "data", "mailto"})
_XMLNS = "@xmlns"


def is_epcis(url: str) -> bool:
    """Tell whether an address is that of the EPCIS context."""
    return _EPCIS_CONTEXT.fullmatch(url) is not None


def is_known(url: str) -> bool:
    """Tell whether a context may be referred to."""
    return _EPCIS_CONTEXT.fullmatch(url) is not None or _GS1_CONTEXT.fullmatch(url) is not None


def parts(context: object) -> Iterator[object]:
    """Yield the addresses and definitions of a context, whatever its form."""
    if isinstance(context, list):
        yield from context
    elif context is not None:
        yield context


def declared(context: object) -> dict[str, str]:
    """Return the prefixes that a context defines, with their namespaces."""
    found: dict[str, str] = {}
    for part in parts(context):
        if isinstance(part, dict):
            for prefix, value in part.items():
                target = value.get("@id") if isinstance(value, dict) else value
                if isinstance(target, str):
                    found[prefix] = target
    return found


def scope(outer: Mapping[str, str], holder: Mapping[str, Any]) -> Mapping[str, str]:
    """Return the prefixes that hold inside an object: its own `@context` and `@xmlns:…` add to the outer ones."""
    # Nearly no object has one of its own.
    for name in holder:
        if name[:1] == "@":
            break
    else:
        return outer
    own = declared(holder.get("@context"))
    own |= {
        name.removeprefix(_XMLNS).lstrip(":"): value
        for name, value in holder.items()
        if name.startswith(_XMLNS) and isinstance(value, str)
    }
    return {**outer, **own} if own else outer


def expand(prefixes: Mapping[str, str], text: str) -> str:
    """Return a compact URI in full; what has no known prefix stays as it is."""
    prefix, colon, rest = text.partition(":")
    if not colon or rest.startswith("//") or prefix not in prefixes:
        return text
    return prefixes[prefix] + rest


def expand_key(prefixes: Mapping[str, str], key: str) -> str:
    """Return the name of a field as `{namespace}local name`; a bare name stays as it is."""
    prefix, colon, rest = key.partition(":")
    if not colon:
        return key
    if prefix in prefixes:
        return f"{{{prefixes[prefix]}}}{rest}"
    return key
