"""The resolver: `/01/…`, `/00/…` and `/414/…` answer people with a page and machines with links.

Source: GS1-Conformant Resolver Standard 1.1.
"""

import math
from typing import Annotated, Final

import psycopg
import structlog
from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from contracts.gs1 import Gs1Error
from trace_service.public.address import Address, read_address
from trace_service.public.links import LINK_TYPE, VERIFICATION, Link, choose, find_links, link_set
from trace_service.public.negotiation import LINK_SET_TYPE, Wish, languages, wish
from trace_service.public.service import ServiceOf, asker_of
from trace_service.public.verification import Answer, Finding, examine, find_product
from trace_service.store.connection import Connection
from trace_service.web.context import ConsoleOf
from trace_service.web.render import Page, words_of

router = APIRouter()
log = structlog.get_logger(__name__)
_PATIENCE_SECONDS: Final = 5
_METHODS: Final = "GET, HEAD, OPTIONS"
_OPEN: Final = {"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": "Link"}
_PREFLIGHT: Final = {
    "Allow": _METHODS,
    "Access-Control-Allow-Methods": _METHODS,
    "Access-Control-Allow-Headers": "Accept, Accept-Language",
    "Access-Control-Max-Age": "86400",
    **_OPEN,
}
_KEPT: Final = {"Cache-Control": "public, max-age=300", "Vary": "Accept, Accept-Language, Cookie"}
_SEEN_ONCE: Final = {"Cache-Control": "no-store", "X-Robots-Tag": "noindex"}


LinkType = Annotated[str | None, Query(alias="linkType", max_length=100)]


class _Visit:
    """One request, with what every kind of answer needs."""

    def __init__(self, request: Request, console: ConsoleOf, service: ServiceOf, link_type: LinkType = None) -> None:
        self.request, self.console, self.service, self.link_type = request, console, service, link_type
        self.asker = asker_of(request)
        # The framework's path has its escapes decoded: a slash within a serial would look like one between segments.
        self.path = request.scope["raw_path"].decode("latin-1").partition("?")[0]
        self.wish = wish(request.headers, link_type)

    def page(self, finding: Finding, links: list[tuple[Link, str]], status: int = 200) -> Response:
        """Return the page with an answer."""
        self.service.answers.labels(finding.answer).inc()
        values = {"finding": finding, "links": links}
        response = self.console.renderer.page(self.request, Page("public.html", values, status))
        response.headers.update(_SEEN_ONCE)
        return response

    def problem(self, status: int, code: str, detail: str, **more: object) -> Response:
        """Return a refusal for a program."""
        body = {"type": "about:blank", "title": code.replace("_", " ").capitalize(), "status": status, "code": code}
        body |= {"detail": detail, **more}
        return JSONResponse(body, status, _OPEN | {"Cache-Control": "no-store"}, "application/problem+json")


VisitOf = Annotated[_Visit, Depends(_Visit)]


@router.api_route("/01/{rest:path}", methods=["GET", "HEAD"])
@router.api_route("/00/{rest:path}", methods=["GET", "HEAD"])
@router.api_route("/414/{rest:path}", methods=["GET", "HEAD"])
def resolve(visit: VisitOf, rest: str) -> Response:
    """Answer for one code."""
    del rest  # its escapes are lost; the visit has the path as it came
    wait = visit.service.allowance.wait(visit.asker)
    if wait:
        return _slow_down(visit, 429, wait)
    try:
        address = read_address(visit.path)
    except Gs1Error as error:
        if visit.wish is Wish.PAGE:
            return visit.page(Finding(Answer.UNVERIFIED), [])
        return visit.problem(400, error.reason, error.message, position=error.position)
    if address.path != visit.path:
        return _to_canonical(visit, address)
    try:
        with visit.service.connection() as connection:
            response = _answer(visit, address, connection)
    except psycopg.OperationalError as error:  # a full pool's timeout is one as well
        log.warning("a stranger could not be answered", action="public.busy", error=str(error))
        return _slow_down(visit, 503, _PATIENCE_SECONDS)
    origin = visit.service.origin
    response.headers["Link"] = f'<{origin}{address.path}?linkType=linkset>; rel="linkset"; type="{LINK_SET_TYPE}"'
    return response


