"""Whether a document is EPCIS 2.0, and if not, everything that is wrong with it and where.

Its shape is checked by a compiled JSON schema with format checks; what a schema cannot say (fields by event type,
prefixes, contexts, words of the vocabulary, identifiers) by code that walks the events once.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources
from typing import Any, Final, NamedTuple

import jsonschema_rs
import msgspec

from trace_service.epcis.querying.parameters import from_query, read_search
from trace_service.epcis.refusals import QueryParameterError
from trace_service.epcis.standard import namespaces
from trace_service.epcis.standard.documents import DOCUMENT_TYPES, LARGEST_BYTES, Document, holds_events, locate, read
from trace_service.epcis.standard.errors import DocumentError
from trace_service.epcis.standard.events import event_problems, extension_problems
from trace_service.epcis.standard.problems import Problem, child
from trace_service.epcis.standard.rules import DOCUMENT

MOST_PROBLEMS: Final = 1000
_CODES: Final[Mapping[str, str]] = {
    "type": "WRONG_TYPE",
    "required": "MISSING_FIELD",
    "format": "FORMAT",
    "pattern": "FORMAT",
    "enum": "NOT_ALLOWED",
    "const": "NOT_ALLOWED",
    "additionalProperties": "UNKNOWN_FIELD",
    "minLength": "SIZE",
    "maxLength": "SIZE",
    "minItems": "SIZE",
}
_LONGEST_MESSAGE: Final = 300


class Verdict(NamedTuple):
    """A document with everything that is wrong with it; `document` is None where it holds no events to be read."""

    document: Document | None
    problems: list[Problem]


@cache
def schema() -> Mapping[str, Any]:
    """Return the JSON schema of documents and single events."""
    text = (resources.files(__package__) / "schema.json").read_bytes()
    found: Mapping[str, Any] = msgspec.json.decode(text)
    return found


@cache
def _validator() -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(dict(schema()), validate_formats=True)


def check_bytes(data: bytes, *, strict: bool = False, limit: int | None = LARGEST_BYTES) -> Verdict:
    """Read and check a document in JSON or XML, or a named query; `strict` as for `check`, `limit` as for `read`."""
    try:
        content = read(data, limit)
    except DocumentError as error:
        return Verdict(None, [Problem("", error.code, error.message)])
    if "query" in content and "type" not in content:
        return Verdict(None, list(_query_problems(content["query"])))
    return check(content, strict=strict)


def check(
    content: Mapping[str, Any], extensions: Mapping[str, str] = namespaces.STANDARD, *, strict: bool = False
) -> Verdict:
    """Check a document; at most 1000 problems are listed.

    `extensions` are prefixes that hold beside its own. EPCIS asks only for URIs; `strict` also asks for check digits,
    as whoever acts on the identifiers should.
    """
    document = locate(content, extensions)
    found: list[Problem] = []
    for problem in _problems(document, strict=strict):
        found.append(problem)
        if len(found) == MOST_PROBLEMS:
            break
    return Verdict(document, found)


def _query_problems(query: object) -> Iterator[Problem]:
    """Yield what is wrong with the parameters of a named query."""
    if not isinstance(query, Mapping):
        yield Problem("/query", "WRONG_TYPE", "the query is no object")
        return
    try:
        read_search(from_query(query), namespaces.STANDARD)
    except QueryParameterError as error:
        yield Problem("/query", error.code, error.message)


def _problems(document: Document, *, strict: bool) -> Iterator[Problem]:
    # 1. The shape, with formats. The fast answer first: most documents are right.
    shape = [] if _validator().is_valid(document.content) else list(_shape_problems(document.content))
    yield from shape
    # 2. Contexts are known, and EPCIS's own is among them.
    yield from _context_problems(document)
    # 3. A document is there for its events; names at its own level.
    if document.content.get("type") in DOCUMENT_TYPES:
        if not (shape or holds_events(document.content)):
            yield Problem("/epcisBody", "MISSING_FIELD", "the document needs an eventList")
        yield from extension_problems(document.content, DOCUMENT, "", document.prefixes)
    # 4. Each event that has the right shape.
    broken = {problem.pointer for problem in shape}
    for index, event in enumerate(document.events):
        pointer = document.pointer(index)
        if not any(f"{each}/".startswith(f"{pointer}/") for each in broken):
            yield from event_problems(event, pointer, document.prefixes, strict=strict)


def _shape_problems(content: Mapping[str, Any]) -> Iterator[Problem]:
    for error in _validator().iter_errors(content):
        pointer = ""
        for step in error.instance_path:
            pointer = child(pointer, step)
        code = _CODES.get(error.kind.name, "SCHEMA")
        yield Problem(pointer, code, error.message[:_LONGEST_MESSAGE])


def _context_problems(document: Document) -> Iterator[Problem]:
    own = list(namespaces.parts(document.content.get("@context")))
    inner = [
        (part, document.pointer(index))
        for index, event in enumerate(document.events)
        if not document.single and "@context" in event
        for part in namespaces.parts(event["@context"])
    ]
    for part, pointer in [*((part, "") for part in own), *inner]:
        if isinstance(part, str) and not namespaces.is_known(part):
            message = f"{part[:200]} is no context that is known here, and contexts are never fetched"
            yield Problem(child(pointer, "@context"), "CONTEXT_UNKNOWN", message)
    if own and not any(isinstance(part, str) and namespaces.is_epcis(part) for part in own):
        yield Problem("/@context", "CONTEXT_MISSING", f"the EPCIS context is missing: {namespaces.CONTEXT}")
