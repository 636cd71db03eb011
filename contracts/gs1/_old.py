"""GS1 identifiers: a scanned text, whatever its form, becomes one canonical key.

Accepted: Digital Link URIs (any host, upper- or lower-case scheme), element strings in brackets, and element strings
with FNC1 as a scanner sends them (GS1 General Specifications, section 7.8; separator 0x1D). The key of an item is
`/01/{GTIN-14}/21/{serial}`, of a case or pallet `/00/{SSCC}`; lot and dates are attributes, never identity.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple
from urllib.parse import quote, unquote_to_bytes, urlsplit

from contracts.errors import CheckDigitError, CodeError

CANONICAL_HOST: Final = "https://id.gs1.org"
SEPARATOR: Final = "\x1d"
GS1_AIMS: Final = frozenset({"]C1", "]e0", "]d2", "]Q3", "]J1"})
_SET82 = re.compile(r"[!\"%&'()*+,\-./0-9:;<=>?A-Z_a-z]+")
_DIGITS = re.compile(r"[0-9]+")
_DATE = re.compile(r"\d{2}(0[1-9]|1[0-2])(0\d|[12]\d|3[01])")


class Rule(NamedTuple):
    """What an application identifier's value may be: N for digits, X for GS1's set of 82, and its length range."""

    charset: str
    shortest: int
    longest: int


RULES: Final[Mapping[str, Rule]] = {
    "00": Rule("N", 18, 18),
    "01": Rule("N", 14, 14),
    "02": Rule("N", 14, 14),
    "10": Rule("X", 1, 20),
    "11": Rule("N", 6, 6),
    "13": Rule("N", 6, 6),
    "15": Rule("N", 6, 6),
    "17": Rule("N", 6, 6),
    "21": Rule("X", 1, 20),
    "22": Rule("X", 1, 20),
    "37": Rule("N", 1, 8),
    "254": Rule("X", 1, 20),
    "400": Rule("X", 1, 30),
    "414": Rule("N", 13, 13),
}
_CHECKED = frozenset({"00", "01", "02", "414"})
_DATES = frozenset({"11", "13", "15", "17"})
# Section 7.8.5: what starts with these needs no separator after it.
_PREDEFINED = frozenset({"00", "01", "02", "03", "04", *map(str, range(11, 21)), *map(str, range(31, 37)), "41"})


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


def check_digit(digits: str) -> int:
    """Return the check digit that follows `digits` (weights 3, 1, 3 … from the right)."""
    return -sum(int(digit) * (3, 1)[index % 2] for index, digit in enumerate(reversed(digits))) % 10


def item_key(gtin: str, serial: str) -> str:
    """Return the key of one item."""
    return f"/01/{gtin}/21/{quote(serial, safe='')}"


def label_uri(host: str, gtin: str, serial: str) -> str:
    """Return the upper-case Digital Link URI that fits QR's alphanumeric mode."""
    return f"HTTPS://{host.upper()}{item_key(gtin, serial)}"


def parse(text: str, aim: str = "") -> Identifier:
    """Return what a scanned text names; raises `CodeError` with the position of the first thing wrong.

    `aim` is the scanner's AIM identifier. A text without it, without brackets and without a scheme is no GS1 code.
    """
    if re.match(r"https?://|HTTPS?://", text):
        elements = tuple(_link_elements(text))
    elif text.startswith("("):
        elements = tuple(_bracketed(text))
    elif aim in GS1_AIMS:
        elements = tuple(_element_string(text.removeprefix(SEPARATOR)))
    else:
        raise CodeError("neither a Digital Link nor a GS1 element string", advice="Scan the GS1 code on the label.")
    return Identifier(_key(elements), elements)


def _key(elements: tuple[tuple[str, str], ...]) -> str:
    values = dict(elements)
    if len(values) != len(elements):
        raise CodeError("an application identifier stands twice")
    if "00" in values:
        return f"/00/{values['00']}"
    if "01" in values and "21" in values:
        return item_key(values["01"], values["21"])
    if "01" in values:
        lot = f"/10/{quote(values['10'], safe='')}" if "10" in values else ""
        return f"/01/{values['01']}{lot}"
    if "414" in values:
        return f"/414/{values['414']}" + (f"/254/{quote(values['254'], safe='')}" if "254" in values else "")
    raise CodeError("no SSCC, GTIN or GLN in it")


