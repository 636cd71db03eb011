"""What is scanned: the codes as phones read them, and the mistakes and forgeries among them."""

from typing import Final, NamedTuple

import numpy as np

from contracts.gs1 import label_uri, parse
from contracts.messages import Activity, Position, Scan
from contracts.tc20 import ALPHABET

_QR: Final = {"symbology": "QRCode", "aim": "]Q1"}
_SERIAL_LENGTH: Final = 20


class Planned(NamedTuple):
    """A scan to come: `after` seconds once `order` has left the warehouse; `scan` still lacks its time.

    What is `later` waits for everything else to be told, and then comes one by one.
    """

    order: str
    after: float
    scan: Scan
    later: bool = False


def consumer(code: str, position: Position | None) -> Scan:
    """Return a consumer's scan of an item."""
    return Scan(ts=0, code=code, activity=Activity.CONSUMER, position=position, **_QR)


def inspector(code: str, position: Position, name: str) -> Scan:
    """Return a field inspector's scan of an item on a store's shelf."""
    return Scan(ts=0, code=code, activity=Activity.INSPECT, operator=name, position=position, **_QR)


def mistyped(code: str, position: Position | None, random: np.random.Generator) -> Scan:
    """Return a code keyed in by hand, one character of its serial wrong."""
    place = len(code) - int(random.integers(1, _SERIAL_LENGTH))
    others = [letter for letter in ALPHABET if letter != code[place]]
    wrong = code[:place] + others[int(random.integers(len(others)))] + code[place + 1 :]
    return Scan(ts=0, code=wrong, symbology="Manual", activity=Activity.CONSUMER, position=position)


def fragment(code: str, position: Position | None, random: np.random.Generator) -> Scan:
    """Return what is left of a code that was read or copied in part."""
    return consumer(code[: int(random.integers(len(code) // 2, len(code) - _SERIAL_LENGTH))], position)


def forged(code: str, position: Position, random: np.random.Generator) -> Scan:
    """Return the scan of a label that nobody issued, made up after the pattern of `code`."""
    host = code.split("/")[2]
    serial = "1" + "".join(ALPHABET[int(index)] for index in random.integers(0, len(ALPHABET), _SERIAL_LENGTH - 1))
    return consumer(label_uri(host, parse(code).gtin, serial), position)
