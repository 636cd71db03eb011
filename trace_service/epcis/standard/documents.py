"""Documents as they come in: bytes become JSON objects, and it is found where in them the events stand."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from trace_service.epcis.standard import namespaces
from trace_service.epcis.standard.errors import DocumentError
from trace_service.epcis.standard.rules import EVENTS

LARGEST_BYTES: Final = 10 * 1024 * 1024
DOCUMENT_TYPES: Final = frozenset({"EPCISDocument", "EPCISQueryDocument"})
_NUL: Final = b"\\u0000"
_EVENT_PATHS: Final = (
    ("epcisBody", "eventList"),
    ("epcisBody", "queryResults", "resultsBody", "eventList"),
)
_VOCABULARY_PATH: Final = ("epcisBody", "queryResults", "resultsBody", "vocabularyList")
_SINGLE_PATH: Final = ("epcisBody", "event")


@dataclass(frozen=True, slots=True)
class Document:
    """A document in JSON form; `events` stand at `base` (a JSON pointer), numbered unless there is `single` one."""

    content: Mapping[str, Any]
    events: list[dict[str, Any]]
    base: str
    single: bool
    prefixes: Mapping[str, str]

    def pointer(self, index: int) -> str:
        """Return where the event stands in the document."""
        return self.base if self.single else f"{self.base}/{index}"


def read(data: bytes, limit: int | None = LARGEST_BYTES) -> Mapping[str, Any]:
    """Return a document's JSON object, from JSON or XML; raises `DocumentError` for bytes that are neither.

    `limit` is in bytes; None where the reader trusts its own files.
    """
    if limit is not None and len(data) > limit:
        raise DocumentError(f"{len(data)} bytes, {limit} are the limit", advice="Send the events in several documents.")
    if data.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"<":
        from trace_service.epcis.standard.xml import read_xml  # noqa: PLC0415  nearly all documents are JSON

        return read_xml(data)
    if _NUL in data:
        raise DocumentError("a text holds the character U+0000", advice="Leave it out; nothing that is read needs it.")
    try:
        content = msgspec.json.decode(data.removeprefix(b"\xef\xbb\xbf"))
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise DocumentError(f"no JSON: {error or 'nested too deeply'}", advice="Send one JSON object.") from error
    if not isinstance(content, dict):
        raise DocumentError("the document is no JSON object", advice="Send an EPCISDocument or a single event.")
    return content


def locate(content: Mapping[str, Any], extensions: Mapping[str, str] = namespaces.STANDARD) -> Document:
    """Find the events of a document of any kind; whatever is not where it belongs counts as absent.

    `extensions` are prefixes that hold beside the document's own.
    """
    prefixes = {**namespaces.STANDARD, **extensions, **namespaces.declared(content.get("@context"))}
    kind = content.get("type")
    if isinstance(kind, str) and (kind in EVENTS or kind not in DOCUMENT_TYPES):
        return Document(content, [dict(content)], "", single=True, prefixes=prefixes)
    for path in _EVENT_PATHS:
        found = _at(content, path)
        if isinstance(found, list):
            events = [event if isinstance(event, dict) else {} for event in found]
            inside = prefixes | _on_the_way(content, path)
            return Document(content, events, "/" + "/".join(path), single=False, prefixes=inside)
    single = _at(content, _SINGLE_PATH)
    events = [single] if isinstance(single, dict) else []
    inside = prefixes | _on_the_way(content, _SINGLE_PATH)
    return Document(content, events, "/" + "/".join(_SINGLE_PATH), single=True, prefixes=inside)


def holds_events(content: Mapping[str, Any]) -> bool:
    """Tell whether a document has a place for events, or for the vocabularies that a master data query answers."""
    paths = (*_EVENT_PATHS, _SINGLE_PATH, _VOCABULARY_PATH)
    return any(_at(content, path) is not None for path in paths)


def _on_the_way(content: Mapping[str, Any], path: tuple[str, ...]) -> dict[str, str]:
    """Return the prefixes that the objects between the document and its events define."""
    found: dict[str, str] = {}
    for depth in range(1, len(path)):
        holder = _at(content, path[:depth])
        if isinstance(holder, Mapping):
            found |= namespaces.declared(holder.get("@context"))
    return found


def _at(content: Any, path: tuple[str, ...]) -> Any:  # noqa: ANN401  JSON
    for step in path:
        if not isinstance(content, Mapping):
            return None
        content = content.get(step)
    return content
