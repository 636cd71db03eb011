"""Templates, filled in with the reader's words."""

from dataclasses import dataclass
from functools import partial
from typing import Any, Final
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse

from trace_service.web.auth.sessions import Session
from trace_service.web.explained import outside, small, story
from trace_service.web.particulars import particulars
from trace_service.web.places import Places
from trace_service.web.proposed import chance, cover, occasion, occasion_name, proposal_reasons
from trace_service.web.reasons import alert_counts, alert_reasons
from trace_service.words import DEFAULT_ZONE, LANGUAGES, Language, Words, zone

LANGUAGE_COOKIE: Final = "lang"
ZONE_COOKIE: Final = "zone"


@dataclass(frozen=True, slots=True)
class Page:
    """A template and what it needs."""

    template: str
    values: dict[str, Any]
    status: int = 200


class Renderer:
    """Fills templates; `assets` maps each entry to its hashed name."""

    def __init__(self, assets: dict[str, str], places: Places) -> None:
        self._places = places
        self._environment = Environment(
            loader=PackageLoader("trace_service.web"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.globals["asset"] = lambda name: f"/static/{assets[name]}"

    def page(self, request: Request, page: Page, session: Session | None = None) -> HTMLResponse:
        """Return a filled page, or the part of one that its template makes."""
        words = words_of(request, session)
        text = self._environment.get_template(page.template).render(
            t=words,
            session=session,
            place=partial(self._place, words.language),
            here=_here(request),
            path=request.url.path,
            alert_reasons=partial(alert_reasons, words, self._places),
            proposal_reasons=partial(proposal_reasons, words),
            occasion=partial(occasion, words),
            occasion_name=partial(occasion_name, words),
            cover=partial(cover, words),
            chance=partial(chance, words),
            alert_counts=partial(alert_counts, words, self._places),
            small=small,
            outside=outside,
            particulars=partial(particulars, words, self._places),
            story=partial(story, words, self._places),
            **page.values,
        )
        headers = {"Vary": "Cookie, Accept-Language", "Content-Language": words.language}
        return HTMLResponse(text, page.status, headers)

    def _place(self, language: Language, adcode: str | None) -> str:
        return self._places.name(adcode, language) if adcode else ""


def words_of(request: Request, session: Session | None) -> Words:
    """Choose the reader's language (cookie, browser, account, Chinese) and time zone (cookie, Asia/Shanghai)."""
    wanted = [request.cookies.get(LANGUAGE_COOKIE, ""), *_accepted(request), session.language if session else "zh"]
    language = next((known for each in wanted for known in LANGUAGES if each == known), LANGUAGES[0])
    return Words(language, zone(request.cookies.get(ZONE_COOKIE, DEFAULT_ZONE)))


def local_path(path: str) -> str:
    """Return a path of this console, or the start page where the text could lead elsewhere."""
    plain = path.startswith("/") and not path.startswith("//") and "\\" not in path
    return path if plain and path.isprintable() else "/"


def _accepted(request: Request) -> list[str]:
    found: list[tuple[float, str]] = []
    for part in request.headers.get("accept-language", "").split(","):
        tag, _, weight = part.strip().partition(";q=")
        try:
            found.append((float(weight or 1), tag.lower().partition("-")[0]))
        except ValueError:
            continue
    return [tag for _, tag in sorted(found, key=lambda pair: -pair[0])]


def _here(request: Request) -> str:
    query = f"?{request.url.query}" if request.url.query else ""
    return quote(request.url.path + query, safe="/")
