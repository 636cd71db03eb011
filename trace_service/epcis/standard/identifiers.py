"""What an identifier in an event names, and whether it can exist: lengths, digits, check digits, key of the unit."""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final, NamedTuple
from urllib.parse import quote, unquote

from contracts.gs1 import check_digit
from trace_service.epcis.standard import links

_URN = re.compile(r"urn:epc:(id|idpat|class):([a-z]+):(.+)")
# Schemes of other bodies, which have no Digital Link.
_OTHER_SCHEMES: Final = frozenset({"gid", "usdod", "adi", "bic", "imovn"})
# Where the check digit ends, by primary key.
_CHECKED: Final[Mapping[str, int]] = {
    "00": 18, "01": 14, "253": 13, "255": 13, "402": 17, "414": 13, "417": 13, "8003": 14, "8006": 14, "8017": 18,
    "8018": 18,
}  # fmt: skip


class Fault(NamedTuple):
    """Why an identifier cannot exist."""

    code: str
    message: str


@lru_cache(maxsize=65536)
def fault(uri: str) -> Fault | None:
    """Return what is wrong with an identifier of GS1; URIs of other makers are nobody's business here."""
    link = links.canonical(uri)
    if link is None:
        return _urn_fault(uri) if uri.startswith("urn:epc:") else None
    _, _, _, ai, value, *_ = link.split("/")
    end = _CHECKED.get(ai)
    if end is None or check_digit(value[: end - 1]) == int(value[end - 1]):
        return None
    due = check_digit(value[: end - 1])
    return Fault("CHECK_DIGIT", f"({ai}) {value[:end]} ends in {value[end - 1]}, {due} is due")


def _urn_fault(uri: str) -> Fault | None:
    match = _URN.fullmatch(uri)
    if match is None:
        return Fault("EPC_INVALID", "no EPC URN: urn:epc:id|class|idpat:scheme:value is expected")
    if match[2] in _OTHER_SCHEMES:
        return None
    return Fault("EPC_INVALID", f"{match[3]!r} is no {match[2]}: prefix and reference have the wrong length")


@lru_cache(maxsize=65536)
def key(uri: str) -> str | None:
    """Return the project's own key of an identifier, such as `/01/{GTIN}/21/{serial}`; None for what is none."""
    link = links.canonical(uri)
    if link is None:
        return None
    ai, value, *rest = link.removeprefix(links.HOST + "/").split("/")
    parts = [ai, value, *rest]
    # One spelling of one serial: escapes are written as everywhere else in the project.
    return "".join(f"/{part if index % 2 == 0 else quote(unquote(part), safe='')}" for index, part in enumerate(parts))


def is_instance(unit: str) -> bool:
    """Tell whether a key names one single item or logistic unit."""
    return unit.startswith("/00/") or ("/21/" in unit and unit.startswith(("/01/", "/8006/")))
