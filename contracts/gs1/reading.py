"""A scanned text, whatever its form, becomes elements, one canonical URI and one key."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple
from urllib.parse import quote

from contracts.gs1.errors import Gs1Error
from contracts.gs1.keys import CANONICAL_HOST, has_check_digit, item_key
from contracts.gs1.link import SCHEMES, link_elements, uri
from contracts.gs1.strings import SEPARATOR, bracketed, retail, separated
from contracts.gs1.together import Discord, Element, find_contradiction, find_discord
from contracts.gs1.urn import SCHEME as URN
from contracts.gs1.urn import urn_elements

# AIM identifiers: of symbols in GS1's mode, of those that may carry a URI, and of those that carry a product number.
GS1_AIMS: Final = frozenset({"]C1", "]e0", "]d2", "]Q3", "]J1"})
_URI_AIMS: Final = frozenset({"]Q1", "]d1", "]J0"})
_RETAIL_AIMS: Final = {"]E0": 13, "]E4": 8, "]I0": 14, "]I1": 14}
_COMPOSITE: Final = "|]e0"
_CARET: Final = "^"
_LONGEST: Final = 8191
# An item's label in its commonest form, of which a station reads a thousand a shift.
_ITEM_LINK: Final = re.compile(
    r"(?:https?|HTTPS?)://[A-Za-z0-9.\-]+(?::[0-9]+)?/01/([0-9]{14})/21/([A-Za-z0-9\-._]{1,20})"
)


class Reading(NamedTuple):
    """What a text says: its form and its elements with their positions, in the order of the input."""

    form: str
    elements: Sequence[Element]

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Application identifiers and values alone."""
        return [(element.ai, element.value) for element in self.elements]

    @property
    def canonical(self) -> str | None:
        """The canonical Digital Link URI, or None where the elements hold no key or do not fit into a link."""
        return uri(self.pairs)


class Identifier(NamedTuple):
    """A parsed identifier: its key and every element in the order of the input."""

    key: str
    elements: tuple[tuple[str, str], ...]

    @property
    def gtin(self) -> str:
        """The GTIN-14, or an empty text for a logistic unit."""
        return dict(self.elements).get("01", "")

    @property
    def serial(self) -> str:
        """The serial of an item, or an empty text."""
        return dict(self.elements).get("21", "")

    @property
    def is_item(self) -> bool:
        """Whether this names one single item."""
        return "/21/" in self.key

    @property
    def uri(self) -> str:
        """The canonical Digital Link URI."""
        return CANONICAL_HOST + self.key


def read(text: str) -> Reading:
    """Return what a text says, by GS1's rules to the letter; raises `Gs1Error` with the first thing wrong.

    Accepted: Digital Link URIs, element strings in brackets, element strings that begin with FNC1 (as ^ or 0x1D), scan
    data with its AIM identifier in front, and EPC URNs.
    """
    if len(text) > _LONGEST:
        raise Gs1Error("INPUT_TOO_LONG", f"more than {_LONGEST} characters", position=_LONGEST)
    form = form_of(text)
    if form is None:
        raise Gs1Error("NOT_GS1", "neither a Digital Link nor a GS1 element string")
    elements = _READERS[form](text)
    _refuse(find_discord(elements), elements)
    return Reading(form, elements)


def form_of(text: str) -> str | None:
    """Return which of GS1's forms a text claims to have by the way it begins, or None."""
    if text.startswith(SCHEMES):
        return "digital_link"
    if text.startswith(URN):
        return "epc_urn"
    return _FIRST.get(text[:1])


def _scan(text: str) -> list[Element]:
    aim = text[:3]
    if aim in GS1_AIMS:
        return separated(text, 3)
    if aim in _URI_AIMS:
        if text.startswith(SCHEMES, 3):
            return link_elements(text, 3)
        raise Gs1Error("NOT_GS1", "this symbol carries no GS1 Digital Link", position=3)
    if aim in _RETAIL_AIMS:
        bar = text.find(_COMPOSITE)
        if bar < 0 or not aim.startswith("]E"):
            return retail(text, 3, _RETAIL_AIMS[aim])
        return retail(text[:bar], 3, _RETAIL_AIMS[aim]) + separated(text, bar + len(_COMPOSITE))
    raise Gs1Error("AIM_UNKNOWN", f"{aim} is no symbology identifier that carries GS1 data")


def _composite(text: str) -> list[Element]:
    separator = text[0]
    bar = text.find("|" + separator)
    if bar < 0:
        return separated(text, 1, separator)
    return separated(text[:bar], 1, separator) + separated(text, bar + 2, separator)


_FIRST: Final[Mapping[str, str]] = {"(": "bracketed", "]": "scan", _CARET: "unbracketed", SEPARATOR: "unbracketed"}
_READERS: Final[Mapping[str, Callable[[str], list[Element]]]] = {
    "bracketed": bracketed,
    "unbracketed": _composite,
    "scan": _scan,
    "digital_link": link_elements,
    "epc_urn": urn_elements,
}


def _refuse(discord: Discord | None, elements: Sequence[Element]) -> None:
    if discord is not None:
        raise Gs1Error(discord.reason, discord.message, position=elements[discord.at].ai_position)


def parse(text: str, aim: str = "") -> Identifier:
    """Return what a label names; raises `CodeError` with the position of the first thing wrong.

    `aim` is the scanner's AIM identifier. A text without it, without brackets and without a scheme is no GS1 code.
    Unlike `read`, this forgives what real labels and scanners do without being misunderstood: brackets within a value,
    the lot as an attribute of a link, a separator in front of the first element, and elements beside the key that lack
    or exclude one another.
    """
    match = _ITEM_LINK.fullmatch(text)
    if match is not None and has_check_digit(match[1]):
        gtin, serial = match.groups()
        return Identifier(f"/01/{gtin}/21/{serial}", (("01", gtin), ("21", serial)))
    if text.startswith(SCHEMES):
        elements = link_elements(text, strict=False)
    elif text.startswith("("):
        elements = bracketed(text, strict=False)
    elif aim in GS1_AIMS:
        elements = separated(text, int(text.startswith(SEPARATOR)))
    elif text.startswith(URN):
        elements = urn_elements(text)
    else:
        raise Gs1Error("NOT_GS1", "neither a Digital Link nor a GS1 element string")
    _refuse(find_contradiction(elements), elements)
    pairs = tuple([(element.ai, element.value) for element in elements])
    return Identifier(key_of(pairs), pairs)


def key_of(elements: Iterable[tuple[str, str]]) -> str:
    """Return the key of what the elements name; lot and dates are attributes, never identity."""
    values = dict(elements)
    if "00" in values:
        return f"/00/{values['00']}"
    if "01" in values and "21" in values:
        return item_key(values["01"], values["21"])
    if "01" in values:
        lot = f"/10/{quote(values['10'], safe='')}" if "10" in values else ""
        return f"/01/{values['01']}{lot}"
    if "414" in values:
        return f"/414/{values['414']}" + (f"/254/{quote(values['254'], safe='')}" if "254" in values else "")
    raise Gs1Error("NO_KEY", "no SSCC, GTIN or GLN in it")