def _link_elements(text: str) -> Iterator[tuple[str, str]]:
    try:
        parts = urlsplit(text)
    except ValueError as error:
        raise CodeError(f"no URI: {error}") from error
    segments = parts.path.split("/")[1:]
    start = next((index for index, segment in enumerate(segments) if segment in {"00", "01", "414"}), None)
    if start is None or len(segments[start:]) % 2 or not parts.hostname:
        raise CodeError("a web address, but no GS1 Digital Link", position=len(parts.scheme) + 3)
    position = text.find(parts.path) + sum(len(segment) + 1 for segment in segments[:start]) + 1
    allowed = {"00": (), "01": ("22", "10", "21"), "414": ("254",)}[segments[start]]
    for index in range(start, len(segments), 2):
        ai, raw = segments[index], segments[index + 1]
        if index > start:
            if ai not in allowed:
                raise CodeError(f"({ai}) may not stand here", position=position)
            allowed = allowed[allowed.index(ai) + 1 :]
        position += len(ai) + 1
        yield ai, _checked(ai, _unquoted(raw, position), position)
        position += len(raw) + 1
    for pair in filter(None, parts.query.split("&")):
        ai, _, raw = pair.partition("=")
        if ai in RULES:
            place = text.find(pair)
            if ai in {"21", "254"}:
                raise CodeError(f"({ai}) may not be a query attribute", position=place)
            yield ai, _checked(ai, _unquoted(raw, place), place)


def _bracketed(text: str) -> Iterator[tuple[str, str]]:
    pattern = re.compile(r"\((\d{2,4})\)([^(]*(?:\((?!\d{2,4}\))[^(]*)*)")
    position = 0
    while position < len(text):
        match = pattern.match(text, position)
        if match is None:
            raise CodeError("an application identifier in brackets is expected", position=position)
        yield match[1], _checked(match[1], match[2], match.start(2))
        position = match.end()


def _element_string(text: str) -> Iterator[tuple[str, str]]:
    position = 0
    while position < len(text):
        ai = next(
            (text[position : position + size] for size in (2, 3) if text[position : position + size] in RULES),
            None,
        )
        if ai is None:
            raise CodeError("unknown application identifier", position=position)
        start = position + len(ai)
        rule = RULES[ai]
        if ai[:2] in _PREDEFINED:
            end = start + rule.longest
            position = end + (text[end : end + 1] == SEPARATOR)
        else:
            end = text.find(SEPARATOR, start)
            end = len(text) if end < 0 else end
            position = end + 1
        yield ai, _checked(ai, text[start:end], start)


def _unquoted(raw: str, position: int) -> str:
    try:
        return unquote_to_bytes(raw).decode("ascii")
    except UnicodeDecodeError as error:
        raise CodeError("a character outside GS1's set", position=position) from error


def _checked(ai: str, value: str, position: int) -> str:
    rule = RULES.get(ai)
    if rule is None:
        raise CodeError(f"({ai}) is no application identifier that is used here", position=position)
    if not rule.shortest <= len(value) <= rule.longest:
        raise CodeError(f"({ai}) has {rule.shortest} to {rule.longest} characters, not {len(value)}", position=position)
    match = (_DIGITS if rule.charset == "N" else _SET82).match(value)
    end = match.end() if match else 0
    if end < len(value):
        raise CodeError(f"({ai}) may not hold {value[end]!r}", position=position + end)
    if ai in _CHECKED and check_digit(value[:-1]) != int(value[-1]):
        raise CheckDigitError(
            f"({ai}) ends in {value[-1]}, {check_digit(value[:-1])} is due",
            position=position + len(value) - 1,
        )
    if ai in _DATES and _DATE.fullmatch(value) is None:
        raise CodeError(f"({ai}) is no date YYMMDD", position=position)
    return value
