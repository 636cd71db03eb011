"""What the interface's routes work with: the partner, a connection, the body, and what headers ask for."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final

import msgspec
from fastapi import Depends, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from trace_service.epcis.capture import MOST_EVENTS
from trace_service.epcis.querying.answers import EpcFormat
from trace_service.epcis.querying.parameters import whole_number
from trace_service.epcis.refusals import (
    CaptureLimitError,
    MediaTypeError,
    NotAcceptableError,
    QueryParameterError,
    ValidationError,
)
from trace_service.epcis.standard import namespaces
from trace_service.epcis.standard.documents import LARGEST_BYTES, read
from trace_service.epcis.standard.errors import DocumentError
from trace_service.epcis.standard.problems import Problem
from trace_service.store.connection import Connection, connect
from trace_service.web.context import ConsoleOf
from trace_service.web.tokens import Partner, require_scope

VERSION: Final = "2.0.0"
_JSON: Final = frozenset({"application/json", "application/ld+json"})
_XML: Final = frozenset({"application/xml", "text/xml"})
_MOST_EXTENSIONS: Final = 50
VERSION_HEADERS: Final[Mapping[str, str]] = {
    "GS1-EPCIS-Version": VERSION,
    "GS1-EPCIS-Min": VERSION,
    "GS1-EPCIS-Max": VERSION,
    "GS1-CBV-Version": VERSION,
    "GS1-CBV-Min": VERSION,
    "GS1-CBV-Max": VERSION,
}
LIMIT_HEADERS: Final[Mapping[str, str]] = {
    "GS1-EPCIS-Capture-Limit": str(MOST_EVENTS),
    "GS1-EPCIS-Capture-File-Size-Limit": str(LARGEST_BYTES),
    "GS1-Capture-Error-Behaviour": "rollback",
}

PartnerOf = Annotated[Partner, Depends(require_scope("epcis"))]


def connection_of(console: ConsoleOf) -> Iterator[Connection]:
    """Yield a connection of its own for one request, since a document is captured in one transaction."""
    with connect(console.settings.database_url.get_secret_value(), "epcis") as connection:
        yield connection


ConnectionOf = Annotated[Connection, Depends(connection_of)]


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a request's headers ask for."""

    epc_format: EpcFormat
    prefixes: Mapping[str, str]
    media_type: str


def wishes_of(request: Request) -> Wishes:
    """Read the standard's headers; raises `NotAcceptableError` for a version or form that is not offered."""
    headers = request.headers
    for name in ("GS1-EPCIS-Version", "GS1-CBV-Version", "GS1-EPCIS-Min", "GS1-CBV-Min"):
        wanted = headers.get(name, "2.0")
        if wanted.split(".")[0] not in {"2", "1"} or (wanted[0] == "1" and not name.endswith("-Min")):
            raise NotAcceptableError(f"{name}: {wanted[:20]!r}; {VERSION} is spoken here")
    try:
        epc_format = EpcFormat(headers.get("GS1-EPC-Format", EpcFormat.NO_PREFERENCE))
    except ValueError as error:
        known = ", ".join(EpcFormat)
        raise NotAcceptableError(f"GS1-EPC-Format is none of {known}") from error
    return Wishes(epc_format, _extensions(headers.get("GS1-Extensions", "")), _accepted(headers.get("Accept", "*/*")))


WishesOf = Annotated[Wishes, Depends(wishes_of)]


def _extensions(header: str) -> dict[str, str]:
    found = dict(namespaces.STANDARD)
    for part in filter(None, (each.strip() for each in header.split(",")[:_MOST_EXTENSIONS])):
        prefix, equals, uri = part.partition("=")
        if not equals or not prefix.strip().isidentifier() or ":" not in uri:
            raise NotAcceptableError("GS1-Extensions: prefix=namespace is expected")
        found[prefix.strip()] = uri.strip()
    return found


def _accepted(header: str) -> str:
    wanted = {part.partition(";")[0].strip().lower() for part in header.split(",")}
    if "application/ld+json" in wanted:
        return "application/ld+json"
    if wanted & {"*/*", "application/*", "application/json"}:
        return "application/json"
    raise NotAcceptableError("only application/json and application/ld+json are offered")


async def document_of(request: Request) -> Mapping[str, Any]:
    """Return the request's body as a JSON object, read with a limit on its size before anything else."""
    kind = request.headers.get("Content-Type", "application/json").partition(";")[0].strip().lower()
    if kind not in _JSON | _XML:
        raise MediaTypeError(f"{kind[:80]!r} is not read here", advice="Send application/json or application/xml.")
    if int(request.headers.get("Content-Length", "0")) > LARGEST_BYTES:
        raise CaptureLimitError(f"more than {LARGEST_BYTES} bytes", advice="Send the events in several documents.")
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > LARGEST_BYTES:
            raise CaptureLimitError(f"more than {LARGEST_BYTES} bytes", advice="Send the events in several documents.")
    try:
        return await run_in_threadpool(read, bytes(body))
    except DocumentError as error:
        problem = Problem("", error.code, error.message)
        raise ValidationError(error.message, advice=error.advice, problems=[problem]) from error


DocumentOf = Annotated[Mapping[str, Any], Depends(document_of)]


def json_answer(
    content: object, wishes: Wishes, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """Return JSON in the media type that was asked for."""
    return Response(msgspec.json.encode(content), status, media_type=wishes.media_type, headers=dict(headers or {}))


def page_size(text: str | None) -> int | None:
    """Return the wanted number of events a page; raises `QueryParameterError`."""
    if text is None:
        return None
    size = whole_number(text, 1000)
    if size is None:
        raise QueryParameterError("perPage: a number from 1 to 1000 is expected")
    return size