@router.options("/01/{rest:path}")
@router.options("/00/{rest:path}")
@router.options("/414/{rest:path}")
def options(rest: str) -> Response:
    """Say what may be asked, and from where: everywhere."""
    del rest
    return Response(status_code=204, headers=_PREFLIGHT)


@router.get("/.well-known/gs1resolver")
def describe(service: ServiceOf) -> Response:
    """Describe the resolver to programs that look for one."""
    about = {
        "name": "Codefence resolver",
        "resolverRoot": service.origin,
        "supportedPrimaryKeys": ["00", "01", "414"],
        "linkTypeDefaultCanBeLinkset": False,
        "supportedContextValuesEnumerated": [],
    }
    return JSONResponse(about, headers=_OPEN | {"Cache-Control": "public, max-age=3600"})


def _answer(visit: _Visit, address: Address, connection: Connection) -> Response:
    if visit.wish is Wish.NOTHING:
        return visit.problem(400, "LINK_TYPE", f"a link type looks like gs1:pip: {LINK_TYPE}")
    gtin = address.value("01")
    links = find_links(connection, gtin)
    if visit.wish is Wish.PAGE:
        # A program that asks for the head alone has not looked.
        visitor = visit.service.visitors.name(visit.asker) if visit.request.method == "GET" else None
        visit.service.tidy(connection)
        finding = examine(connection, visit.service.keys, address, visitor)
        return visit.page(finding, _shown(links, address, visit, finding))
    if gtin is not None and find_product(connection, gtin) is None:
        return visit.problem(404, "NOT_FOUND", "this resolver has nothing about that product")
    if visit.wish is Wish.LINK_SET:
        body = link_set(links, address, visit.service.origin)
        return JSONResponse(body, headers=_OPEN | _KEPT, media_type=LINK_SET_TYPE)
    return _on(visit, address, links)


def _on(visit: _Visit, address: Address, links: list[Link]) -> Response:
    link_type = None if visit.link_type == "gs1:defaultLink" else visit.link_type
    found = choose(links, address, _languages(visit), link_type)
    if found is None and link_type is not None:
        return visit.problem(404, "LINK_NOT_FOUND", f"there is no {visit.link_type} for this code")
    target = found.address_for(address) if found else f"{address.path}?linkType={VERIFICATION}"
    return RedirectResponse(target, 307, _OPEN | _KEPT)


def _to_canonical(visit: _Visit, address: Address) -> Response:
    query = visit.request.url.query
    # Only this host's own path is ever named here, whatever the request said.
    return RedirectResponse(address.path + (f"?{query}" if query else ""), 308, _OPEN | _KEPT)


def _shown(links: list[Link], address: Address, visit: _Visit, finding: Finding) -> list[tuple[Link, str]]:
    """Return one link of each type beside the answer, in the reader's language; none beside what is not confirmed."""
    if finding.product is None:
        return []
    kinds = list(dict.fromkeys(link.link_type for link in links))
    chosen = [choose(links, address, _languages(visit), kind) for kind in kinds]
    return [(link, link.address_for(address)) for link in chosen if link]


def _languages(visit: _Visit) -> list[str]:
    return languages(visit.request.headers.get("accept-language", ""), words_of(visit.request, None).language)


def _slow_down(visit: _Visit, status: int, seconds: float) -> Response:
    if visit.wish is Wish.PAGE:
        response = visit.page(Finding(Answer.BUSY), [], status)
    else:
        response = visit.problem(status, "TOO_MANY_REQUESTS", "too many requests at this moment")
    response.headers["Retry-After"] = str(math.ceil(seconds))
    return response
