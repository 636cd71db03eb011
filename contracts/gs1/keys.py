"""Check digits, and the two texts that name one item: its key and the URI on its label."""

import functools
from typing import Final
from urllib.parse import quote

CANONICAL_HOST: Final = "https://id.gs1.org"


def check_digit(digits: str) -> int:
    """Return the check digit that follows `digits` (weights 3, 1, 3 … from the right)."""
    values = digits.encode()
    odd, even = values[-1::-2], values[-2::-2]
    return -(3 * (sum(odd) - 48 * len(odd)) + sum(even) - 48 * len(even)) % 10


@functools.lru_cache(maxsize=8192)
def has_check_digit(digits: str) -> bool:
    """Tell whether the last of `digits` is the check digit of the others; product numbers come again and again."""
    return check_digit(digits[:-1]) == ord(digits[-1]) - 48


def item_key(gtin: str, serial: str) -> str:
    """Return the key of one item."""
    return f"/01/{gtin}/21/{quote(serial, safe='')}"


def label_uri(host: str, gtin: str, serial: str) -> str:
    """Return the upper-case Digital Link URI that fits QR's alphanumeric mode."""
    return f"HTTPS://{host.upper()}{item_key(gtin, serial)}"
