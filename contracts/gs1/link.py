"""GS1 Digital Link URIs: read on any host, written on GS1's own.

Source: GS1 Digital Link Standard, URI Syntax. Convenience alphas (`/gtin/…`), short GTINs in the path and compressed
URIs are no longer part of it and are refused.
"""

import functools
import re
from collections.abc import Iterable, Sequence
from typing import Final
from urllib.parse import quote

from contracts.gs1.errors import Gs1Error, error_of
from contracts.gs1.keys import CANONICAL_HOST
from contracts.gs1.table import ENTRIES, Entry
from contracts.gs1.together import Element
from contracts.gs1.values import find_fault

SCHEMES: Final = ("https://", "HTTPS://", "http://", "HTTP://")
_ILLEGAL: Final = re.compile(r"[^A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]")
_ILLEGAL_IN_HOST: Final = re.compile(r"[_~?#@!$&'()*+,;=%]")
_ESCAPE: Final = re.compile(r"%([0-9A-Fa-f]{2})")
_SHORT_GTINS: Final = frozenset({8, 12, 13})
_LOT: Final = "10"


def link_elements(text: str, start: int = 0, *, strict: bool = True) -> list[Element]:
    """Return the elements of the URI that begins at `start`: key, qualifiers, then attributes in their order.

    Labels in use carry the lot as an attribute although it belongs into the path; `strict` refuses that.
    """
    host, slash = _authority(text, start)
    fragment = text.find("#", slash)
    end = len(text) if fragment < 0 else fragment
    query = text.find("?", slash, end)
    path_end = end if query < 0 else query
    elements = _path(text, slash, path_end, host)
    keys = len(elements)
    if query >= 0:
        elements += _attributes(text, query + 1, end)
        _check_attributes(elements, keys, strict=strict)
    return elements


def _authority(text: str, start: int) -> tuple[int, int]:
    """Return where the host begins and where the path does."""
    strange = _ILLEGAL.search(text, start)
    if strange:
        raise Gs1Error("URI_CHARACTER", f"a URI may not hold {strange[0]!r}", position=strange.start())
    scheme = next((each for each in SCHEMES if text.startswith(each, start)), None)
    if scheme is None:
        raise Gs1Error("URI_SCHEME", "the URI begins with neither https:// nor http://", position=start)
    host = start + len(scheme)
    slash = text.find("/", host)
    if slash <= host:
        raise Gs1Error("URI_HOST", "the URI has no host or no path", position=host)
    strange = _ILLEGAL_IN_HOST.search(text, host, slash)
    if strange:
        raise Gs1Error("URI_HOST", f"a host may not hold {strange[0]!r}", position=strange.start())
    return host, slash


def _path(text: str, slash: int, end: int, host: int) -> list[Element]:
    segments = text[slash + 1 : end].split("/")
    root = len(segments) - 2
    # Whatever stands before the rightmost key is the host's own path.
    while root >= 0:
        entry = ENTRIES.get(segments[root])
        if entry is None:
            root = -1
        elif entry.is_key:
            break
        else:
            root -= 2
    if root < 0:
        raise Gs1Error("URI_NO_KEY", "a web address, but no GS1 Digital Link", position=host)
    position = slash + 1 + sum(len(segment) + 1 for segment in segments[:root])
    elements = []
    for index in range(root, len(segments), 2):
        ai, raw = segments[index], segments[index + 1]
        value_at = position + len(ai) + 1
        elements.append(Element(ai, _value(ENTRIES[ai], raw, value_at, in_query=False), position, value_at))
        position = value_at + len(raw) + 1
    if not _is_sequence(tuple([element.ai for element in elements])):
        wrong = elements[1]
        raise Gs1Error("URI_QUALIFIERS", f"({wrong.ai}) may not stand here", position=wrong.ai_position)
    return elements


@functools.lru_cache(maxsize=1024)
def _is_sequence(ais: tuple[str, ...]) -> bool:
    """Tell whether a path is a key and qualifiers of it, in order."""
    key, *qualifiers = ais
    for alternative in ENTRIES[key].paths:
        remaining = iter(alternative)
        if all(qualifier in remaining for qualifier in qualifiers):
            return True
    return False


def _attributes(text: str, start: int, end: int) -> list[Element]:
    elements = []
    position = start
    for pair in text[start:end].split("&"):
        ai, equals, raw = pair.partition("=")
        if equals and ai.isdigit():
            if ai not in ENTRIES:
                raise Gs1Error("AI_UNKNOWN", f"({ai}) is no application identifier", position=position)
            value_at = position + len(ai) + 1
            elements.append(Element(ai, _value(ENTRIES[ai], raw, value_at, in_query=True), position, value_at))
        position += len(pair) + 1
    return elements


def _check_attributes(elements: Sequence[Element], keys: int, *, strict: bool) -> None:
    key, *qualifiers = (element.ai for element in elements[:keys])
    seen = {key, *qualifiers}
    for ai, _, position, _ in elements[keys:]:
        if ai in seen:
            raise Gs1Error("URI_DUPLICATE", f"({ai}) stands twice", position=position)
        seen.add(ai)
        if not ENTRIES[ai].attribute:
            raise Gs1Error("URI_ATTRIBUTE", f"({ai}) may not be a query attribute", position=position)
        if strict or ai != _LOT:
            for alternative in ENTRIES[key].paths:
                if ai in alternative and set(qualifiers) <= set(alternative):
                    raise Gs1Error("URI_QUALIFIER", f"({ai}) belongs into the path of ({key})", position=position)


def _value(entry: Entry, raw: str, position: int, *, in_query: bool) -> str:
    value = raw
    if in_query and "+" in value:
        value = value.replace("+", " ")
    if "%" in value:
        value = _ESCAPE.sub(lambda match: chr(int(match[1], 16)), value)
    padding = 14 - len(value) if in_query and entry.ai == "01" and len(value) in _SHORT_GTINS else 0
    value = "0" * padding + value
    fault = find_fault(entry, value)
    if fault is not None:
        raise error_of(fault, position + _raw_offset(raw, fault.offset - padding))
    return value


def _raw_offset(raw: str, offset: int) -> int:
    """Return where the decoded character at `offset` stands in `raw`."""
    position = 0
    for _ in range(offset):
        position += 3 if _ESCAPE.match(raw, position) else 1
    return position


def uri(elements: Iterable[tuple[str, str]], host: str = CANONICAL_HOST) -> str | None:
    """Return the canonical Digital Link, or None where the elements fit into none.

    The first key names the path, with as many qualifiers as go together; the rest are attributes, those of predefined
    length first, each in the order given.
    """
    pairs = dict(elements)
    layout = _layout(tuple(pairs))
    if layout is None:
        return None
    path, attributes = layout
    text = host + "".join([f"/{ai}/{_escaped(pairs[ai])}" for ai in path])
    if attributes:
        text += "?" + "&".join([f"{ai}={_escaped(pairs[ai])}" for ai in attributes])
    return text


def _escaped(value: str) -> str:
    return value if value.isalnum() else quote(value, safe="")


@functools.lru_cache(maxsize=4096)
def _layout(ais: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    key = next((ai for ai in ais if ENTRIES[ai].is_key), None)
    if key is None:
        return None
    paths = [(key, *(ai for ai in alternative if ai in ais)) for alternative in ENTRIES[key].paths]
    for path in sorted(paths, key=lambda path: (-len(path), path)):
        attributes = [ai for ai in ais if ai not in path]
        if all(ENTRIES[ai].attribute for ai in attributes):
            return path, tuple(sorted(attributes, key=lambda ai: not ENTRIES[ai].predefined))
    return None
