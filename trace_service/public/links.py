"""Where a code leads: links that brands configure, chosen by type and language, or all of them as a link set.

Sources: GS1-Conformant Resolver Standard; RFC 9264, Linkset.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import quote, urlsplit

from contracts.errors import ConfigurationError
from trace_service.public.address import Address
from trace_service.public.queries import SQL
from trace_service.store.connection import Connection

VOCABULARY: Final = "https://gs1.org/voc/"
VERIFICATION: Final = "gs1:verificationService"
LINK_TYPE: Final = r"^gs1:[A-Za-z]{1,40}$"
_FIELDS: Final[Mapping[str, str]] = {"gtin": "01", "lot": "10", "serial": "21"}
_FIELD: Final = re.compile(r"\{([^{}]*)\}")
_TITLES: Final = [{"value": "核实编码", "language": "zh"}, {"value": "Verify this code", "language": "en"}]


class Link(NamedTuple):
    """A configured link; `own` if it is the product's and not its brand's."""

    link_type: str
    language: str | None
    target: str
    title: str
    is_default: bool
    own: bool

    def fits(self, address: Address) -> bool:
        """Whether the code has everything that the target's fields ask for."""
        return all(address.value(_FIELDS[name]) is not None for name in _FIELD.findall(self.target))

    def address_for(self, address: Address) -> str:
        """Return the target with its fields filled in."""
        return _FIELD.sub(lambda match: quote(address.value(_FIELDS[match[1]]) or "", safe=""), self.target)


def find_links(connection: Connection, gtin: str | None) -> list[Link]:
    """Return the links of a product, its brand's among them."""
    return [Link(*row) for row in connection.execute(SQL["links"], {"gtin": gtin})] if gtin else []


def choose(links: Sequence[Link], address: Address, languages: Sequence[str], link_type: str | None) -> Link | None:
    """Return the link of a type, or the default one for None, in the first of `languages` that there is one for."""
    found = [link for link in links if link.fits(address)]
    found = [link for link in found if (link.is_default if link_type is None else link.link_type == link_type)]
    ranks = {language: rank for rank, language in enumerate(languages)}
    return min(
        found,
        key=lambda link: (ranks.get(link.language, len(ranks) + 1) if link.language else len(ranks), not link.own),
        default=None,
    )


def link_set(links: Sequence[Link], address: Address, origin: str) -> dict[str, Any]:
    """Return every link of the code and of all that it lies under, one context for each."""
    return {"linkset": [_context(links, level, origin) for level in address.levels]}


def _context(links: Sequence[Link], level: Address, origin: str) -> dict[str, Any]:
    anchor = origin + level.path
    page = {"href": f"{anchor}?linkType={VERIFICATION}", "title": "Verify this code", "title*": _TITLES}
    page |= {"type": "text/html", "hreflang": ["zh", "en"]}
    context: dict[str, Any] = {"anchor": anchor, _relation(VERIFICATION): [page]}
    defaults = []
    for link in links:
        if link.fits(level):
            target: dict[str, Any] = {"href": link.address_for(level), "title": link.title, "type": "text/html"}
            if link.language:
                target["hreflang"] = [link.language]
            context.setdefault(_relation(link.link_type), []).append(target)
            if link.is_default:
                defaults.append(target)
    context[_relation("gs1:defaultLink")] = defaults[:1] or [page]
    if len(defaults) > 1:
        context[_relation("gs1:defaultLinkMulti")] = defaults
    return context


def _relation(link_type: str) -> str:
    return VOCABULARY + link_type.removeprefix("gs1:")


def check_target(target: str) -> str:
    """Return a target that a brand may configure; raises `ConfigurationError` for any other.

    What a visitor sends never chooses the host, so nobody can make this service lead elsewhere.
    """
    advice = "Give an https address; {gtin}, {lot} and {serial} may stand behind its host."
    try:
        parts = urlsplit(target)
        parts.port  # noqa: B018  reading it checks it
    except ValueError as error:
        raise ConfigurationError(f"{target!r} is no web address: {error}", advice=advice) from error
    plain = target.isascii() and target.isprintable() and not re.search(r"[\s\\\"<>^`|]", target)
    if not plain or parts.scheme != "https" or not parts.hostname or parts.username is not None:
        raise ConfigurationError(f"{target!r} is no plain https address", advice=advice)
    if "{" in parts.netloc or "}" in _FIELD.sub("", target) or "{" in _FIELD.sub("", target):
        raise ConfigurationError(f"{target!r} has a brace where none may be", advice=advice)
    unknown = [name for name in _FIELD.findall(target) if name not in _FIELDS]
    if unknown:
        raise ConfigurationError(f"{target!r} holds the unknown field {{{unknown[0]}}}", advice=advice)
    return target
