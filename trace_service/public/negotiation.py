"""What kind of answer a request wants: the page, the link set, or to be sent on."""

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from trace_service.public.links import LINK_TYPE, VERIFICATION

LINK_SET_TYPE: Final = "application/linkset+json"
_LINK_SET_TYPES: Final = frozenset({LINK_SET_TYPE, "application/json", "application/ld+json"})
_PAGE_TYPES: Final = frozenset({"text/html", "application/xhtml+xml", "text/*"})


class Wish(StrEnum):
    """What is wanted."""

    PAGE = "page"
    LINK_SET = "linkset"
    LINK = "link"
    NOTHING = "nothing"


def wish(headers: Mapping[str, str], link_type: str | None) -> Wish:
    """Return what a request wants: by `linkType` if it has one, else by what it accepts; NOTHING is a bad link type."""
    if link_type is not None:
        if link_type in {"all", "linkset"}:
            return Wish.LINK_SET
        if link_type == VERIFICATION:
            return Wish.PAGE
        return Wish.LINK if re.fullmatch(LINK_TYPE, link_type) else Wish.NOTHING
    weights = accepted(headers.get("accept", ""))
    page = max((weights.get(each, 0.0) for each in _PAGE_TYPES), default=0.0)
    link_set = max((weights.get(each, 0.0) for each in _LINK_SET_TYPES), default=0.0)
    if not page and not link_set:
        return Wish.LINK
    return Wish.PAGE if page >= link_set else Wish.LINK_SET


def accepted(header: str) -> dict[str, float]:
    """Return media types or languages with their weights, as a header lists them; nonsense counts for nothing."""
    found: dict[str, float] = {}
    for part in header.split(",")[:50]:
        name, *parameters = (each.strip().lower() for each in part.split(";"))
        weight = next((each[2:] for each in parameters if each.startswith("q=")), "1")
        if name and re.fullmatch(r"[01](?:\.[0-9]{0,3})?", weight):
            found[name] = float(weight)
    return found


def languages(header: str, first: str) -> list[str]:
    """Return language codes in the order in which a reader wants them, the page's own language first."""
    weights = accepted(header)
    wanted = sorted(weights, key=lambda tag: -weights[tag])
    return list(dict.fromkeys([first, *(tag.partition("-")[0] for tag in wanted)]))
