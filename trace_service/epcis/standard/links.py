"""Identifiers in the one form that is hashed and compared: constrained canonical Digital Link URIs (CBV 2.0, 8.9).

EPC URNs, whatever their scheme, and Digital Links of any host become `https://id.gs1.org/…` with the finest level of
identification alone. This is spelling, not judgement: whether a check digit is right is `identifiers.py`'s matter.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final, NamedTuple

from contracts.gs1 import check_digit

HOST: Final = "https://id.gs1.org"
_PREFIX_SIZES = range(6, 13)
_URN = re.compile(r"urn:epc:(id|idpat|class):([a-z]+):(.+)")
_LINK = re.compile(r"(?i:https?)://[^/?#\s]+(/[^?#\s]*)")
_WHOLE = re.compile(r"([!\"%&'()*+,\-.:;<=>?_0-9A-Za-z]|%[0-9A-Fa-f]{2})+")
# Escapes that Digital Link asks for and EPC URNs leave as they are.
_ESCAPES: Final = str.maketrans({char: f"%{ord(char):02X}" for char in "!()*+,:"})


class _Layout(NamedTuple):
    """How a URN's parts become a key: prefix and reference together have `size` digits, a check digit follows.

    `moved`: the reference's first digit goes in front; `lead` stands before all. A last part becomes the value of the
    key qualifier, or joins the key where that is `+`.
    """

    ai: str
    size: int
    qualifier: str = ""
    moved: bool = False
    lead: str = ""


_LAYOUTS: Final[Mapping[str, _Layout]] = {
    "sgtin": _Layout("01", 13, "21", moved=True),
    "lgtin": _Layout("01", 13, "10", moved=True),
    "upui": _Layout("01", 13, "235", moved=True),
    "sscc": _Layout("00", 17, moved=True),
    "sgln": _Layout("414", 12, "254"),
    "pgln": _Layout("417", 12),
    "grai": _Layout("8003", 12, "+", lead="0"),
    "gdti": _Layout("253", 12, "+"),
    "sgcn": _Layout("255", 12, "+"),
    "gsrn": _Layout("8018", 17),
    "gsrnp": _Layout("8017", 17),
    "gsin": _Layout("402", 16),
}
_FREE: Final[Mapping[str, str]] = {"giai": "8004", "ginc": "401"}
_NAMES: Final[Mapping[str, str]] = {
    "gtin": "01", "itip": "8006", "cpid": "8010", "gln": "414", "party": "417", "gsrnp": "8017", "gsrn": "8018",
    "gcn": "255", "sscc": "00", "gdti": "253", "ginc": "401", "gsin": "402", "grai": "8003", "giai": "8004",
    "cpv": "22", "lot": "10", "ser": "21",
}  # fmt: skip
_KEYS: Final[Mapping[str, re.Pattern[str]]] = {
    "00": re.compile(r"\d{18}"),
    "01": re.compile(r"\d{14}"),
    "253": re.compile(r"\d{13}.{0,17}"),
    "255": re.compile(r"\d{13,25}"),
    "401": re.compile(r".{1,30}"),
    "402": re.compile(r"\d{17}"),
    "414": re.compile(r"\d{13}"),
    "417": re.compile(r"\d{13}"),
    "8003": re.compile(r"\d{14}.{0,16}"),
    "8004": re.compile(r".{1,30}"),
    "8006": re.compile(r"\d{18}"),
    "8010": re.compile(r".{1,30}"),
    "8017": re.compile(r"\d{18}"),
    "8018": re.compile(r"\d{18}"),
}
_FINEST: Final[Mapping[str, tuple[str, ...]]] = {
    "01": ("21", "235", "10"),
    "8006": ("21", "10"),
    "414": ("254",),
    "8010": ("8011",),
}
_GTIN_SIZES: Final = frozenset({8, 12, 13, 14})


@lru_cache(maxsize=65536)
def canonical(uri: str) -> str | None:
    """Return the constrained canonical Digital Link URI of an identifier, or None for what is none."""
    if uri.startswith("urn:epc:"):
        return _from_urn(uri)
    match = _LINK.fullmatch(uri.partition("?")[0].partition("#")[0])
    return _from_path(match[1]) if match else None


def _from_urn(uri: str) -> str | None:
    match = _URN.fullmatch(uri)
    if match is None:
        return None
    kind, scheme, body = match.groups()
    # Only a pattern has a wildcard: the asterisk is a legal character of a serial number.
    if kind == "idpat":
        body = re.sub(r"\.\*$", ".", body)
    parts = body.split(".")
    if scheme in _FREE and kind == "id" and len(parts) > 1:
        return f"{HOST}/{_FREE[scheme]}/{parts[0]}{'.'.join(parts[1:]).translate(_ESCAPES)}"
    if scheme == "itip":
        return _itip(parts)
    if scheme == "cpi":
        return _cpi(parts)
    layout = _LAYOUTS.get(scheme)
    if layout is None or len(parts) < 2 or len(parts[0]) not in _PREFIX_SIZES:  # noqa: PLR2004  prefix and reference
        return None
    key = _key(layout, parts[0], parts[1])
    return None if key is None else f"{HOST}/{layout.ai}/{key}{_tail(layout, '.'.join(parts[2:]))}"


def _key(layout: _Layout, prefix: str, reference: str) -> str | None:
    if len(prefix) + len(reference) != layout.size or not (prefix + reference).isdigit():
        return None
    digits = reference[:1] + prefix + reference[1:] if layout.moved else prefix + reference
    return layout.lead + digits + str(check_digit(layout.lead + digits))


def _tail(layout: _Layout, rest: str) -> str:
    if not layout.qualifier or not rest or (layout.ai, rest) == ("414", "0"):
        return ""
    value = rest.translate(_ESCAPES)
    return value if layout.qualifier == "+" else f"/{layout.qualifier}/{value}"


def _itip(parts: list[str]) -> str | None:
    if len(parts) < 5:  # noqa: PLR2004  prefix, reference, piece, total, serial
        return None
    key = _key(_LAYOUTS["sgtin"], parts[0], parts[1])
    serial = ".".join(parts[4:])
    if key is None:
        return None
    path = f"{HOST}/8006/{key}{parts[2]}{parts[3]}"
    return f"{path}/21/{serial.translate(_ESCAPES)}" if serial else path


def _cpi(parts: list[str]) -> str | None:
    if len(parts) < 3:  # noqa: PLR2004  prefix, part, serial
        return None
    path = f"{HOST}/8010/{parts[0]}{'.'.join(parts[1:-1]).translate(_ESCAPES)}"
    return f"{path}/8011/{parts[-1]}" if parts[-1] else path


def _from_path(path: str) -> str | None:
    segments = [_NAMES.get(segment, segment) for segment in path.rstrip("/").split("/")[1:]]
    start = next((index for index, segment in enumerate(segments[:-1]) if segment in _KEYS), None)
    if start is None or len(segments[start:]) % 2:
        return None
    pairs = dict(zip(segments[start::2], segments[start + 1 :: 2], strict=True))
    ai, value = segments[start], segments[start + 1]
    if ai == "01" and len(value) in _GTIN_SIZES:
        value = value.zfill(14)
    if _KEYS[ai].fullmatch(value) is None or not all(map(_WHOLE.fullmatch, pairs.values())):
        return None
    finest = next((each for each in _FINEST.get(ai, ()) if each in pairs), None)
    known = {"22", *_FINEST.get(ai, ())}
    if not pairs.keys() - {ai} <= known:
        return None
    return f"{HOST}/{ai}/{value}" + (f"/{finest}/{pairs[finest]}" if finest else "")
