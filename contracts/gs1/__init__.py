"""GS1 identifiers: a scanned text, whatever its form, becomes one canonical key."""

from contracts.gs1._old import (
    CANONICAL_HOST,
    GS1_AIMS,
    SEPARATOR,
    Identifier,
    check_digit,
    item_key,
    label_uri,
    parse,
)

__all__ = [
    "CANONICAL_HOST",
    "GS1_AIMS",
    "SEPARATOR",
    "Identifier",
    "check_digit",
    "item_key",
    "label_uri",
    "parse",
]
