"""GS1 identifiers: element strings, Digital Link URIs and EPC URNs become one canonical form, by every AI's rules."""

from contracts.gs1.errors import Gs1CheckDigitError, Gs1Error
from contracts.gs1.keys import CANONICAL_HOST, check_digit, item_key, label_uri
from contracts.gs1.link import uri
from contracts.gs1.reading import GS1_AIMS, Identifier, Reading, form_of, key_of, parse, read
from contracts.gs1.strings import SEPARATOR
from contracts.gs1.table import ENTRIES, Entry
from contracts.gs1.together import Element
from contracts.gs1.urn import urn

__all__ = [
    "CANONICAL_HOST",
    "ENTRIES",
    "GS1_AIMS",
    "SEPARATOR",
    "Element",
    "Entry",
    "Gs1CheckDigitError",
    "Gs1Error",
    "Identifier",
    "Reading",
    "check_digit",
    "form_of",
    "item_key",
    "key_of",
    "label_uri",
    "parse",
    "read",
    "uri",
    "urn",
]
